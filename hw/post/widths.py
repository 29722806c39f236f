"""How wide the values of post-processing are. Plain Python: their cycles depend on it."""

from __future__ import annotations

from ..geometry import Geometry
from ..isa import BIAS_BITS, MANTISSA_BITS, SHIFT_BITS

WINDOW_BITS = 16
"""A window has at most 255 x 255 < 2^16 activations."""


def sum_bits(geometry: Geometry) -> int:
    """Bits of a window's sum, which cannot overflow: ``act_width + 16``."""
    return geometry.act_width + WINDOW_BITS


def value_bits(geometry: Geometry) -> int:
    """Bits of a value that is scaled: an accumulator, or a window's sum where it has ``POOL``."""
    return max(geometry.acc_width, sum_bits(geometry) * geometry.pool)


def product_bits(geometry: Geometry) -> int:
    """Bits of a product that the serial scaler looks at.

    The one behind them is its sign, and with the largest shift an activation's width of
    them is left.
    """
    product = max(value_bits(geometry), BIAS_BITS) + 1 + MANTISSA_BITS
    return max(product, (1 << SHIFT_BITS) - 1 + geometry.act_width)


def is_serial(geometry: Geometry) -> bool:
    """Whether the scaler is the serial one, which cannot do what ``ADD`` needs."""
    return geometry.compact and not geometry.residual
