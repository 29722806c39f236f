from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from amaranth.back import rtlil

from ohmloom.boards.board import Board, BoardError, UsbId
from ohmloom.boards.budget import Budget, memories
from ohmloom.boards.catalogue import board, boards
from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.pmod import PmodCard
from ohmloom.hw.geometry import Geometry

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


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(rows=8, columns=8, tiles=3, program_depth=48),
        Geometry(rows=16, columns=8, wear=False, locks=0, log_depth=0, window=1),
    ],
)
def test_memories_are_those_of_the_controller(geometry: Geometry) -> None:
    top: Any = ULX3S.controller(geometry)
    text = rtlil.convert(top, ports=[top.rx, top.tx], emit_src=False)
    found = re.findall(r"memory width (\d+) size (\d+)", text)
    made = Counter((int(width), int(words)) for width, words in found)
    counted = Counter(memories(geometry).values())
    assert counted <= made
    # What is not counted: the link's control store and what is smaller.
    assert max(width * words for width, words in made - counted) <= 16 * 512


def test_blocks_by_the_shape_that_takes_the_fewest() -> None:
    budget = Budget(100, 100, 10, ((1, 16384), (9, 2048), (36, 512)), 0)
    assert budget.blocks(36, 512) == 1
    assert budget.blocks(1, 16385) == 2
    assert budget.blocks(10, 2048) == 2
    assert budget.blocks(8, 64) == 0
    assert budget.block_bits == 36 * 512


@pytest.mark.parametrize("entry", boards().values(), ids=str)
def test_every_board_says_what_it_is(entry: Board) -> None:
    for name, afe in entry.afes.items():
        assert name in ("array_card", "pmod", "emulated")
        entry.check(afe.standard, name)
    for programmer in entry.programmers:
        for arguments in (programmer.volatile, programmer.flash):
            assert arguments is None or sum("{bitstream}" in each for each in arguments) == 1


def test_usb_ids_are_shown_as_the_system_shows_them() -> None:
    assert str(UsbId(0x403, 0x6015)) == "0403:6015"
