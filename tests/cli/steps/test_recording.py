"""Commands that talk to a controller, recorded, and replayed where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.boards.virtual.board import Faults
from ohmloom.boards.virtual.faults import LineFaults
from ohmloom.boards.virtual.thread import serving
from ohmloom.compiler.bundle import write_bundle
from ohmloom.compiler.compiled import Compiled

from ...boards.small import array_of, compile_small, controller_of, samples
from ..conftest import Command

GONE = ("--port", "/dev/gone")
"""A port that is not there: a replay opens none."""
VOLATILE = {"journal", "output"}
"""Names of files in a result."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compile_small(tmp_path_factory.mktemp("model"))


@pytest.fixture
def small(compiled: Compiled, tmp_path: Path) -> Path:
    return write_bundle(compiled, tmp_path / "small.ohm")


Deploy = Callable[..., dict[str, Any]]


@pytest.fixture
def recorded(command: Command, compiled: Compiled, small: Path, tmp_path: Path) -> Deploy:
    """``recorded(*options, faults=..)``: a deployment over a pseudo-terminal, kept in
    ``deploy.jsonl``; then, without faults, samples on the same board, in ``run.jsonl``."""

    def make(*options: object, faults: Faults | None = None) -> dict[str, Any]:
        np.save(tmp_path / "x.npy", samples(3))
        with serving(controller_of(compiled, array_of(compiled)), faults) as board:
            port = ("--port", board.terminal.port, "--json")
            kept = ("--record", tmp_path / "deploy.jsonl")
            done = command("deploy", small, *port, *kept, *options)
            assert done.code == 0, done.err
            if faults is not None:
                return {"deploy": told(done.data)}
            kept = ("--record", tmp_path / "run.jsonl", "--output", tmp_path / "y.npy")
            asked = ("run", small, "--input", tmp_path / "x.npy", "--engine", "board")
            ran = command(*asked, *port, *kept)
            assert ran.code == 0, ran.err
        return {"deploy": told(done.data), "run": told(ran.data)}

    return make


def told(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in VOLATILE}


def test_a_deployment_and_a_run_without_the_board(
    command: Command, recorded: Deploy, small: Path, tmp_path: Path
) -> None:
    wanted = recorded()
    journal = tmp_path / "small.ulx3s-85f.journal"
    kept = journal.read_bytes()
    for _ in range(2):
        again = command("deploy", small, *GONE, "--replay", tmp_path / "deploy.jsonl", "--json")
        assert again.code == 0, again.err
        assert again.data == wanted["deploy"]
    assert journal.read_bytes() == kept, "a replay has happened to no array"
    asked = ("run", small, "--engine", "board", *GONE, "--replay", tmp_path / "run.jsonl")
    ran = command(
        *asked, "--input", tmp_path / "x.npy", "--output", tmp_path / "again.npy", "--json"
    )
    assert ran.code == 0, ran.err
    assert told(ran.data) == wanted["run"]
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), np.load(tmp_path / "y.npy"))
    np.save(tmp_path / "other.npy", samples(3)[::-1])
    other = command(*asked, "--input", tmp_path / "other.npy")
    assert other.code == 2
    assert "is not that of" in other.sentence and "WRITE of" in other.sentence


def test_a_disturbed_deployment_is_replayed_too(
    command: Command, recorded: Deploy, small: Path, tmp_path: Path
) -> None:
    """Lost bytes, repetitions, a supply that fails: all of it happens again."""
    line = LineFaults(dropped=1e-4, flipped=1e-4)
    wanted = recorded(faults=Faults(line=line, brown_outs=2, every_s=0.03, seed=3))
    assert wanted["deploy"]["interruptions"] > 0
    again = command("deploy", small, *GONE, "--replay", tmp_path / "deploy.jsonl", "--json")
    assert again.code == 0, again.err
    assert again.data == wanted["deploy"]


