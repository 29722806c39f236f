"""Cells between rows and columns, known by the four points where their lines are cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...numerics import FloatArray
from .fronts import grounded_nowhere
from .wires import Wires


@dataclass(frozen=True)
class Cells:
    """Cells of a tile and of what fills it up to whole blocks, on its right and above it.

    A line is cut halfway between two cells. What fills up conducts nothing from rows to columns;
    far ends that are connected go through it, with the resistance that they have without it.

    Attributes
    ----------
    g:
        Conductances [S], shape (..., rows, columns).
    left, right, upper, lower:
        From each cell to its four cuts [S], of the same shape.
    """

    g: FloatArray
    left: FloatArray
    right: FloatArray
    upper: FloatArray
    lower: FloatArray

    @classmethod
    def of(cls, g: FloatArray, wires: Wires, step: int) -> Cells:
        """Those of a tile (rows, columns), ``g`` with what is in series, for blocks of ``step``."""
        rows, columns = g.shape
        padded = np.pad(g, ((-rows % step, 0), (0, -columns % step)))
        drive, sense = wires.row_ohms + wires.drive_ohms, wires.column_ohms + wires.sense_ohms
        left, right = _halves(
            columns, padded.shape[1], wires.row_ohms, drive, drive if wires.drive_both else np.inf
        )
        lower, upper = _halves(
            rows, padded.shape[0], wires.column_ohms, sense, sense if wires.sense_both else np.inf
        )
        along = (np.broadcast_to(1.0 / ohms, padded.shape) for ohms in (left, right))
        across = (
            np.broadcast_to(1.0 / ohms[::-1, np.newaxis], padded.shape) for ohms in (upper, lower)
        )
        return cls(padded, *along, *across)

    def blocks(self, step: int) -> Cells:
        """The same in blocks, shape (block rows, block columns, step, step)."""

        def cut(whole: FloatArray) -> FloatArray:
            rows, columns = (size // step for size in whole.shape)
            return whole.reshape(rows, step, columns, step).swapaxes(1, 2)

        return Cells(*(cut(part) for part in self._parts))

    def at(self, where: slice) -> Cells:
        """Some of them, of the first axis."""
        return Cells(*(part[where] for part in self._parts))

    def reshape(self, *shape: int) -> Cells:
        """The same in another shape."""
        return Cells(*(part.reshape(shape) for part in self._parts))

    @property
    def _parts(self) -> tuple[FloatArray, ...]:
        return self.g, self.left, self.right, self.upper, self.lower

    def _solved(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Conductances of a row and a column node to their cuts, the inverse's scale, and rows'.

        The two nodes' matrix is ``[[along + g, -g], [-g, across + g]]``.
        """
        along, across = self.left + self.right, self.upper + self.lower
        # Of the determinant nothing cancels.
        return along, across, 1.0 / (along * across + self.g * (along + across)), self.g

    def ports(self) -> FloatArray:
        """``y`` of each cell alone, shape (..., 4, 4)."""
        along, across, scale, g = self._solved()
        inverse = ((across + g) * scale, (along + g) * scale, g * scale)
        cuts = self._parts[1:]
        y = np.empty((*g.shape, 4, 4))
        for i in range(4):
            for j in range(4):
                y[..., i, j] = -cuts[i] * cuts[j] * inverse[i // 2 if i // 2 == j // 2 else 2]
        grounded_nowhere(y)
        return y

    def volts(self, cuts: FloatArray, sources: FloatArray | float) -> FloatArray:
        """Voltages across the cells [V], shape (..., n).

        Parameters
        ----------
        cuts:
            At the four cuts, shape (..., 4, n).
        sources:
            Currents from rows to columns beside those through ``g`` [A], shape (..., n).
        """
        along, across, scale, _ = (part[..., np.newaxis] for part in self._solved())
        left, right, upper, lower = (part[..., np.newaxis] for part in self._parts[1:])
        row = left * cuts[..., 0, :] + right * cuts[..., 1, :] - sources
        column = upper * cuts[..., 2, :] + lower * cuts[..., 3, :] + sources
        return (across * row - along * column) * scale

    def out(self, sources: FloatArray) -> FloatArray:
        """Currents out of the four cuts at 0 V [A], shape (..., 4, n), for ``sources`` (..., n)."""
        along, across, scale, _ = (part[..., np.newaxis] for part in self._solved())
        row, column = -across * scale * sources, along * scale * sources
        cuts = (part[..., np.newaxis] for part in self._parts[1:])
        nodes = (row, row, column, column)
        return np.stack([c * v for c, v in zip(cuts, nodes, strict=True)], axis=-2)


def _halves(
    count: int, padded: int, segment: float, near: float, far: float
) -> tuple[FloatArray, FloatArray]:
    """From each cell of a line, the near one first, to its cuts towards both ends [ohm].

    Parameters
    ----------
    count, padded:
        Cells, and with those that fill up.
    segment, near, far:
        Between two cells, and from the first and the last one to its end; ``far`` may be infinite.
    """
    to_near, to_far = np.full(padded, segment / 2), np.full(padded, segment / 2)
    to_near[0] = near
    if np.isfinite(far):
        piece = far / (padded - count + 1)
        to_near[count:] = piece / 2
        to_far[count - 1 :] = piece / 2
        to_far[-1] = piece
    else:
        to_far[-1] = np.inf
    return to_near, to_far
