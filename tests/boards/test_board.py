from __future__ import annotations

from dataclasses import replace

import pytest

from ohmloom.boards.board import Board, BoardError, UsbId
from ohmloom.boards.catalogue import board, boards
from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.pmod import PmodCard

ULX3S = board("ulx3s-85f")


def test_the_first_front_end_is_the_default() -> None:
    assert isinstance(ULX3S.controller(ULX3S.standard).afe, ArrayCard)
    assert ULX3S.afe() is ULX3S.afe("array-card") is ULX3S.afes["array_card"]
    assert ULX3S.standard is ULX3S.afe().standard and ULX3S.largest is ULX3S.afe().largest


def test_each_front_end_has_its_geometries() -> None:
    pmod = ULX3S.afe("pmod")
    assert isinstance(ULX3S.controller(pmod.standard, "pmod").afe, PmodCard)
    with pytest.raises(BoardError, match="holds rows up to 8, the bundle needs 32"):
        ULX3S.controller(ULX3S.standard, "pmod")
    with pytest.raises(BoardError, match="has no front end 'bare', it has: array_card, pmod"):
        ULX3S.controller(ULX3S.standard, "bare")


def test_too_much_memory_is_refused_with_the_numbers() -> None:
    small = board("ulx3s-25f")
    geometry = replace(small.standard, program_depth=8192, param_depth=8192)
    wanted = sum(small.memory_blocks(geometry).values())
    assert wanted > 56
    with pytest.raises(BoardError) as refused:
        small.check(geometry)
    assert (
        f"has 56 block RAMs of 18432 bits, the controller needs at least {wanted}: "
        "param_memory 32, program_memory 32"
    ) in str(refused.value)


@pytest.mark.parametrize("entry", boards().values(), ids=lambda entry: entry.name)
def test_every_board_says_what_it_is(entry: Board) -> None:
    for name, afe in entry.afes.items():
        assert name in ("array_card", "pmod", "emulated")
        entry.check(afe.standard, name)
    for programmer in entry.programmers:
        for arguments in (programmer.volatile, programmer.flash):
            assert arguments is None or sum("{bitstream}" in each for each in arguments) == 1


def test_usb_ids_are_shown_as_the_system_shows_them() -> None:
    assert str(UsbId(0x403, 0x6015)) == "0403:6015"
    assert ULX3S.usb == (0x403, 0x6015)