def test_what_is_not_what_was_recorded(
    command: Command, compiled: Compiled, recorded: Deploy, small: Path, tmp_path: Path
) -> None:
    recorded()
    path = tmp_path / "deploy.jsonl"
    replayed = ("deploy", small, *GONE, "--replay", path)
    whole = path.read_bytes()
    at = whole.index(b'"read"', len(whole) // 2) + len(b'"read":"') + 6
    path.write_bytes(whole[:at] + (b"0" if whole[at] != ord("0") else b"1") + whole[at + 1 :])
    changed = command(*replayed)
    assert changed.code == 2 and f"{path} was altered" in changed.sentence
    path.write_bytes(whole)
    golden = replace(compiled.golden, inputs=compiled.golden.inputs[::-1].copy())
    other = write_bundle(replace(compiled, golden=golden), tmp_path / "other.ohm")
    found = command("deploy", other, *GONE, "--replay", path)
    assert found.code == 2
    assert f"{path} is about 'bundle " in found.sentence and ", not about 'bundle" in found.sentence
    # An option that makes the host say something else.
    found = command("run", small, "--engine", "board", *GONE, "--replay", path,
                    "--input", tmp_path / "x.npy")  # fmt: skip
    assert found.code == 2 and "not about 'samples through bundle" in found.sentence


def test_a_replay_begins_with_the_journal_of_its_recording(
    command: Command, recorded: Deploy, small: Path, tmp_path: Path
) -> None:
    journal, before = tmp_path / "kept.journal", tmp_path / "before.journal"
    recorded("--journal", journal)
    shutil.copy(journal, before)
    wanted = recorded("--journal", journal)["deploy"]
    assert wanted["went_on"]
    replayed = ("deploy", small, *GONE, "--replay", tmp_path / "deploy.jsonl", "--json")
    without = command(*replayed)
    assert without.code == 2
    assert "from journal " in without.sentence and "from no journal" in without.sentence
    content = before.read_bytes()
    again = command(*replayed, "--journal", before)
    assert again.code == 0, again.err
    assert again.data == wanted
    assert before.read_bytes() == content


CELL = ("--columns", 3, "--json")
ON_A_CELL = {
    "read": ("read", "--rows", 2, "--repeat", 2),
    "pulse": ("pulse", "--volts", 1, "--width", 1e-3, "--icc", 1e-4, "--rows", 2),
    "sweep": ("sweep", "--stop", 0.4, "--step", 0.1, "--icc", 1e-4),
    "retention": ("retention", "--until", 100, "--points", 2),
    "iv": ("iv", "--stop", 0.1, "--steps", 2, "--icc", 1e-4),
    "form": ("form", "--stop", 1, "--formed", 1e-5, "--icc", 1e-4),
}


@pytest.mark.parametrize("asked", ON_A_CELL.values(), ids=ON_A_CELL.keys())
def test_cells_without_a_board(command: Command, tmp_path: Path, asked: tuple[object, ...]) -> None:
    path = tmp_path / "array.jsonl"
    virtual = ("array", *asked, *CELL, "--virtual")
    real = command(*virtual, "--record", path)
    assert real.code == 0, real.err
    again = command(*virtual, "--replay", path)
    assert again.code == 0, again.err
    assert again.data == real.data and real.data["columns"]
    other = command("array", "read", *CELL, "--rows", 5, "--virtual", "--replay", path)
    assert other.code == 2 and "request" in other.sentence
    port = command("array", *asked, *CELL, *GONE, "--replay", path)
    assert port.code == 2 and "at a virtual board', not about" in port.sentence


def test_a_mode_and_the_card_of_resistors_without_a_board(command: Command, tmp_path: Path) -> None:
    for asked in (("mode", "volatile"), ("iv", "--resistors")):
        path = tmp_path / f"{asked[0]}.jsonl"
        virtual = ("array", *asked, "--virtual", "--json")
        real = command(*virtual, "--record", path)
        again = command(*virtual, "--replay", path)
        assert (again.code, again.out) == (real.code, real.out) == (0, real.out)


def test_a_replay_wears_no_cell(command: Command, tmp_path: Path) -> None:
    path, wear = tmp_path / "array.jsonl", tmp_path / "wear.npy"
    asked = ("array", "endurance", "--cycles", 2, *CELL, "--virtual")
    real = command(*asked, "--wear", wear, "--record", path)
    assert real.code == 0, real.err
    kept = wear.read_bytes()
    again = command(*asked, "--replay", path, "--wear", tmp_path / "none.npy")
    assert again.code == 0, again.err
    assert again.data == real.data
    assert wear.read_bytes() == kept and not (tmp_path / "none.npy").exists()


def test_options_that_exclude_each_other(command: Command, small: Path, tmp_path: Path) -> None:
    both = ("--record", tmp_path / "a", "--replay", tmp_path / "b")
    for asked in (("array", "read"), ("deploy", small)):
        found = command(*asked, "--virtual", *both)
        assert found.code == 2 and "--record and --replay exclude each other" in found.sentence
    np.save(tmp_path / "x.npy", samples(2))
    runs = ("run", small, "--input", tmp_path / "x.npy", "--record", tmp_path / "a")
    assert "--record and --replay are for the engine board, not numpy" in command(*runs).sentence
    assert list(tmp_path.glob("a*")) == []
