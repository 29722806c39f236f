"""Routers that make no way: by the table in nextpnr's log, and as processes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ohmloom.boards import tools
from ohmloom.boards.routing import ROWS, UNROUTED, in_circles
from ohmloom.boards.tools import ToolRunner

HEAD = """Info: Routing 19269 arcs.
Info:            |   (re-)routed arcs  |   delta    | remaining|       time spent     |
Info:    IterCnt |  w/ripup   wo/ripup |  w/r  wo/r |      arcs| batch(sec) total(sec)|
"""


def written(folder: Path, left: Iterable[int]) -> Path:
    rows = (
        f"Info: {1000 * number:10d} | {21501:8d} {29817:10d} |  504   496 | {arcs:9d}|"
        f"       0.57      28.57|\n"
        for number, arcs in enumerate(left, 1)
    )
    path = folder / "top.tim"
    path.write_text(HEAD + "".join(rows))
    return path


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ([], False),
        (range(19000, 0, -200), False),
        ([*range(900, 5, -5), *[5] * ROWS], False),
        ([*range(900, 5, -5), *[5] * (ROWS + 1)], True),
        ([5064, 5064, *[5065, 5064] * ROWS], True),
        ([5064] * (2 * ROWS) + [5063], False),
    ],
)
def test_rows_without_progress_are_counted(left, expected: bool, tmp_path: Path) -> None:
    assert in_circles(written(tmp_path, left)) is expected


def test_a_log_that_is_not_there_yet_says_nothing(tmp_path: Path) -> None:
    assert not in_circles(tmp_path / "top.tim")


def router(folder: Path, monkeypatch: pytest.MonkeyPatch, left: Iterable[int], then: str) -> None:
    """A nextpnr that has written such a log, and then does something else."""
    written(folder, left).rename(folder / "rows")
    path = folder / "nextpnr-ice40"
    path.write_text(f"#!/bin/sh\n[ $1 = --version ] && exit\ncp rows top.tim\n{then}\n")
    path.chmod(0o755)
    monkeypatch.setenv("NEXTPNR_ICE40", str(path))
    monkeypatch.setattr(tools, "LOOK_SECONDS", 0.05)


COMMAND = ["nextpnr-ice40", "--log", "top.tim"]


def test_a_router_in_circles_is_ended_and_has_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    router(tmp_path, monkeypatch, [7] * (ROWS + 2), "exec sleep 600")
    assert ToolRunner().run(COMMAND, tmp_path, tmp_path / "said") == 1
    assert UNROUTED in (tmp_path / "said").read_text()


def test_a_router_that_gets_there_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    router(tmp_path, monkeypatch, [7] * ROWS, "sleep 0.3; echo done; exit 3")
    assert ToolRunner().run(COMMAND, tmp_path, tmp_path / "said") == 3
    assert (tmp_path / "said").read_text() == "done\n"
