"""Which cells of a controller's tiles an array is made of, and where each of them is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...hw.geometry import Geometry
from ...sim.array import ArrayError
from ...sim.numerics import IntArray

Place = tuple[int, int, int]
"""Tile, row and column."""


@dataclass(frozen=True)
class Region:
    """``size`` cells from the first one of tile ``first`` on, row by row and tile by tile."""

    geometry: Geometry
    first: int
    size: int

    @property
    def tiles(self) -> range:
        """Tiles that have cells of it."""
        return range(self.first, self.first + -(-self.size // self.geometry.cells))

    def cells(self, cells: ArrayLike) -> IntArray:
        """Cell numbers of the array.

        Raises
        ------
        ArrayError
            On a cell that it does not have, or named twice.
        """
        found = np.asarray(cells)
        if found.size and found.dtype.kind not in "iu":
            raise ArrayError(f"cell numbers are integers, not {found.dtype}")
        found = found.astype(np.int64, copy=False)
        if found.size and not 0 <= int(found.min()) <= int(found.max()) < self.size:
            raise ArrayError(
                f"cells {int(found.min())}..{int(found.max())} are outside 0..{self.size - 1}"
            )
        if np.unique(found).size != found.size:
            raise ArrayError("a cell is named twice in one batch")
        return found

    def place(self, cell: int | np.integer | IntArray) -> Place:
        """Where a cell is."""
        tile, rest = divmod(int(cell), self.geometry.cells)
        return self.first + tile, *divmod(rest, self.geometry.columns)

    def neighbours(self, cells: IntArray, most: int = 1 << 16) -> Iterator[IntArray]:
        """Indices of cells that are side by side in a row, at most ``most`` at once."""
        group: list[int] = []
        for index in np.argsort(cells, kind="stable").tolist():
            if group and not (
                cells[index] == cells[group[-1]] + 1
                and cells[index] % self.geometry.columns
                and len(group) < most
            ):
                yield np.array(group)
                group = []
            group.append(index)
        if group:
            yield np.array(group)
