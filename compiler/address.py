"""Address patterns: which words go where, as the few windows of ``POOL`` that copy them.

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
_MAX_COUNT = (1 << 16) - 1


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


def copies(source: Addresses, target: Addresses, zero: int) -> list[Copy]:
    """Copy ``source`` to ``target``, value by value.

    Greedy: each copy takes as much as follows in nested steps of constant length. What goes
    backwards is copied word by word.

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
    values = list(_cover(reads[~filled], writes[~filled]))
    if not filled.any():
        return values
    # Zeros where they belong, or everywhere first, which is often a single copy.
    holes, everything = (
        list(_cover(np.full_like(places, zero), places)) for places in (writes[filled], writes)
    )
    return (holes if len(holes) <= len(everything) else everything) + values


def _cover(reads: Addresses, writes: Addresses) -> Iterator[Copy]:
    """Copies of the pairs, from the first one on."""
    begin, pairs = 0, np.stack([reads, writes], axis=1)
    while begin < len(pairs):
        size, loops = 1, []
        while len(loops) < POOL_LOOPS:
            count, step = _repeats(pairs[begin:], size)
            if count == 1:
                break
            loops.append(Loop(count, int(step[0]), int(step[1])))
            size *= count
        act, out = (int(part) for part in pairs[begin])
        nest = (*loops, *(ONCE,) * (POOL_LOOPS - len(loops)))
        yield Copy(act, out, Grid(1, 1, 1, 1, (nest[0], nest[1], nest[2])))
        begin += size


def _repeats(pairs: Addresses, size: int) -> tuple[int, Addresses]:
    """How often the first ``size`` pairs come again by one step each time, and that step."""
    blocks = pairs[: len(pairs) // size * size].reshape(-1, size, 2)[:_MAX_COUNT]
    if len(blocks) < 2:
        return 1, np.zeros(2, np.int64)
    step = blocks[1, 0] - blocks[0, 0]
    if (step < 0).any():  # a POOL does not go backwards
        return 1, step
    expected = blocks[0] + np.arange(len(blocks))[:, np.newaxis, np.newaxis] * step
    same = (blocks == expected).all(axis=(1, 2))
    count = len(blocks) if same.all() else int(np.argmin(same))
    return count, step
