"""Integers and what they mean: activation scales as in ONNX QDQ, and factors for the RTL."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..hw.isa import MANTISSA_BITS, SHIFT_BITS
from .errors import TargetError

MIN_BITS = 4
MAX_BITS = 16


@dataclass(frozen=True)
class Scale:
    """Per-tensor scale: ``x = scale * (q - zero_point)`` with ``q`` in ``0 .. 2**bits - 1``.

    ``scale`` is a float32 number. The controller holds the drive ``d = q -
    zero_point``, so that zero drives nothing.
    """

    scale: float
    zero_point: int
    bits: int

    @property
    def low(self) -> int:
        """Smallest drive."""
        return -self.zero_point

    @property
    def high(self) -> int:
        """Largest drive."""
        return (1 << self.bits) - 1 - self.zero_point

    @property
    def signed(self) -> bool:
        return self.low < 0

    @property
    def planes(self) -> int:
        """Input bit planes: bits of the drive, two's complement when signed."""
        if not self.signed:
            return self.high.bit_length()
        return max((-self.low - 1).bit_length(), self.high.bit_length()) + 1

    def quantise(self, x: np.ndarray) -> np.ndarray:
        """Drives, int32, of float values: ONNX QuantizeLinear less its zero point.

        Done in float32 and rounded half to even, as QuantizeLinear is.
        """
        quotient = np.asarray(x, np.float32) / np.float32(self.scale)
        return np.clip(np.rint(quotient), self.low, self.high).astype(np.int32)

    def between(self, low: float, high: float) -> tuple[int, int]:
        """The drives nearest to two bounds, of those that there are."""
        lower, upper = (min(max(bound / self.scale, self.low), self.high) for bound in (low, high))
        return round(lower), round(upper)

    def dequantise(self, drive: np.ndarray) -> np.ndarray:
        """Float32 values of drives."""
        return np.asarray(drive, np.float32) * np.float32(self.scale)


WHOLE = Scale(1.0, 0, 0)
"""In place of a scale: whole numbers, of as many bits as a word has."""


def whole(word_bits: int) -> Scale:
    """Whole numbers in a word."""
    return Scale(1.0, 1 << word_bits - 1, word_bits)


def fit(low: float, high: float, bits: int, word_bits: int) -> Scale:
    """The scale that covers ``low .. high`` and zero.

    Asymmetric; symmetric around ``2**(bits - 1)`` where an asymmetric drive,
    which may need a bit more than ``bits``, would not fit a word.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    top = (1 << bits) - 1
    if bits >= word_bits:
        zero_point = 1 << (bits - 1)
        span = max(-low, high) / (top - zero_point)
        return Scale(_float32(span), zero_point, bits)
    scale = _float32((high - low) / top)
    return Scale(scale, min(top, round(-low / scale)), bits)


def _float32(value: float) -> float:
    """A usable float32 scale; 1 for a tensor that is zero (or as good as)."""
    single = np.float32(value)
    return float(single) if single > np.finfo(np.float32).tiny else 1.0


def product_step(x: float, w: float) -> float:
    """The float32 product of two scales: what one unit of a quantised model's int32 is."""
    return float(np.float32(x) * np.float32(w))


def product_factor(x: float, w: float, y: float) -> float:
    """From that unit to steps of the output, in float32 as quantised models are executed."""
    return float(np.float32(product_step(x, w)) / np.float32(y))


def mantissa_and_shift(factor: float) -> tuple[int, int]:
    """``(m, s)`` with ``m / 2**s`` the float32 number nearest to ``factor``; m has 24 bits.

    Raises
    ------
    TargetError
        If the factor is not positive or outside what the shift can express.
    """
    single = float(np.float32(factor))
    fraction, exponent = math.frexp(single) if math.isfinite(single) else (0.0, 0)
    shift = MANTISSA_BITS - exponent
    if fraction <= 0 or not 0 <= shift < 1 << SHIFT_BITS:
        raise TargetError(
            f"requantisation factor {factor:.3g} is outside 2^{MANTISSA_BITS - (1 << SHIFT_BITS)} "
            f"to 2^{MANTISSA_BITS}"
        )
    return int(fraction * (1 << MANTISSA_BITS)), shift
