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

from ohmloom.boards.virtual.board import VirtualBoard
from ohmloom.boards.virtual.thread import serving
from ohmloom.compiler.bundle import write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.sim.array import SimulatedArray

from ..boards.small import array_of, compile_small, controller_of, samples
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
        (("--virtual", "--board", "icebreaker"), "48000000 Hz, board icebreaker runs at 12000000"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    command: Command, small: Path, options: tuple[str, ...], sentence: str
) -> None:
    found = command("deploy", small, *options)
    assert found.code == 2 and sentence in found.sentence


def test_board_engine_needs_a_board(command: Command, small: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", samples(2))
    runs = ("run", small, "--input", tmp_path / "x.npy", "--engine", "board")
    assert "needs --port, or --state" in command(*runs).sentence
    assert "deploy --virtual --state" in command(*runs, "--state", tmp_path / "none").sentence
