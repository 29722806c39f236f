"""`ohmloom deploy`, `virtual-board` and `run --engine board`, as processes and in one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession

from ohmloom.boards.virtual.board import VirtualBoard
from ohmloom.boards.virtual.thread import serving
from ohmloom.compiler.bundle import write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.sim.array import SimulatedArray

from ..boards.small import array_of, compile_small, controller_of, network, samples
from .conftest import Command

RUN = "import sys; from ohmloom.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compile_small(tmp_path_factory.mktemp("model"))


@pytest.fixture
def small(compiled: Compiled, tmp_path: Path) -> Path:
    return write_bundle(compiled, tmp_path / "small.ohm")


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *(str(each) for each in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


@contextmanager
def board(compiled: Compiled, array: SimulatedArray) -> Iterator[VirtualBoard]:
    with serving(controller_of(compiled, array)) as virtual:
        yield virtual


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def deployed(compiled: Compiled, bundle: Path, journal: Path, kills: int) -> SimulatedArray:
    """Cells after a deployment whose process has been killed so many times on the way."""
    rng = random.Random(kills)
    array = array_of(compiled)
    with board(compiled, array) as virtual:
        arguments = ("deploy", bundle, "--port", virtual.terminal.port, "--journal", journal)
        for _ in range(kills):
            process = start(*arguments)
            # A moment that lies in the work, not in the start of the process.
            wanted = lines(journal) + rng.randrange(1, 8)
            while lines(journal) < wanted and process.poll() is None:
                time.sleep(0.001)
            time.sleep(rng.random() * 0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = start(*arguments, "--json")
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert '"different": 0' in out
    return array


def assert_killed_hosts_leave_no_trace(compiled: Compiled, bundle: Path, kills: int) -> None:
    whole = deployed(compiled, bundle, bundle.parent / "whole", 0)
    killed = deployed(compiled, bundle, bundle.parent / "killed", kills)
    for tile in range(whole.tiles):
        assert whole.tile_state_equal(killed, tile)


def test_killed_processes_leave_no_trace(compiled: Compiled, small: Path) -> None:
    assert_killed_hosts_leave_no_trace(compiled, small, 3)


@pytest.mark.slow
def test_twenty_killed_processes_leave_no_trace(compiled: Compiled, small: Path) -> None:
    assert_killed_hosts_leave_no_trace(compiled, small, 20)


def test_virtual_board_of_its_own_is_deployed_to_and_runs(
    command: Command, small: Path, tmp_path: Path
) -> None:
    port, state = tmp_path / "board", tmp_path / "cells.npz"
    np.save(tmp_path / "x.npy", samples(6))
    process = start("virtual-board", small, "--link", port, "--state", state)
    try:
        while not port.is_symlink() and process.poll() is None:
            time.sleep(0.05)
        done = command("deploy", small, "--port", port, "--json")
        assert done.code == 0, done.err
        assert done.data["self_test"]["different"] == 0
        assert done.data["journal"] == str(tmp_path / "small.ulx3s-85f.journal")
        os.kill(process.pid, signal.SIGUSR1)  # its supply fails; its cells stay
        runs = ("run", small, "--input", tmp_path / "x.npy")
        found = command(*runs, "--engine", "board", "--port", port, "--output", tmp_path / "b.npy")
        assert found.code == 0, found.err
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 0
    assert command(*runs, "--output", tmp_path / "n.npy").code == 0
    wanted = np.load(tmp_path / "n.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), wanted)
    # The same cells on another virtual board.
    options = ("--engine", "board", "--state", state, "--output", tmp_path / "s.npy")
    assert command(*runs, *options).code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), wanted)


def test_self_test_that_agrees_too_little_is_exit_code_1(
    command: Command, compiled: Compiled, tmp_path: Path
) -> None:
    """Golden vectors of another network."""
    from dataclasses import replace

    golden = replace(
        compiled.golden, layers=tuple(np.flip(layer, axis=1) for layer in compiled.golden.layers)
    )
    bundle = write_bundle(replace(compiled, golden=golden), tmp_path / "other.ohm")
    found = command("deploy", bundle, "--virtual", "--agreement", "1")
    assert found.code == 1
    assert "of the golden samples, accepted is 100%" in found.sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "--port PORT or --virtual: one of them says where the board is"),
        (("--virtual", "--port", "x"), "--port PORT or --virtual"),
        (("--port", "/dev/nowhere"), "/dev/nowhere cannot be opened: there is no such port"),
        (("--port", "x", "--state", "y"), "--state is for --virtual"),
        (("--port", "x", "--stuck", "y"), "--stuck is for --virtual"),
        (("--virtual", "--model", "y"), "--model and --calib: a network is placed again"),
        (("--virtual", "--board", "icebreaker"), "48000000 Hz, board icebreaker runs at 12000000"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    command: Command, small: Path, options: tuple[str, ...], sentence: str
) -> None:
    found = command("deploy", small, *options)
    assert found.code == 2 and sentence in found.sentence


@pytest.fixture
def stuck(compiled: Compiled, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A file of stuck cells, some of them where the network has other levels; and the cells."""
    faults = np.full(compiled.levels.shape, np.nan)
    top = compiled.device.levels[-1]
    for cell, siemens in {(0, 1, 2): top, (1, 3, 3): 0.0, (2, 0, 1): top, (3, 5, 4): 0.0}.items():
        faults[cell] = siemens
    np.save(tmp_path / "stuck.npy", faults)
    return tmp_path / "stuck.npy", ~np.isnan(faults)


