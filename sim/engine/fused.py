"""Many conversions, or many outputs, in one compiled loop where numba is installed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import unpack_requant
from ..converters import Scales
from ..numerics import PLACE_BITS, Domain, IntArray, normal_table, scale
from .digits import Digit

_EXACT = 1 << 53
_SHIFTS = 63
"""Of int64, but for the last one, of which a half would not be positive."""
_FROM = 1 << 12
"""Fewer conversions are made by numpy: it is not worth loading a compiler for them."""


@lru_cache(maxsize=1)
def _kernel() -> ModuleType | None:
    try:
        from . import fused_kernel
    except (ImportError, RuntimeError):  # not installed, or no folder for what it compiles
        return None
    return fused_kernel


def fused(
    conversions: int, scales: Scales | None, most_total: int, most_variance: int
) -> ModuleType | None:
    """The compiled loops; None where there are none, they are too few or not exact in floats.

    Parameters
    ----------
    scales:
        Of the conversions; None: they are made otherwise.
    most_total, most_variance:
        Largest magnitudes of the sums.
    """
    if conversions < _FROM or scales is None or not isinstance(scales.mantissa, int):
        return None
    noise = int(np.abs(normal_table()).max()) * math.isqrt(most_variance) * scales.mantissa
    if noise >= _EXACT or most_total * scales.mantissa + (noise >> scales.fraction) >= _EXACT:
        return None
    return _kernel()


@dataclass(frozen=True)
class Requant:
    """Parameters of outputs one after the other, int64 (values,)."""

    bias: IntArray
    mantissa: IntArray
    shift: IntArray

    @classmethod
    def of(cls, words: Iterable[int]) -> Requant:
        """Of parameter words."""
        return cls(*np.array([unpack_requant(word) for word in words], dtype=np.int64).T)

    def apply(self, acc: IntArray, low: int, high: int) -> IntArray:
        """What becomes of accumulators (n, values), between two bounds."""
        loops = _kernel() if acc.size >= _FROM else None
        if loops is not None and acc.size and int(self.shift.max()) < _SHIFTS:
            most = max(int(acc.max()), -int(acc.min())) + int(np.abs(self.bias).max())
            if most * int(np.abs(self.mantissa).max()) < 1 << 63:
                made = np.empty(acc.shape, np.int64)
                loops.requantise(acc, self.bias, self.mantissa, self.shift, low, high, made)
                return made
        made = scale(acc + self.bias, self.mantissa, self.shift)
        return np.clip(made, low, high).astype(np.int64)


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


def spread(
    loops: ModuleType | None, x: IntArray, digits: Sequence[Digit], kind: np.dtype
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Digits of activations (lanes, rows), shape (digits, lanes, rows), and which lanes have any.

    Numbers of a kind; of a lane ``False`` all digits are 0, shape (digits, lanes).
    """
    found = np.empty((len(digits), *x.shape), kind)
    used = np.empty(found.shape[:2], np.bool_)
    for number, digit in enumerate(digits):
        if loops is None:
            found[number] = digit.of(x)
            used[number] = found[number].any(axis=1)
        else:
            loops.spread(x, digit.plane, digit.mask, digit.sign, found[number], used[number])
    return found, used


@lru_cache(maxsize=1)
def _table() -> IntArray:
    return normal_table().astype(np.int64)


def converted(
    loops: ModuleType,
    total: NDArray[np.floating],
    variance: NDArray[np.floating],
    names: Names | None,
    scales: Scales,
    weight: IntArray,
    plus: int,
    lanes: IntArray,
    sums: IntArray,
) -> int:
    """Add what sums come to to accumulators ``sums`` (lanes, n); the codes at a rail.

    Parameters
    ----------
    total, variance:
        Sums (n, columns): ``plus`` columns that are added, then those that are subtracted.
    names:
        Of their draws; None: there is no noise.
    weight, lanes:
        Of the sums' codes, and which of ``sums`` they are added to, shape (n,).
    """
    columns = total.shape[1]
    if names is None or not variance.shape[1]:
        variance, empty = variance[:, :0], np.empty(0, np.uint32)
        names = Names(0, empty, empty, empty)
    room = [*np.empty((4, columns), np.uint32), *np.empty((2, columns), np.int64)]
    return loops.convert(
        total, variance, np.uint32(names.seed), names.places, names.epochs, names.index, _table(),
        float(scales.mantissa), 2.0**-scales.fraction, 2.0**-scales.shift,
        float(scales.low), float(scales.high), np.int64(1 << scales.left), np.int64(scales.top),
        weight, plus, lanes, sums, *room,
    )  # fmt: skip
