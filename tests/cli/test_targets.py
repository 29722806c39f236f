from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.catalogue import board
from ohmloom.cli.steps.targets import link_baud, target


def test_a_target_has_the_memory_of_the_largest_controller() -> None:
    ulx3s = board("ulx3s-85f")
    geometry, clk_hz = target("ulx3s-85f", None, None)
    assert (geometry.rows, geometry.columns) == (ulx3s.standard.rows, ulx3s.standard.columns)
    assert geometry.program_depth == ulx3s.largest.program_depth and clk_hz == ulx3s.clk_hz


def test_another_front_end_has_another_controller() -> None:
    geometry, _ = target("ulx3s-85f", None, 4, "pmod")
    assert (geometry.rows, geometry.columns, geometry.tiles, geometry.step) == (8, 4, 1, 2)
    with pytest.raises(BoardError, match="has no front end 'pmod'"):
        target("icebreaker", None, None, "pmod")


@pytest.mark.parametrize("name", ["ulx3s-12f", "tang-nano-9k", "simulated"])
def test_a_controller_may_have_a_calibration_table(name: str) -> None:
    afe = None if name == "simulated" else "array_card"
    plain, _ = target(name, None, None, afe)
    calibrated, _ = target(name, None, None, afe, calibrated=True)
    assert calibrated == replace(plain, calibration=True) != plain
    if name != "simulated":
        board(name).check(replace(board(name).afe(afe).standard, calibration=True), afe)


@pytest.mark.parametrize(
    ("name", "afe", "said"),
    [
        ("icebreaker", None, "icebreaker with front end array_card is built without a cal"),
        ("ulx3s-85f", "pmod", "ulx3s-85f with front end pmod is built without a calibration table"),
        ("ulx3s-85f", "emulated", "an emulated array has no channels"),
        ("tang-nano-9k", None, "an emulated array has no channels"),
        ("simulated", "emulated", "an emulated array has no channels"),
    ],
)
def test_where_there_is_no_calibration_table(name: str, afe: str | None, said: str) -> None:
    with pytest.raises(BoardError, match=said):
        target(name, None, None, afe, calibrated=True)


def test_a_board_of_the_users_own_is_a_target(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from ohmloom.boards.catalogue import board\n"
        "BOARDS = (replace(board('icebreaker'), name='mine', baud=250_000),)\n"
    )
    geometry, clk_hz = target(str(path), None, None)
    assert geometry.rows == 16 and clk_hz == 12_000_000
    assert link_baud(str(path)) == 250_000
