"""Codes of a tile's cells as BLAS takes them: exact, and kept as long as no code changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES = 1 << 27
"""Of operands that are kept, the last used ones."""


@dataclass(frozen=True)
class Lines:
    """Which sums of a tile are wanted.

    Attributes
    ----------
    tile, first, rows:
        Rows ``first .. first + rows - 1`` of the tile.
    plus, minus:
        Columns, one after the other.
    joined:
        Whether the currents of ``minus`` are taken from those of ``plus``, one by one.
    largest:
        Largest magnitude of what drives a row.
    """

    tile: int
    first: int
    rows: int
    plus: range
    minus: range
    joined: bool = False
    largest: int = 1

    @property
    def columns(self) -> NDArray[np.int64]:
        """Columns that a conversion is named by, in the order of the sums."""
        return np.array([*self.plus] if self.joined else [*self.plus, *self.minus], np.int64)


@dataclass(frozen=True, eq=False)
class Operands:
    """What driven rows are multiplied with; no other one is equal to it.

    Attributes
    ----------
    total, variance:
        Whole numbers of a type that holds every partial sum exactly, floats unless sums are
        too large for them, shape (rows, sums); ``variance`` for the squares of what drives the
        rows, of no columns where there is none.
    most_total, most_variance:
        Largest magnitudes that sums can have.
    """

    total: NDArray[Any]
    variance: NDArray[Any]
    most_total: int
    most_variance: int

    @classmethod
    def of(
        cls, lines: Lines, g_code: NDArray[np.integer], var_code: NDArray[np.integer]
    ) -> Operands:
        """Those of a tile's codes (rows, columns)."""
        rows = slice(lines.first, lines.first + lines.rows)
        plus, minus = (slice(c.start, c.stop, c.step) for c in (lines.plus, lines.minus))
        total, variance = (
            np.subtract(codes[rows, plus], codes[rows, minus]) if lines.joined and sign < 0
            else np.add(codes[rows, plus], codes[rows, minus]) if lines.joined
            else np.concatenate([codes[rows, plus], codes[rows, minus]], axis=1)
            for codes, sign in ((g_code, -1), (var_code, 1))
        )  # fmt: skip
        most_total = lines.largest * int(np.abs(total).sum(axis=0, dtype=np.int64).max(initial=0))
        most_variance = lines.largest**2 * int(variance.sum(axis=0, dtype=np.int64).max(initial=0))
        if not most_variance:
            variance = variance[:, :0]
        return cls(
            total.astype(_exact(most_total)),
            variance.astype(_exact(most_variance)),
            most_total,
            most_variance,
        )

    @property
    def nbytes(self) -> int:
        return self.total.nbytes + self.variance.nbytes


def _exact(most: int) -> type[np.number]:
    """The fastest type that holds whole numbers up to ``most``."""
    if most > 1 << 53:
        return np.int64
    return np.float32 if most <= 1 << 24 else np.float64


class OperandCache:
    """The operands that were used last; ``lock`` is for those that use it on several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Lines, Operands] = OrderedDict()
        self._bytes = 0
        self.lock = Lock()

    def clear(self) -> None:
        """Forget them all: codes have changed."""
        self._kept.clear()
        self._bytes = 0

    def get(self, lines: Lines, make: Callable[[], Operands]) -> Operands:
        """Those of lines, made where they are not there."""
        found = self._kept.get(lines)
        if found is None:
            found = self._kept[lines] = make()
            self._bytes += found.nbytes
            while self._bytes > _BYTES and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(lines)
        return found
