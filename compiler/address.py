"""Address patterns: which words go where, as the few nested loops that visit them.

Where the values of a tensor lie is an array of word addresses, of the tensor's shape:
``Transpose``, ``Reshape``, ``Slice`` and the like change that array and move nothing. Only
where an instruction needs its values one after the other are they copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..hw.isa import ONCE, POOL_LOOPS, Grid, Loop

Addresses = NDArray[np.int64]
_FEW = 8
"""Copies that are not worth another try."""
_MAX_COUNT = _MAX_STEP = (1 << 16) - 1


@dataclass(frozen=True)
class Nest:
    """Rows of a table that follow in nested steps: the first row, and loops, innermost first.

    Each loop is a count and the step of every column, int64.
    """

    first: int
    loops: tuple[tuple[int, Addresses], ...]

    @property
    def rows(self) -> int:
        """Rows that it visits: they follow each other in the table."""
        return int(np.prod([count for count, _ in self.loops], dtype=np.int64))


@dataclass(frozen=True)
class Copy:
    """One ``POOL`` of windows of one word: first address read and written, and its loops."""

    act: int
    out: int
    grid: Grid

    @property
    def words(self) -> int:
        """Words that it copies."""
        return int(np.prod([loop.count for loop in self.grid.loops]))


def cover(table: Addresses, depth: int, *, backwards: bool = False) -> Iterator[Nest]:
    """The rows of a table, in order, as nests of at most ``depth`` loops.

    Greedy: each nest takes as many rows as follow in steps of constant length.

    Parameters
    ----------
    table:
        Addresses, shape (rows, columns).
    depth:
        Loops of a nest; 0 makes a nest of every row.
    backwards:
        Whether steps below 0 are taken.
    """
    begin = 0
    while begin < len(table):
        size, loops = 1, []
        while len(loops) < depth:
            count, step = _repeats(table[begin:], size, backwards)
            if count == 1:
                break
            loops.append((count, step))
            size *= count
        yield Nest(begin, tuple(loops))
        begin += size


def pool_loops(nest: Nest) -> tuple[Loop, Loop, Loop]:
    """The loops of a ``POOL`` for a nest over a table of read and written addresses."""
    made = [Loop(count, int(step[0]), int(step[1])) for count, step in nest.loops]
    made += [ONCE] * (POOL_LOOPS - len(made))
    return made[0], made[1], made[2]


def copies(source: Addresses, target: Addresses, zero: int) -> list[Copy]:
    """Copy ``source`` to ``target``, value by value.

    Parameters
    ----------
    source:
        Addresses of words, any shape; -1 where the value is 0.
    target:
        Addresses, of the same shape, each once.
    zero:
        Address of a word that holds 0.

    Returns
    -------
    The copies, in order. None reads what another one has written, if ``source`` and
    ``target`` share no word.
    """
    reads, writes = source.reshape(-1), target.reshape(-1)
    filled = reads < 0
    values = _copies(reads[~filled], writes[~filled])
    if not filled.any():
        return values
    # Zeros where they belong, or everywhere first, which is often a single copy.
    holes, everything = (
        _copies(np.full_like(places, zero), places) for places in (writes[filled], writes)
    )
    return (holes if len(holes) <= len(everything) else everything) + values


def _copies(reads: Addresses, writes: Addresses) -> list[Copy]:
    found = _in_order(reads, writes)
    if len(found) <= _FEW:
        return found
    # What several tensors were put together to is better copied one tensor after the other.
    order = np.argsort(reads, kind="stable")
    other = _in_order(reads[order], writes[order])
    return other if len(other) < len(found) else found


def _in_order(reads: Addresses, writes: Addresses) -> list[Copy]:
    pairs = np.stack([reads, writes], axis=1)
    return [
        Copy(
            int(pairs[nest.first, 0]),
            int(pairs[nest.first, 1]),
            Grid(1, 1, 1, 1, pool_loops(nest)),
        )
        for nest in cover(pairs, POOL_LOOPS)
    ]


def _repeats(table: Addresses, size: int, backwards: bool) -> tuple[int, Addresses]:
    """How often the first ``size`` rows come again by one step each time, and that step."""
    width = table.shape[1]
    blocks = table[: len(table) // size * size].reshape(-1, size, width)[:_MAX_COUNT]
    if len(blocks) < 2:
        return 1, np.zeros(width, np.int64)
    step = blocks[1, 0] - blocks[0, 0]
    if not backwards and (step < 0).any() or (np.abs(step) > _MAX_STEP).any():
        return 1, step
    count, window = 1, 2
    while count < len(blocks):  # the end of a row is often near: no need to look at all
        here = blocks[count : count + window]
        expected = blocks[0] + np.arange(count, count + len(here))[:, np.newaxis, np.newaxis] * step
        same = (here == expected).all(axis=(1, 2))
        if not same.all():
            return count + int(np.argmin(same)), step
        count, window = count + len(here), 2 * window
    return count, step
