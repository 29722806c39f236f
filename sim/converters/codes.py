"""From column sums to codes: the formula of a conversion (``docs/numerics.md``)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compiled import compiled
from ..numerics import EXACT_ROOT, IntArray, isqrt, normal_table, round_half_even_shift

_EXACT = 1 << 53
_KERNEL = ".converters.code_kernel"


@dataclass(frozen=True)
class Scales:
    """What sums are multiplied with, and where their codes end.

    Attributes
    ----------
    mantissa, shift:
        Codes per conductance code, ``mantissa / 2**shift``; a mantissa for all or one for
        each of the last axis.
    fraction:
        Fraction bits of deviate times standard deviation.
    low, high:
        The codes at the rails.
    left, top:
        Bits by which codes are left-aligned, and what the highest one then is.
    """

    mantissa: int | IntArray
    shift: int
    fraction: int
    low: int
    high: int
    left: int = 0
    top: int = (1 << 15) - 1

    def exact(self, most_total: int, most_variance: int) -> bool:
        """Whether float64 holds every number of a conversion, of sums up to these magnitudes."""
        if not isinstance(self.mantissa, int):
            return False
        noise = int(np.abs(normal_table()).max()) * math.isqrt(most_variance) * self.mantissa
        value = most_total * self.mantissa + (noise >> self.fraction)
        return max(noise, value) < _EXACT


def codes_of(
    total: ArrayLike, variance: ArrayLike, z: ArrayLike, scales: Scales
) -> tuple[IntArray, NDArray[np.bool_]]:
    """Codes of sums, rounded half to even and clipped, and which are at a rail.

    Parameters
    ----------
    total, variance, z:
        Sums of conductance codes and of variance codes, and normal deviates; they broadcast.

    Raises
    ------
    NumericsError
        On a negative variance.
    """
    parts = [np.asarray(part, dtype=np.int64) for part in (total, variance, z)]
    shape = np.broadcast_shapes(*(part.shape for part in parts))
    loops = compiled(_KERNEL, math.prod(shape))
    if (
        loops is not None
        and isinstance(scales.mantissa, int)
        and 0 <= int(parts[1].min(initial=0)) <= int(parts[1].max(initial=0)) < EXACT_ROOT
    ):
        return _compiled(loops, parts, shape, scales)
    total, variance, z = parts
    noise = (z * isqrt(variance) * scales.mantissa) >> scales.fraction
    codes = round_half_even_shift(total * scales.mantissa + noise, scales.shift)
    saturated = (codes <= scales.low) | (codes >= scales.high)
    return np.clip(codes, scales.low, scales.high), saturated


def _compiled(
    loops: ModuleType, parts: list[IntArray], shape: tuple[int, ...], scales: Scales
) -> tuple[IntArray, NDArray[np.bool_]]:
    flat = [np.ascontiguousarray(np.broadcast_to(part, shape)).reshape(-1) for part in parts]
    numbers = (scales.mantissa, scales.shift, scales.fraction, scales.low, scales.high)
    codes = np.empty(flat[0].size, dtype=np.int64)
    saturated = np.empty(flat[0].size, dtype=np.bool_)
    loops.codes(*flat, *(np.int64(number) for number in numbers), codes, saturated)
    return codes.reshape(shape), saturated.reshape(shape)
