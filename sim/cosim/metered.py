"""Cells as a meter on a bench finds them: on a grid far finer than that of a network's codes.

The engines agree on sums of 14-bit conductance codes. A bench reads single cells over
decades, and devices that hold no weights; for it the card's sums are of finer codes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..array import SimulatedArray
from ..numerics import FloatArray, IntArray

G_LSB = 1e-12
"""Conductance code [S]: 22 mS are 2^34 of them, and a sum of rows stays below 2^53."""
VAR_EXPONENT = 0


class MeteredCells:
    """An array whose cells the analog card reads finely; all else is the array's own.

    It has what :class:`~ohmloom.sim.cosim.card.AnalogCard` asks an array for.

    Parameters
    ----------
    array : SimulatedArray
        The cells.
    """

    def __init__(self, array: SimulatedArray) -> None:
        self.array = array
        device = array.device
        self.device = SimpleNamespace(
            name=device.name, modes=device.modes, g_lsb=G_LSB, var_exponent=VAR_EXPONENT
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.array, name)

    def verify_totals(self, cells: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
        """One single read of each cell: code, variance code and normal deviate."""
        numbers = np.asarray(cells, dtype=np.int64)
        total, variance = self._codes(*self.array.single(numbers), numbers)
        return total, variance, self.array.verify_draw(numbers)

    def column_totals(
        self,
        tile: int,
        bits: ArrayLike,
        columns: slice = slice(None),
        gated: NDArray[np.bool_] | None = None,
    ) -> tuple[IntArray, IntArray]:
        """Sums of codes and variance codes over the driven rows, shape (n, columns)."""
        driven = np.asarray(bits, dtype=np.int64)
        rows = np.flatnonzero(driven.any(axis=0))
        cells = self.array.tile_cells(tile)[rows]
        total, variance = self._codes(*self.array.single(cells), cells)
        some = driven[:, rows]
        return some @ total[:, columns], some @ variance[:, columns]

    def _codes(
        self, seen: FloatArray, own: FloatArray, cells: IntArray
    ) -> tuple[IntArray, IntArray]:
        modes = self.array.state.mode.reshape(-1)[cells]
        noise = np.array([mode.p.read.noise.value for mode in self.array.device.modes])[modes]
        deviation = np.rint(np.minimum(seen, own) * noise / G_LSB).astype(np.int64)
        return np.rint(seen / G_LSB).astype(np.int64), deviation * deviation
