from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.catalogue import board
from ohmloom.cli.steps.targets import SIMULATED, afe_of, link_baud, target
from ohmloom.hw.afe.kinds import FrontEndKind


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


@pytest.mark.parametrize(
    ("name", "afe", "kind"),
    [
        ("ulx3s-85f", None, FrontEndKind.ARRAY_CARD),
        ("ulx3s-85f", "array-card", FrontEndKind.ARRAY_CARD),
        ("ulx3s-85f", "emulated", FrontEndKind.EMULATED),
        ("orangecrab-25f", None, FrontEndKind.EMULATED),
        ("icebreaker", "array_card", FrontEndKind.CHAINED_CARD),
        (SIMULATED, None, FrontEndKind.ARRAY_CARD),
        (SIMULATED, "array-card", FrontEndKind.ARRAY_CARD),
        (SIMULATED, "emulated", FrontEndKind.EMULATED),
    ],
)
def test_front_ends_of_targets(name: str, afe: str | None, kind: FrontEndKind) -> None:
    assert afe_of(name, afe) is kind


def test_networks_are_not_compiled_for_the_bench() -> None:
    with pytest.raises(BoardError, match="front end pmod of board orangecrab-25f, .* emulated$"):
        afe_of("orangecrab-25f", "pmod")
    with pytest.raises(BoardError, match="accepted are: array_card, emulated$"):
        afe_of("ulx3s-85f", "pmod")
    with pytest.raises(BoardError, match="simulated has no front end 'pmod', it has: array_card"):
        afe_of(SIMULATED, "pmod")


def test_a_card_with_other_parts_is_one_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from functools import partial\n"
        "from ohmloom.boards.catalogue import board\n"
        "from ohmloom.hw.afe import ad7606\n"
        "from ohmloom.hw.afe.array_card import ArrayCard\n"
        "ULX3S = board('ulx3s-85f')\n"
        "CARD = replace(ULX3S.afe(), front_end=partial(ArrayCard, adc=ad7606.PART))\n"
        "BOARDS = (replace(ULX3S, name='mine', afes={'array_card': CARD}),)\n"
    )
    assert afe_of(str(path)) is FrontEndKind.ARRAY_CARD


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
        ("ulx3s-85f", "pmod", "front end pmod of board ulx3s-85f"),
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
