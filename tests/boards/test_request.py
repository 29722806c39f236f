from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ohmloom.boards import request
from ohmloom.boards.board import Board
from ohmloom.boards.build import build_controller
from ohmloom.boards.catalogue import board
from ohmloom.boards.emulated import standard_tables, with_tables
from ohmloom.boards.request import recall, remember, request_key
from ohmloom.hw.geometry import Geometry

ULX3S = board("ulx3s-85f")
SMALL = Geometry(rows=8, columns=8, tiles=1)
VERSIONS = {"yosys": "1", "nextpnr-ecp5": "2"}


def key(
    geometry: Geometry = SMALL,
    asked: Board = ULX3S,
    afe: str | None = None,
    versions: dict[str, str] = VERSIONS,
) -> str | None:
    return request_key(geometry, asked, afe, versions)


def test_the_same_request_has_the_same_key() -> None:
    assert key() == key() == key(afe="array-card") is not None


def test_whatever_goes_in_changes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = [
        key(),
        key(replace(SMALL, tiles=2)),
        key(asked=board("ulx3s-45f")),
        key(afe="pmod"),
        key(versions={**VERSIONS, "yosys": "1.1"}),
        key(versions={"yosys": "1"}),
    ]
    monkeypatch.setenv("AMARANTH_synth_opts", "-noabc9")
    keys.append(key())
    monkeypatch.delenv("AMARANTH_synth_opts")
    monkeypatch.setattr("platform.python_version", lambda: "3.99")
    keys.append(key())
    assert None not in keys and len(set(keys)) == len(keys)


def test_so_do_the_cells_of_a_bundle() -> None:
    tables = standard_tables()
    others = replace(tables, reset_mean=tables.reset_mean + 1)
    asked = [with_tables(ULX3S, each) for each in (tables, others)]
    keys = [key(asked=each, afe="emulated") for each in (*asked, ULX3S)]
    assert None not in keys and len(set(keys)) == 3
    assert key(asked=with_tables(asked[1], tables), afe="emulated") == keys[0]


@pytest.mark.parametrize(
    "name", ["hw/afe/array_card.py", "boards/ice40.v", "boards/new.py", "sim/devices/cell.toml"]
)
def test_so_does_every_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    for part in (
        "hw/afe/array_card.py",
        "boards/ice40.v",
        "compiler/emitter.py",
        "sim/devices/cell.toml",
    ):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).write_text("before")
    monkeypatch.setattr(request, "ROOT", tmp_path)
    before = key()
    (tmp_path / "compiler/emitter.py").write_text("of no account")
    assert key() == before
    (tmp_path / name).write_text("after")
    assert key() != before


def test_so_does_a_touched_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "json_like"
    library.mkdir()
    (library / "__init__.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(request, "LIBRARIES", {"json_like": "amaranth"})
    before = key()
    (library / "__init__.py").write_text("a = 12\n")
    assert key() != before


def test_a_board_that_is_not_of_the_catalogue_is_made_anew() -> None:
    assert key(asked=replace(ULX3S, seed=2)) is None


def test_what_was_found_is_found_again(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    assert recall(tmp_path, "k") is None
    remember(tmp_path, "k", entry)
    assert recall(tmp_path, "k") is None
    entry.mkdir()
    assert recall(tmp_path, "k") == entry
    assert recall(tmp_path, "other") is None


def test_the_second_build_is_not_even_elaborated(fake_tools: Any, tmp_path: Path) -> None:
    tools, stages = fake_tools(), []

    def build(geometry: Geometry, asked: Board = ULX3S) -> Any:
        return build_controller(
            geometry,
            asked,
            tmp_path / "out",
            progress=stages.append,
            runner=tools,
            cache=tmp_path / "cache",
        )

    first = build(SMALL)
    assert stages == ["elaboration", "synthesis", "place and route", "packing"]
    second = build(SMALL)
    assert len(stages) == 4 and second.cached and not first.cached
    assert {**second.as_dict(), "cached": False} == first.as_dict()
    tools.version = "2"
    assert not build(SMALL).cached
    # The design is what it was: elaborated again, and found by its plan.
    own = build(SMALL, replace(ULX3S, name="ulx3s-85f"))
    assert own.cached and stages[-1] == "elaboration"
