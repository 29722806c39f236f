"""The tile as a tree: two parts of each part, down to the small blocks."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...numerics import FloatArray
from .fronts import Inner, Joint, Sides, inward, joined, outward

Between = dict[int, FloatArray]
"""Currents that come out of two parts between them at 0 V, by the ``id`` of what they make."""


@dataclass
class Part:
    """A part of the tile.

    Attributes
    ----------
    y, sides:
        At its ports; empty once it is joined.
    number, used:
        Of a small block, and which of its ports are cut lines or connected ends.
    parts, inner:
        The two that were joined, and what was between them if that was kept.
    """

    y: FloatArray
    sides: Sides
    number: int = 0
    used: NDArray[np.bool_] | None = None
    parts: tuple[Part, Part] | None = None
    inner: Inner | None = None

    @classmethod
    def small(cls, y: FloatArray, number: int, sides: tuple[bool, bool, bool, bool]) -> Part:
        """A small block of which whole sides are in the air where ``sides`` says so."""
        lines = len(y) // 4
        used = np.repeat(sides, lines)
        left, right, upper, lower = (lines * side for side in sides)
        return cls(y[used][:, used], (left, right, upper, lower), number, used)


def tree(grid: list[list[Part]], pool: Executor | None = None, *, keep: bool) -> Part:
    """The whole of parts that lie in rows and columns, whose lines a pool joins side by side."""
    each = map if pool is None else pool.map
    while len(grid) > 1 or len(grid[0]) > 1:
        beside = len(grid[0]) >= len(grid)
        lines = grid if beside else [[*line] for line in zip(*grid, strict=True)]
        lines = [*each(partial(_paired, beside=beside, keep=keep), lines)]
        grid = lines if beside else [[*line] for line in zip(*lines, strict=True)]
    return grid[0][0]


def _paired(line: list[Part], *, beside: bool, keep: bool) -> list[Part]:
    """Neighbours joined; the last one of an odd number stays alone."""
    made = []
    for first, second in zip(line[0::2], line[1::2], strict=False):
        joint = Joint.of(first.sides, second.sides, beside=beside)
        y, inner = joined(first.y, second.y, joint, keep=keep)
        first.y = second.y = np.empty((0, 0))
        made.append(Part(y, joint.sides, parts=(first, second), inner=inner))
    return made + line[2 * len(made) :]


def upward(part: Part, small: list[FloatArray], between: Between) -> FloatArray:
    """Currents out of a part's ports at 0 V, from those of all small blocks (all ports, n)."""
    if part.parts is None:
        return small[part.number][part.used]
    assert part.inner is not None
    first, second = (upward(each, small, between) for each in part.parts)
    out, between[id(part)] = outward(part.inner, first, second)
    return out


def downward(part: Part, volts: FloatArray, between: Between, small: list[FloatArray]) -> None:
    """Voltages at the ports of all small blocks, into ``small``, from those at a part's."""
    if part.parts is None:
        assert part.used is not None
        small[part.number] = np.zeros((len(part.used), volts.shape[1]))
        small[part.number][part.used] = volts
        return
    assert part.inner is not None
    halves = inward(part.inner, volts, between.get(id(part)))
    for each, own in zip(part.parts, halves, strict=True):
        downward(each, own, between, small)
