"""Large batches of cells in blocks: the working set of a pulse then stays in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..devices.draws import as_slice
from ..numerics import IntArray

SIZE = 1 << 16
"""Cells of a block."""


@dataclass(frozen=True)
class Block:
    """Some cells of a batch.

    Attributes
    ----------
    where:
        Their place in the batch.
    cells:
        Their numbers.
    index:
        The same as a numpy index: a slice where the numbers follow each other.
    """

    where: slice
    cells: IntArray
    index: slice | IntArray


def blocks(cells: IntArray) -> Iterator[Block]:
    """The blocks of a batch of cell numbers, shape (n,), in order."""
    run = as_slice(cells)
    for start in range(0, cells.size, SIZE):
        where = slice(start, min(start + SIZE, cells.size))
        some = cells[where]
        if isinstance(run, slice):
            yield Block(where, some, slice(run.start + where.start, run.start + where.stop))
        else:
            yield Block(where, some, as_slice(some))
