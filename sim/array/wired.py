"""Effective conductances: what a read finds of cells behind lines with resistance.

The network of lines and cells is linear while it is read, and a line that is neither driven
nor sensed is at 0 V, as idle rows are at any time. So the current of each column is the sum of
the driven rows' voltages, each times a number of its own that no other voltage changes: an
entry of :meth:`~ohmloom.sim.array.lines.Network.transfer`, exactly. It stands for the cell
where row and column cross. It is never below 0: a row that rises raises every other point.

Of the relative noise of a cell its column has ``(T - S) / (g + g^2 z)``: ``T`` is the effective
conductance, ``g`` the cell's own, ``S`` what would come without it by way of other columns, and
``z`` the resistance of the lines between its ends. Taken is ``min(T, g) / g``, never less than
that and more by shares of ``g z`` and ``S / T``. What other rows, driven meanwhile, take from
the cell's voltage, and the noise of cells that are in other places, are left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..numerics import FloatArray, IntArray
from .lines import Network, Wires

_BYTES = 1 << 26
"""Of effective conductances that are kept, the last used ones."""


class Wired:
    """Effective conductances of the tiles of an array.

    Parameters
    ----------
    wires:
        The lines.
    passive:
        Whether cells have no transistors: then those of all columns conduct, sensed or not.
        Else those whose gates are off, a gate for each column, do not.
    """

    def __init__(self, wires: Wires, *, passive: bool) -> None:
        self.wires, self.passive = wires, passive
        self._kept: OrderedDict[tuple[int, bytes], tuple[FloatArray, FloatArray]] = OrderedDict()
        self._bytes = 0

    def tile(self, tile: int, g: FloatArray, gated: NDArray[np.bool_] | None = None) -> FloatArray:
        """Of all cells of a tile [S], shape (rows, columns); 0 where gates are off.

        Parameters
        ----------
        tile:
            Its number.
        g:
            Conductances [S], shape (rows, columns).
        gated:
            Columns whose gates are on, shape (columns,); all without it.
        """
        on = np.ones(g.shape[1], np.bool_) if gated is None or self.passive else gated
        key = tile, on.tobytes()
        known = self._kept.get(key)
        if known is None or not np.array_equal(known[0], g):
            known = self._keep(key, g.copy(), self._seen(g, on))
        self._kept.move_to_end(key)
        return known[1]

    def single(
        self, conductances: Callable[[int], FloatArray], cells: IntArray, rows: int, columns: int
    ) -> tuple[FloatArray, FloatArray]:
        """Of single cells, those of a row read side by side with the other columns' gates off.

        Parameters
        ----------
        conductances:
            Of a tile's cells [S], shape (rows, columns).
        cells:
            Flat numbers, any shape.
        rows, columns:
            Of a tile.

        Returns
        -------
        Effective conductances and conductances [S], of the shape of ``cells``.
        """
        row, column = np.divmod(cells.reshape(-1), columns)
        driven, which = np.unique(row, return_inverse=True)
        gated = np.zeros((driven.size, columns), dtype=np.bool_)
        gated[which, column] = True
        seen, own = np.empty((2, driven.size, columns))
        for tile in np.unique(driven // rows).tolist():
            here, g = np.flatnonzero(driven // rows == tile), conductances(tile)
            patterns, pattern = np.unique(gated[here], axis=0, return_inverse=True)
            own[here] = g[driven[here] % rows]
            for number, on in enumerate(patterns):
                some = here[pattern.reshape(-1) == number]
                seen[some] = self.tile(tile, g, on)[driven[some] % rows]
        return seen[which, column].reshape(cells.shape), own[which, column].reshape(cells.shape)

    def _seen(self, g: FloatArray, on: NDArray[np.bool_]) -> FloatArray:
        """Solved anew; between the driver and the first column that is on there is only line."""
        seen = np.zeros(g.shape)
        used = np.flatnonzero(on)
        if used.size:
            first, last, wires = int(used[0]), int(used[-1]), self.wires
            if wires.drive_both:
                first, last = 0, g.shape[1] - 1
            wires = replace(wires, drive_ohms=wires.drive_ohms + first * wires.row_ohms)
            part = slice(first, last + 1)
            found = Network(g[:, part] * on[part], wires, keep=False).transfer()
            seen[:, part] = np.maximum(found, 0.0) * on[part]
        return seen

    def _keep(
        self, key: tuple[int, bytes], g: FloatArray, seen: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        if key in self._kept:
            self._bytes -= sum(part.nbytes for part in self._kept.pop(key))
        found = self._kept[key] = g, seen
        self._bytes += g.nbytes + seen.nbytes
        while self._bytes > _BYTES and len(self._kept) > 1:
            self._bytes -= sum(part.nbytes for part in self._kept.popitem(last=False)[1])
        return found
