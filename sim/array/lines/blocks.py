"""The small blocks of a network, many at once: from single cells to blocks of some lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...numerics import FloatArray
from .cell import Cells
from .fronts import Inner, Joint, inward, joined, outward


@dataclass(frozen=True)
class Flows:
    """What currents beside the cells come to: ``sources`` of the cells [A], and ``between``
    the blocks of each step, from the cells outwards."""

    sources: FloatArray
    between: list[FloatArray]


@dataclass(frozen=True)
class Blocks:
    """Blocks of as many rows as columns, a power of two.

    Attributes
    ----------
    cells:
        Shape (blocks, lines, lines).
    inner:
        What was eliminated, from the cells outwards: beside each other, above each other, and
        so on. Nothing where it was not kept.
    """

    cells: Cells
    inner: tuple[Inner, ...]

    @classmethod
    def of(cls, cells: Cells, *, keep: bool) -> tuple[Blocks, FloatArray]:
        """Blocks of cells (blocks, lines, lines), and their ``y`` (blocks, ports, ports).

        As many ports as lines are on the left, on the right, above and below.
        """
        y, inner = cells.ports(), list[Inner]()
        sides = (1, 1, 1, 1)
        while y.shape[1] > 1:
            for beside in (True, False):
                joint = Joint.of(sides, sides, beside=beside)
                y, between = joined(*_neighbours(y, beside=beside), joint, keep=keep)
                sides = joint.sides
                if between is not None:
                    inner.append(between)
        return cls(cells, tuple(inner)), y[:, 0, 0]

    def out(self, sources: FloatArray) -> tuple[FloatArray, Flows]:
        """Currents out of the ports at 0 V [A], shape (blocks, ports, n), and inside.

        ``sources`` flow from row to column beside the cells, shape (blocks, lines, lines, n).
        """
        out, flows = self.cells.out(sources), Flows(sources, [])
        for number, inner in enumerate(self.inner):
            out, between = outward(inner, *_neighbours(out, beside=number % 2 == 0))
            flows.between.append(between)
        return out[:, 0, 0], flows

    def volts(self, ports: FloatArray, flows: Flows | None) -> FloatArray:
        """Across the cells [V], shape (blocks, lines, lines, n), from those at the ports."""
        volts = ports[:, np.newaxis, np.newaxis]
        for number in reversed(range(len(self.inner))):
            between = None if flows is None else flows.between[number]
            first, second = inward(self.inner[number], volts, between)
            axis = 2 if number % 2 == 0 else 1
            shape = list(first.shape)
            shape[axis] *= 2
            volts = np.stack([first, second], axis=axis + 1).reshape(shape)
        return self.cells.volts(volts, 0.0 if flows is None else flows.sources)


def _neighbours(whole: FloatArray, *, beside: bool) -> tuple[FloatArray, FloatArray]:
    """Every other of blocks (blocks, rows, columns, ...), and those right of or below them."""
    if beside:
        return whole[:, :, 0::2], whole[:, :, 1::2]
    return whole[:, 0::2], whole[:, 1::2]
