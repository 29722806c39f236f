"""Codes of a tile's cells as BLAS takes them: exact, and kept as long as no code changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..integer_matmul import limb_bits, limbs

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

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """Columns that a conversion is named by, in the order of the sums."""
        return np.array([*self.plus] if self.joined else [*self.plus, *self.minus], np.int64)


@dataclass(frozen=True, eq=False)
class Operands:
    """What driven rows are multiplied with; no other one is equal to it.

    Attributes
    ----------
    g, var:
        Whole numbers, shape (rows, sums): of what drives the rows, and of its squares; ``var``
        of no columns where there is none.
    most_total, most_variance:
        Largest magnitudes that sums can have.
    """

    g: NDArray[np.integer]
    var: NDArray[np.integer]
    most_total: int
    most_variance: int

    @classmethod
    def of(
        cls, lines: Lines, g_code: NDArray[np.integer], var_code: NDArray[np.integer]
    ) -> Operands:
        """Those of a tile's codes (rows, columns)."""
        rows = slice(lines.first, lines.first + lines.rows)
        plus, minus = (slice(c.start, c.stop, c.step) for c in (lines.plus, lines.minus))
        g, var = (
            np.subtract(codes[rows, plus], codes[rows, minus]) if lines.joined and sign < 0
            else np.add(codes[rows, plus], codes[rows, minus]) if lines.joined
            else np.concatenate([codes[rows, plus], codes[rows, minus]], axis=1)
            for codes, sign in ((g_code, -1), (var_code, 1))
        )  # fmt: skip
        most_total = lines.largest * int(np.abs(g).sum(axis=0, dtype=np.int64).max(initial=0))
        most_variance = lines.largest**2 * int(var.sum(axis=0, dtype=np.int64).max(initial=0))
        return cls(g, var if most_variance else var[:, :0], most_total, most_variance)

    @cached_property
    def total(self) -> NDArray[Any]:
        """``g`` of a type that holds every partial sum exactly: floats unless sums are too
        large for them."""
        return self.g.astype(_exact(self.most_total))

    @cached_property
    def variance(self) -> NDArray[Any]:
        """``var``, likewise."""
        return self.var.astype(_exact(self.most_variance))

    @cached_property
    def g_limbs(self) -> NDArray[np.int8]:
        """``g`` as :func:`~ohmloom.sim.integer_matmul.limbs`."""
        return limbs(self.g, limb_bits())

    @cached_property
    def var_limbs(self) -> NDArray[np.int8]:
        """``var``, likewise."""
        return limbs(self.var, limb_bits())

    @cached_property
    def ranges(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Sums of what is above 0 in ``g``, of what is below, without its sign, and of ``var``."""
        parts = np.maximum(self.g, 0), np.maximum(-self.g, 0), self.var
        above, below, var = (part.sum(axis=0, dtype=np.int64) for part in parts)
        return above, below, var

    @property
    def nbytes(self) -> int:
        """Of what has been asked for."""
        return sum(part.nbytes for part in vars(self).values() if isinstance(part, np.ndarray))


def _exact(most: int) -> type[np.number]:
    """The fastest type that holds whole numbers up to ``most``."""
    if most > 1 << 53:
        return np.int64
    return np.float32 if most <= 1 << 24 else np.float64


class OperandCache:
    """The operands that were used last; ``lock`` is for those that use it on several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Lines, Operands] = OrderedDict()
        self.lock = Lock()

    def clear(self) -> None:
        """Forget them all: codes have changed."""
        self._kept.clear()

    def get(self, lines: Lines, make: Callable[[], Operands]) -> Operands:
        """Those of lines, made where they are not there."""
        found = self._kept.get(lines)
        if found is None:
            size = sum(each.nbytes for each in self._kept.values())
            while size > _BYTES:
                size -= self._kept.popitem(last=False)[1].nbytes
            found = self._kept[lines] = make()
        self._kept.move_to_end(lines)
        return found