def test_network_is_placed_around_the_stuck_cells_that_a_test_finds(
    command: Command, small: Path, stuck, tmp_path: Path
) -> None:
    file, where = stuck
    network(tmp_path)
    np.save(tmp_path / "calib.npy", samples(16))
    arguments = ("deploy", small, "--virtual", "--state", tmp_path / "cells.npz", "--stuck", file)
    source = ("--model", tmp_path / "small.onnx", "--calib", tmp_path / "calib.npy", "--json")
    done = command(*arguments, *source)
    assert done.code == 0, done.err
    assert done.data["bundle"] == str(tmp_path / "small.ulx3s-85f.ohm")
    assert done.data["stuck_cells_known"] == where.sum()
    assert not done.data["off_when_read_back"]
    found = np.load(done.data["fault_map"])
    tiles = len(where)
    np.testing.assert_array_equal(~np.isnan(found[:tiles]), where)
    assert np.isnan(found[tiles:]).all()
    x = samples(40)
    np.save(tmp_path / "x.npy", x)
    floats = InferenceSession(tmp_path / "small.onnx").run(None, {"x": x})[0]
    errors = list[float]()
    for each in (small, Path(done.data["bundle"])):
        options = ("--faults", done.data["fault_map"], "--output", tmp_path / "y.npy")
        assert command("run", each, "--input", tmp_path / "x.npy", *options).code == 0
        errors.append(float(np.square(np.load(tmp_path / "y.npy") - floats).mean()))
    assert errors[1] < errors[0] / 2
    # As far as the map knows each cell is on its level.
    assert done.data["verdicts"]["done"] >= done.data["cells"] - done.data["stuck_cells_known"]
    # The same command finds all of it done.
    pulses = np.load(tmp_path / "cells.npz")["pulses"]
    again = command(*arguments, *source)
    assert again.code == 0 and again.data["went_on"], again.err
    np.testing.assert_array_equal(np.load(tmp_path / "cells.npz")["pulses"], pulses)


def test_test_is_made_where_it_is_asked_for(
    command: Command, small: Path, stuck, tmp_path: Path
) -> None:
    """Without a model the bundle is deployed as it is."""
    file, where = stuck
    options = ("--virtual", "--stuck", file, "--march", "--faults", tmp_path / "map.npy")
    done = command("deploy", small, *options, "--agreement", "0", "--json")
    assert done.code == 0, done.err
    assert done.data["bundle"] == str(small) and done.data["stuck_cells_known"] == where.sum()
    np.testing.assert_array_equal(~np.isnan(np.load(tmp_path / "map.npy")), where)


def test_another_networks_model_is_refused(
    command: Command, small: Path, stuck, digits: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "map.npy", np.load(stuck[0]))
    options = ("--virtual", "--faults", tmp_path / "map.npy", "--calib", digits / "calib_x.npy")
    found = command("deploy", small, *options, "--model", digits / "digits.onnx")
    assert found.code == 2 and "digits" in found.sentence


def test_board_engine_needs_a_board(command: Command, small: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", samples(2))
    runs = ("run", small, "--input", tmp_path / "x.npy", "--engine", "board")
    assert "needs --port, or --state" in command(*runs).sentence
    assert "deploy --virtual --state" in command(*runs, "--state", tmp_path / "none").sentence
