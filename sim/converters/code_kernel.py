"""A conversion as a compiled loop: the same bits as ``codes``.

Only integers come out of it: a square root is correctly rounded everywhere. Importing this
needs numba, which is optional.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

_ZERO, _ONE = np.int64(0), np.int64(1)


@njit(cache=True, nogil=True)
def codes(
    total: Any, variance: Any, z: Any,
    mantissa: Any, shift: Any, fraction: Any, low: Any, high: Any,
    out: Any, railed: Any,
) -> None:  # fmt: skip
    """Codes of sums, and which are at a rail: int64 numbers and arrays (n,), ``railed`` bool.

    A variance is below 2^52.
    """
    half = _ONE << (shift - _ONE) if shift > 0 else _ZERO
    odd = _ONE if shift > 0 else _ZERO
    for i in range(out.size):
        sigma = np.int64(math.sqrt(np.float64(variance[i])))
        value = total[i] * mantissa + ((z[i] * sigma * mantissa) >> fraction)
        quotient = value >> shift
        rest = value - (quotient << shift)
        code = quotient + np.int64(rest - half + (quotient & odd) > 0)
        out[i] = min(max(code, low), high)
        railed[i] = (code <= low) | (code >= high)
