"""What a matrix reads at each of its positions, without an array of all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .base import ZERO, Renumbering, Values

_PART = 1 << 19
"""Numbers that are looked at together: bounds memory, changes nothing."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Input ``i`` at position ``p`` is ``values[begin[p] + offset[i]]``.

    The windows of a convolution overlap: this takes a number for each value, not for each
    value of each window.

    Attributes
    ----------
    values:
        Numbers of values or ``ZERO``, shape (n,); all of them are taken for read. A range
        where they follow each other.
    begin:
        Shape (positions,).
    offset:
        Shape (inputs,).
    """

    values: Values | range
    begin: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, values: Values, begin: np.ndarray, offset: np.ndarray) -> Self:
        """Those of an array of values (n,)."""
        return cls(compact(values), begin, offset)

    @classmethod
    def rows(cls, source: Values) -> Self:
        """Those of an array (positions, inputs)."""
        positions, inputs = source.shape
        return cls.of(source.reshape(-1), inputs * np.arange(positions), np.arange(inputs))

    @property
    def positions(self) -> int:
        return len(self.begin)

    @property
    def inputs(self) -> int:
        return len(self.offset)

    @property
    def largest(self) -> int:
        """The largest number of a value."""
        return self.values[-1] if isinstance(self.values, range) else int(self.values.max())

    def at(self, positions: slice | np.ndarray) -> Values:
        """What is read at some positions, shape (positions, inputs)."""
        index = np.add.outer(self.begin[positions], self.offset)
        if isinstance(self.values, range):
            index += self.values.start
            return index
        return self.values[index]

    def parts(self, least: int = 1) -> Iterator[slice]:
        """All positions, so many at a time that :meth:`at` is no large array."""
        step = max(_PART // self.inputs, least)
        return (slice(n, min(n + step, self.positions)) for n in range(0, self.positions, step))

    def ordered(self) -> tuple[Self, np.ndarray]:
        """Inputs in the order of their numbers at the first position, and which they are.

        Those that are 0 at every position are left out, all but one.
        """
        used = np.arange(self.inputs)
        if not isinstance(self.values, range) and (self.values == ZERO).any():
            there = np.zeros(self.inputs, bool)
            for part in self.parts():
                there |= (self.at(part) != ZERO).any(axis=0)
            used = np.flatnonzero(there)
            if not used.size:
                used = np.arange(1)
        first = self.at(slice(1))[0, used]
        order = used[np.argsort(first, kind="stable")]
        return replace(self, offset=self.offset[order]), order

    def alike(self) -> list[tuple[int, int]]:
        """Runs of positions whose inputs have the same distances, as begins and ends.

        Where the first input is ``ZERO`` there are none: such positions are alike.
        """
        if self.positions == 1 or isinstance(self.values, range):
            return [(0, self.positions)]
        changes: list[int] = []
        for part in self.parts(least=2):
            found = self.at(slice(max(part.start - 1, 0), part.stop))
            known = found >= 0
            shape = np.where(known, found - found[:, :1], np.iinfo(np.int64).min)
            shape[~known[:, 0]] = -2
            different = (shape[1:] != shape[:-1]).any(axis=1)
            changes += (np.flatnonzero(different) + max(part.start, 1)).tolist()
        edges = [0, *changes, self.positions]
        return list(zip(edges, edges[1:], strict=False))


def compact(values: Values) -> Values | range:
    """Numbers (n,) in as little memory as they need."""
    first, last = int(values[0]), int(values[-1])
    if first >= 0 and last - first + 1 == len(values) and (np.diff(values) == 1).all():
        return range(first, last + 1)
    return values.astype(np.int32)


def renumbered(values: Values | range, table: Renumbering) -> Values | range:
    """The same where value ``n`` has the number ``table[n]``."""
    return compact(table[np.asarray(values)])
