"""From a card of resistors to a calibrated deployment, from the command line."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohmloom.compiler.bundle import load_bundle, write_bundle

from ..boards.small import GEOMETRY, compile_small, network, samples
from .conftest import Command
from .test_deploy import start

ERRORS = ("--channel-errors", 1, "--seed", 3)


@pytest.fixture(scope="module")
def mendable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mendable")
    compiled = compile_small(folder, replace(GEOMETRY, calibration=True))
    return write_bundle(compiled, folder / "mendable.ohm")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    return write_bundle(compile_small(folder), folder / "plain.ohm")


@contextmanager
def board(bundle: Path, port: Path, *options: object) -> Iterator[subprocess.Popen[str]]:
    """A virtual board as a process of its own, at a port."""
    process = start("virtual-board", bundle, "--link", port, *options)
    try:
        while not port.is_symlink() and process.poll() is None:
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 0


@pytest.fixture(scope="module")
def resistors(mendable: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The port of a board with the card of resistors, whose channels have errors."""
    port = tmp_path_factory.mktemp("resistors") / "board"
    with board(mendable, port, "--resistors", *ERRORS):
        yield port


@pytest.fixture
def card(command: Command, resistors: Path, tmp_path: Path) -> Path:
    """Its calibration."""
    path = tmp_path / "card.json"
    made = command("selftest", "--port", resistors, "--calibrate", path, "--json")
    assert made.code == 0, made.err
    assert made.data["columns"] == 8 and made.data["readings"] == 96
    return path


def test_a_board_is_tested_as_the_virtual_card_is(
    command: Command, resistors: Path, card: Path, tmp_path: Path
) -> None:
    test = ("selftest", "--port", resistors, "--json")
    raw, mended = command(*test).data, command(*test, "--table", card).data
    assert (raw["calibrated"], mended["calibrated"]) == (False, True)
    for before, after in zip(raw["ranges"], mended["ranges"], strict=True):
        assert after["limit"] < before["limit"]
        assert after["highest"] - after["lowest"] < before["highest"] - before["lowest"]
    # The planted fault: the table of another card.
    other = tmp_path / "other.json"
    assert command("selftest", "--seed", 4, "--calibrate", other).code == 0
    found = command(*test, "--table", other)
    assert found.code == 1 and "further off than the parts allow" in found.sentence
    # A conversation with a board is recorded as the virtual card's is.
    path = tmp_path / "card.jsonl"
    real = command("selftest", "--port", resistors, "--record", path, "--json").data
    replayed = command("selftest", "--board", "ulx3s-85f", "--replay", path, "--json")
    assert replayed.code == 0 and replayed.data == real


def test_a_board_is_deployed_to_through_its_calibration(
    command: Command, mendable: Path, card: Path, tmp_path: Path
) -> None:
    port, given = tmp_path / "board", ("--calibration", card)
    np.save(tmp_path / "x.npy", samples(6))
    runs = (
        "run", mendable, "--input", tmp_path / "x.npy", "--engine", "board", "--port", port,
        "--json",
    )  # fmt: skip
    with board(mendable, port, *ERRORS):
        deploy = ("deploy", mendable, "--port", port, "--journal", tmp_path / "j", "--json")
        without = command(*deploy).data
        assert without["calibration"] == "none"
        assert command(*runs, "--output", tmp_path / "before.npy").code == 0
        # Cells are no resistors: the test's voltage never gets to them.
        refused = command("selftest", "--port", port)
        assert refused.code == 2
        assert "this is not the card of resistors: 8 of 8 crossings of row 0" in refused.sentence
        assert command(*runs, "--output", tmp_path / "after.npy").code == 0
        np.testing.assert_array_equal(
            *(np.load(tmp_path / f"{n}.npy") for n in ("before", "after"))
        )
        found = command(*deploy, *given).data
        assert found["calibration"] == str(card) and found["went_on"]
        assert found["self_test"]["different"] < without["self_test"]["different"]
        assert found["self_test"]["largest_difference"] < without["self_test"]["largest_difference"]
        assert found["off_when_read_back"] == 0
        forgotten = command(*runs)
        assert forgotten.code == 2 and "the controller has a calibration" in forgotten.sentence
        assert command(*runs, *given).code == 0


def test_a_controller_without_a_table(
    command: Command, plain: Path, card: Path, tmp_path: Path
) -> None:
    said = "the bundle's controller has no calibration table"
    found = command("deploy", plain, "--port", "/dev/nowhere", "--calibration", card)
    assert found.code == 2 and said in found.sentence
    np.save(tmp_path / "x.npy", samples(2))
    runs = ("run", plain, "--input", tmp_path / "x.npy", "--calibration", card)
    at = ("--engine", "board", "--port", "/dev/nowhere")
    assert said in command(*runs, *at).sentence
    assert "--calibration is for the engine board, not for numpy" in command(*runs).sentence
    with board(plain, tmp_path / "board", "--resistors", *ERRORS):
        test = ("selftest", "--port", tmp_path / "board")
        assert command(*test).code == 0
        for option in ("--table", "--calibrate"):
            found = command(*test, option, card)
            assert found.code == 2 and "has no calibration table" in found.sentence


def test_a_calibration_of_another_card_is_refused_first(
    command: Command, mendable: Path, tmp_path: Path
) -> None:
    path = tmp_path / "card.json"
    path.write_text(f'{{"columns": 16, "words": {[32768] * 128}}}')
    found = command("deploy", mendable, "--port", "/dev/nowhere", "--calibration", path)
    assert found.code == 2 and "is for 16 columns, the card has 8" in found.sentence
    path.unlink()
    found = command("deploy", mendable, "--virtual", "--calibration", path)
    assert found.code == 2 and str(path) in found.sentence


def test_compile_makes_the_controller_and_counts_its_cycles(
    command: Command, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", samples(16))
    common = (
        "compile", network(tmp_path), "--device", "cspbbr3_ogb", "--calib", tmp_path / "x.npy",
        "--rows", 8, "--columns", 8, "--json",
    )  # fmt: skip
    plain = command(*common, "-o", tmp_path / "plain.ohm").data
    calibrated = command(*common, "--calibrated", "-o", tmp_path / "calibrated.ohm").data
    assert load_bundle(tmp_path / "calibrated.ohm").image.geometry.calibration
    # What a sample takes longer is hidden behind the next plane, but for the last one of an MVM.
    more = calibrated["predicted_cycles"] - plain["predicted_cycles"]
    assert more == 4 * calibrated["tiles"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--board", "ulx3s-85f"), "--board without --port"),
        (("--port", "x", "--seed", 1), "--seed is for the virtual card"),
        (("--port", "x", "--celsius", 20), "--celsius is for the virtual card"),
        (("--port", "/dev/nowhere"), "/dev/nowhere cannot be opened"),
        (("--port", "x", "--board", "none"), "none"),
    ],
)
def test_what_is_no_self_test(command: Command, options: tuple[object, ...], sentence: str) -> None:
    found = command("selftest", *options)
    assert found.code == 2 and sentence in found.sentence


def test_resistors_take_the_place_of_cells(command: Command, mendable: Path) -> None:
    found = command("virtual-board", mendable, "--resistors", "--state", "x")
    assert found.code == 2 and "which --resistors replaces" in found.sentence
