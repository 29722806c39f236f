"""Voltages and currents of a tile whose lines have resistance, by nested dissection.

The network of rows, columns and cells is cut into blocks along its lines. A block is a matrix
on the points where its lines are cut; two blocks that touch become one by eliminating the
points between them, until the whole tile is a matrix on the ends of its lines. Of what is
eliminated nothing has to be kept for the currents at the ends, and some 70 numbers a cell
for the voltages inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve

from ...blas import blas_threads
from ...numerics import FloatArray, IntArray
from ..errors import ArrayError
from .blocks import Blocks, Flows
from .cell import Cells
from .tree import Between, Part, downward, tree, upward
from .wires import Wires

_LINES = 32
"""Of the small blocks, which are made many at once."""
_TOGETHER = 16
"""Of these at once: what that takes stays near the processor."""
_SETTINGS = 16
"""Settings that are solved at once: bounds memory."""


@dataclass(frozen=True)
class Solution:
    """Of a network, with n settings of its ends.

    Attributes
    ----------
    cell_volts:
        Across the cells, from row to column, what is in series with them included [V],
        shape (rows, columns, n).
    row_amperes, column_amperes:
        Into the rows and out of the columns, at all their ends together [A], shapes (rows, n)
        and (columns, n).
    """

    cell_volts: FloatArray
    row_amperes: FloatArray
    column_amperes: FloatArray


class Network:
    """A tile's cells and lines, ready to be solved for any voltages at the ends of the lines.

    Parameters
    ----------
    g:
        Conductances of the cells [S], shape (rows, columns).
    wires:
        Its lines.
    keep:
        Whether voltages inside will be asked for (:meth:`solve`).
    threads:
        That it may use.

    Raises
    ------
    ArrayError
        If there are no such cells.
    """

    def __init__(self, g: ArrayLike, wires: Wires, *, keep: bool = True, threads: int = 1) -> None:
        own = wires.cells(g)
        self.rows, self.columns = own.shape
        self.threads = threads
        self._lines = min(_LINES, 1 << (max(own.shape) - 1).bit_length())
        cells = Cells.of(own, wires, self._lines).blocks(self._lines)
        self._grid = cells.g.shape[:2]
        self._groups, root = self._made(cells, wires, keep=keep)
        left, right, upper, lower = _sides(root)
        # What fills the tile up to whole blocks is above it and right of it.
        self._rows = [side[-self.rows :] for side in (left, right) if len(side)]
        self._columns = [side[: self.columns] for side in (upper, lower) if len(side)]
        self._y, root.y = root.y, np.empty((0, 0))
        self._root = root if keep else None

    def _made(self, cells: Cells, wires: Wires, *, keep: bool) -> tuple[list[Blocks], Part]:
        """Small blocks, some together, and the whole; without ``keep`` no blocks."""
        rows, columns = self._grid
        count = rows * columns
        flat = cells.reshape(count, *cells.g.shape[2:])
        groups = [flat.at(slice(n, n + _TOGETHER)) for n in range(0, count, _TOGETHER)]

        # Threads of BLAS, of numpy and of scipy, would wait for each other.
        with blas_threads(1), ExitStack() as stack:
            pool = None
            if self.threads > 1 and len(groups) > 1:
                pool = stack.enter_context(ThreadPoolExecutor(self.threads))
            each = map if pool is None else pool.map
            made = list(each(partial(Blocks.of, keep=keep), groups))
            parts = [
                Part.small(y, n, (True, n % columns < columns - 1 or wires.drive_both,
                                  n >= columns or wires.sense_both, True))
                for n, y in enumerate(y for _, ys in made for y in ys)
            ]  # fmt: skip
            lines = [parts[n : n + columns] for n in range(0, count, columns)]
            whole = tree(lines, pool, keep=keep)
        return [blocks for blocks, _ in made] if keep else [], whole

    def transfer(self) -> FloatArray:
        """Current out of each column for one volt at each row [A/V], shape (rows, columns).

        All other lines are at 0 V. It is what the conductances would be without lines: the
        column currents of any row voltages are their product with it.
        """
        found = np.zeros((self.rows, self.columns))
        for driven in self._rows:
            for sensed in self._columns:
                found -= self._y[driven[:, np.newaxis], sensed]
        return found

    def solve(
        self, row_volts: ArrayLike, column_volts: ArrayLike = 0.0, sources: ArrayLike = 0.0
    ) -> Solution:
        """Voltages of all cells and currents of all lines.

        Parameters
        ----------
        row_volts, column_volts:
            At the ends of rows and columns [V], shapes (rows, n) and (columns, n) or what
            broadcasts to them. NaN: the line's ends are in the air.
        sources:
            Currents from rows to columns beside the cells [A], shape (rows, columns, n) or
            what broadcasts to it.

        Raises
        ------
        ArrayError
            If every line is in the air, or nothing inside was kept.
        """
        parts = [np.asarray(part, np.float64) for part in (row_volts, column_volts, sources)]
        n = max(part.shape[-1] if part.ndim else 1 for part in parts)
        shapes = (self.rows, n), (self.columns, n), (self.rows, self.columns, n)
        rows, columns, beside = (
            np.broadcast_to(part, shape) for part, shape in zip(parts, shapes, strict=True)
        )
        if not beside.any():
            beside = None
        if np.isnan(rows).all(axis=0).any() and np.isnan(columns).all(axis=0).any():
            raise ArrayError("every line of a tile is in the air")
        found = Solution(*(np.empty(shape) for shape in (shapes[2], shapes[0], shapes[1])))
        for start in range(0, n, _SETTINGS):
            some = slice(start, start + _SETTINGS)
            part = self._solved(
                rows[:, some], columns[:, some], None if beside is None else beside[..., some]
            )
            found.cell_volts[..., some] = part.cell_volts
            found.row_amperes[:, some] = part.row_amperes
            found.column_amperes[:, some] = part.column_amperes
        return found

    def _solved(
        self, rows: FloatArray, columns: FloatArray, sources: FloatArray | None
    ) -> Solution:
        if self._root is None:
            raise ArrayError("voltages inside a network of which nothing inside was kept")
        n = rows.shape[1]
        out, between = np.zeros((len(self._y), n)), Between()
        flows: list[Flows | None] = [None] * len(self._groups)
        if sources is not None:
            beside = self._in_blocks(sources)
            ports = list[FloatArray]()
            for number, (group, part) in enumerate(zip(self._groups, beside, strict=True)):
                small, flows[number] = group.out(part)
                ports += [*small]
            out = upward(self._root, ports, between)
        volts = np.zeros((len(self._y), n))  # 0 at the ends of what fills up
        for side in self._rows:
            volts[side] = rows
        for side in self._columns:
            volts[side] = columns
        air = np.isnan(volts)
        self._float(volts, out, air)
        amperes = np.where(air, 0.0, self._y @ volts - out)
        ports = [np.empty(0)] * (self._grid[0] * self._grid[1])
        downward(self._root, volts, between, ports)
        found = [
            group.volts(np.stack(ports[number * _TOGETHER : (number + 1) * _TOGETHER]), flow)
            for number, (group, flow) in enumerate(zip(self._groups, flows, strict=True))
        ]
        return Solution(
            self._in_tile(np.concatenate(found)),
            np.sum([amperes[side] for side in self._rows], axis=0),
            -np.sum([amperes[side] for side in self._columns], axis=0),
        )

    def _float(self, volts: FloatArray, out: FloatArray, air: NDArray[np.bool_]) -> None:
        """Put the voltages of ends in the air where no current flows."""
        for pattern in np.unique(air, axis=1).T if air.any() else ():
            settings = np.flatnonzero((air == pattern[:, np.newaxis]).all(axis=0))
            free, fixed = np.flatnonzero(pattern), np.flatnonzero(~pattern)
            if not free.size:
                continue
            known = self._y[np.ix_(free, fixed)] @ volts[np.ix_(fixed, settings)]
            own = cho_factor(self._y[np.ix_(free, free)], check_finite=False)
            volts[np.ix_(free, settings)] = cho_solve(own, out[np.ix_(free, settings)] - known)

    def _in_blocks(self, tile: FloatArray) -> Iterator[FloatArray]:
        """What belongs to cells (rows, columns, n), group by group (blocks, lines, lines, n)."""
        lines, n = self._lines, tile.shape[2]
        above, right = -self.rows % lines, -self.columns % lines
        whole = np.pad(tile, ((above, 0), (0, right), (0, 0)))
        rows, columns = self._grid
        small = whole.reshape(rows, lines, columns, lines, n).swapaxes(1, 2)
        small = small.reshape(rows * columns, lines, lines, n)
        return (small[start : start + _TOGETHER] for start in range(0, len(small), _TOGETHER))

    def _in_tile(self, small: FloatArray) -> FloatArray:
        """The other way round, from all blocks (blocks, lines, lines, n)."""
        rows, columns = self._grid
        lines, n = self._lines, small.shape[-1]
        whole = small.reshape(rows, columns, lines, lines, n).swapaxes(1, 2)
        return whole.reshape(rows * lines, columns * lines, n)[-self.rows :, : self.columns]


def _sides(part: Part) -> list[IntArray]:
    """Numbers of a part's ports, side by side."""
    return np.split(np.arange(sum(part.sides)), np.cumsum(part.sides)[:-1])
