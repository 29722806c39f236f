"""Where the activations of driven rows are: read lane by lane, when they are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..numerics import IntArray


def edges_of(words: IntArray) -> IntArray:
    """Where a run of ``words`` one after the other begins, and where the last one ends."""
    return np.flatnonzero(np.diff(words, prepend=-2, append=-2) != 1)


@dataclass(frozen=True, eq=False)
class Drives:
    """Activations of driven rows, for lanes: samples, each in as many rounds of a loop.

    Attributes
    ----------
    act:
        Activations of the samples, shape (samples, n).
    words:
        Which of them drive the rows, without what is added in a round, shape (rows,).
    added:
        To ``words`` in each round, shape (rounds,).
    edges:
        Of ``words``, as :func:`edges_of` has them.
    """

    act: NDArray[np.integer]
    words: IntArray
    added: IntArray
    edges: IntArray

    @classmethod
    def of(cls, x: NDArray[np.integer]) -> Self:
        """Of activations that are there row by row, shape (lanes, rows)."""
        rows = x.shape[1]
        return cls(x, np.arange(rows), np.zeros(1, np.int64), np.array([0, rows]))

    def __len__(self) -> int:
        """Lanes: those of a sample follow each other."""
        return len(self.act) * len(self.added)

    @property
    def rows(self) -> int:
        return len(self.words)

    def values(self, lanes: slice) -> IntArray:
        """Activations of some lanes, shape (lanes, rows)."""
        sample, turn = np.divmod(np.arange(*lanes.indices(len(self))), len(self.added))
        words = np.add.outer(self.added[turn], self.words)
        return self.act[sample[:, np.newaxis], words].astype(np.int64)
