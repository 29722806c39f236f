"""Where weight levels lie, whole conductance codes in equal steps, and the scale of variances."""

from __future__ import annotations

import math

import numpy as np

from ..numerics import G_CODE_MAX, VAR_CODE_MAX, VAR_EXPONENT_MAX, IntArray
from .errors import DeviceError
from .schema import Codes, Levels


def level_codes(levels: Levels, codes: Codes) -> IntArray:
    """G codes of the levels, shape (L,), inside the window.

    Raises
    ------
    DeviceError
        If the codes are too coarse for so many levels.
    """
    g_lsb, count = codes.g_lsb.value, int(levels.count.value)
    lowest = math.ceil(levels.g_min.value / g_lsb)
    step = (math.floor(levels.g_max.value / g_lsb) - lowest) // (count - 1)
    if step < 1:
        raise DeviceError(
            f"codes.g_lsb = {g_lsb:g} S is too coarse for {count} levels "
            "between levels.g_min and levels.g_max"
        )
    return lowest + step * np.arange(count, dtype=np.int64)


def variance_exponent(read_noise: float) -> int:
    """The largest exponent for which the variance of the largest G code fits its code."""
    full_scale = (read_noise * G_CODE_MAX) ** 2
    fitting = [e for e in range(VAR_EXPONENT_MAX + 1) if full_scale * 4**e <= VAR_CODE_MAX]
    return max(fitting, default=0)
