from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from amaranth.back import rtlil

from ohmloom.boards.budget import Budget, memories
from ohmloom.boards.catalogue import board
from ohmloom.hw.geometry import Geometry

ULX3S = board("ulx3s-85f")


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(rows=8, columns=8, tiles=3, program_depth=48),
        Geometry(rows=8, columns=24, tiles=3, calibration=True),
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
