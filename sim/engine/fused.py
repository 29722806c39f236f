"""Many conversions, or many outputs, in one compiled loop where numba is installed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import local
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import unpack_requant
from ..array import Operands
from ..compiled import compiled
from ..converters import Scales
from ..integer_matmul import MOST_ROWS, limb_bits, matmul
from ..numerics import PLACE_BITS, Domain, FloatArray, IntArray, normal_table, scale
from .digits import Digit
from .drives import Drives
from .workers import ALONE, Workers

_EXACT = 1 << 53
_TOGETHER = 512
"""Conversions in one pass of the loops: short ones would be all beginning and end."""
_KERNEL = ".engine.fused_kernel"


def fused(conversions: int, scales: Scales | None, operands: Operands) -> ModuleType | None:
    """The compiled loops; None where there are none, they are too few or not exact in floats.

    ``scales`` are those of the conversions; None: they are made otherwise.
    """
    if scales is None or operands.most_variance >= _EXACT or len(operands.g) > MOST_ROWS:
        return None
    if not scales.exact(operands.most_total, operands.most_variance):
        return None
    return compiled(_KERNEL, conversions)


@dataclass(frozen=True)
class Requant:
    """Parameters of outputs one after the other, int64 (values,)."""

    bias: IntArray
    mantissa: IntArray
    shift: IntArray

    @classmethod
    def of(cls, words: Iterable[int]) -> Requant:
        """Of parameter words."""
        return cls(*np.array([unpack_requant(word) for word in words], dtype=np.int64).T.copy())

    def apply(
        self, acc: IntArray, low: int, high: int, kind: type[np.integer], workers: Workers = ALONE
    ) -> NDArray[Any]:
        """What becomes of accumulators (n, values), between two bounds, of a type."""
        loops = compiled(_KERNEL, acc.size)
        if loops is not None:
            made = np.empty(acc.shape, kind)
            params = self.bias, self.mantissa, self.shift, low, high
            most = max(
                workers.map(
                    lambda part: loops.requantise(acc[part], *params, made[part]),
                    workers.shares(len(acc), acc.size, light=True),
                ),
                default=0,
            )
            largest = (int(np.abs(part).max(initial=0)) for part in (self.bias, self.mantissa))
            if (most + next(largest)) * next(largest) < 1 << 63:
                return made
        made = scale(acc + self.bias, self.mantissa, self.shift)
        return np.clip(made, low, high).astype(kind)


@dataclass(frozen=True)
class Names:
    """Draws of conversions: ``seed``, ``places`` of the columns with their domain, uint32
    (columns,), and ``epochs`` and ``index``, uint32 (n,)."""

    seed: int
    places: NDArray[np.uint32]
    epochs: NDArray[np.uint32]
    index: NDArray[np.uint32]

    @classmethod
    def of(cls, seed: int, places: IntArray, epochs: IntArray, index: IntArray) -> Names:
        """Those of conversions of inferences."""
        domain = int(Domain.INFERENCE) << PLACE_BITS
        words = (part.astype(np.uint32) for part in (places | domain, epochs, index))
        return cls(seed, *words)


Parts = NDArray[np.int32]


class _Room(local):
    """Memory of a thread, always the same: new pages cost more than what is written to them."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)
        self._lines: dict[int, list[NDArray[Any]]] = {}

    def lines(self, columns: int) -> list[NDArray[Any]]:
        """What the conversion of lanes of so many columns needs."""
        size = max(1, _TOGETHER // columns) * columns
        if size not in self._lines:
            parts = ((2, np.float64), (5, np.uint32), (3, np.int64))
            self._lines[size] = [each for n, kind in parts for each in np.empty((n, size), kind)]
        return self._lines[size]

    def bytes(self, *shape: int) -> NDArray[np.uint8]:
        """Of a shape; what was there before is lost."""
        size = math.prod(shape)
        if self._bytes.size < size:
            self._bytes = np.empty(size, np.uint8)
        return self._bytes[:size].reshape(shape)


_ROOM = _Room()


@dataclass(frozen=True, eq=False)
class Driven:
    """What drives the rows in some lanes, as bytes.

    Attributes
    ----------
    digits, sign:
        The digits plus ``sign``, uint8 (lanes, rows).
    squares:
        Bytes of their squares, the low ones first, uint8 (bytes, lanes, rows).
    used:
        Which lanes have a digit that is not 0, bool (lanes,).
    """

    digits: NDArray[np.uint8]
    sign: int
    squares: NDArray[np.uint8]
    used: NDArray[np.bool_]

    @classmethod
    def of(cls, loops: ModuleType, drives: Drives, lanes: slice, digit: Digit) -> Driven:
        """Digits of the activations of some lanes, until the next ones of this thread."""
        start, end, _ = lanes.indices(len(drives))
        shape = end - start, drives.rows
        own = 0 if digit.span == (0, 1) else 1 if digit.largest < 16 else 2
        room = _ROOM.bytes(1 + own, *shape)
        found = cls(room[0], digit.sign, room[1:], np.empty(shape[0], np.bool_))
        loops.drive(
            drives.act, drives.words, drives.edges, drives.added, start,
            digit.plane, digit.mask, digit.sign, found.digits, found.squares, found.used,
        )  # fmt: skip
        return found if own else replace(found, squares=found.digits[np.newaxis])

    @property
    def energy(self) -> FloatArray:
        """Of each row the squares of its digits, in all lanes, shape (rows,)."""
        parts = self.squares.sum(axis=1, dtype=np.int64)
        return (parts << 8 * np.arange(len(parts))[:, np.newaxis]).sum(axis=0).astype(np.float64)

    def sums(self, operands: Operands, *, noise: bool) -> tuple[Parts, Parts]:
        """Sums and variances of their products with operands, in parts: of digits, and of the
        bytes of their squares, int32 (bytes, lanes * columns, limbs)."""
        rows, columns = operands.g.shape
        total = matmul(self.digits, self.sign, operands.g_limbs)
        total = total.reshape(1, len(self.used) * columns, -1)
        if not noise or not operands.var.shape[1]:
            return total, total[:0]
        variance = matmul(self.squares.reshape(-1, rows), 0, operands.var_limbs)
        return total, variance.reshape(len(self.squares), len(self.used) * columns, -1)


@lru_cache(maxsize=1)
def _table() -> IntArray:
    return normal_table().astype(np.int64)


def converted(
    loops: ModuleType,
    total: Parts,
    variance: Parts,
    used: NDArray[np.bool_],
    names: Names | None,
    scales: Scales,
    weight: int,
    plus: int,
    sums: IntArray,
) -> int:
    """Add what sums come to to accumulators ``sums`` (lanes, n); the codes at a rail.

    Parameters
    ----------
    total, variance:
        As :meth:`Driven.sums` makes them: of ``plus`` columns that are added, then of those
        that are subtracted.
    used:
        Which lanes are made, shape (lanes,): the others add nothing.
    names:
        Of their draws; None: there is no noise.
    weight:
        Of the codes.
    """
    columns = total.shape[1] // len(used)
    if names is None or not len(variance):
        variance, empty = variance[:0], np.empty(0, np.uint32)
        names = Names(0, empty, empty, empty)
    return loops.convert(
        total, variance, float(1 << limb_bits()), used,
        np.uint32(names.seed), names.places, names.epochs, names.index, _table(),
        float(scales.mantissa), 2.0**-scales.fraction, 2.0**-scales.shift,
        float(scales.low), float(scales.high), np.int64(1 << scales.left), np.int64(scales.top),
        weight, plus, columns, sums, *_ROOM.lines(columns),
    )  # fmt: skip
