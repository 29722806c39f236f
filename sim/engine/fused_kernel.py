"""From sums to accumulators as one compiled loop: draws, conversions, shift-and-add.

The same integers as ``product`` makes step by step. All numbers of a conversion are whole and
below 2^53, so that float64 holds them exactly; there is no transcendental function, and a square
root is correctly rounded everywhere. Importing this needs numba, which is optional.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ..draw_kernel import deviates, words

_compile = njit(cache=True, nogil=True, error_model="numpy")


@_compile
def spread(x: Any, plane: int, mask: int, sign: int, out: Any, used: Any) -> None:
    """Digits of activations, as ``Digit.of``, and which lanes have any that is not 0.

    ``x`` int64 (lanes, rows), ``out`` float of the same shape, ``used`` bool (lanes,).
    """
    for lane in range(x.shape[0]):
        some = np.int64(0)
        for row in range(x.shape[1]):
            digit = (((x[lane, row] >> plane) & mask) ^ sign) - sign
            some |= digit
            out[lane, row] = digit
        used[lane] = some != 0


@_compile
def convert(
    total: Any, variance: Any, seed: Any, places: Any, epochs: Any, index: Any, table: Any,
    mantissa: float, fraction: float, scale: float, low: float, high: float,
    step: Any, top: Any, weight: Any, plus: int, lanes: Any, sums: Any,
    ctr0: Any, ctr1: Any, drawn: Any, second: Any, z: Any, codes: Any,
) -> Any:  # fmt: skip
    """Add what sums come to to accumulators, and count the codes at a rail.

    Parameters
    ----------
    total, variance:
        Float sums (n, columns): first the columns that are added, then as many that are
        subtracted from them, or one from all; or none, of differences.
    seed, places, epochs, index, table:
        Names of the draws: uint32, (columns,) and (n,); the table of deviates. ``variance`` of
        no columns: there is no noise.
    mantissa, fraction, scale, low, high:
        A code is ``rint((total * mantissa + floor(z * sigma * mantissa * fraction)) * scale)``.
    step, top:
        What a code counts as, and what the highest one does.
    weight:
        Of the codes in the accumulators, int64 (n,).
    plus:
        Columns that are added.
    lanes, sums:
        Which accumulators, int64 (lanes, accumulators), get which of the sums.
    ctr0, ctr1, drawn, second, z, codes:
        Room for a line of columns: four of uint32, two of int64.
    """
    columns = total.shape[1]
    noisy = variance.shape[1] > 0
    minus = columns - plus
    railed = 0
    for n in range(total.shape[0]):
        if noisy:
            for column in range(columns):
                ctr0[column] = epochs[n]
                ctr1[column] = index[n]
            words(seed, places, ctr0, ctr1, drawn, second)
            deviates(drawn, table, z)
            for column in range(columns):
                sigma = np.floor(np.sqrt(np.float64(variance[n, column])))
                noise = np.floor(np.float64(z[column]) * sigma * mantissa * fraction)
                value = np.float64(total[n, column]) * mantissa + noise
                code = min(max(np.rint(value * scale), low), high)
                railed += np.int64(code <= low) | np.int64(code >= high)
                codes[column] = top if code == high else np.int64(code) * step
        else:
            for column in range(columns):
                value = np.float64(total[n, column]) * mantissa
                code = min(max(np.rint(value * scale), low), high)
                railed += np.int64(code <= low) | np.int64(code >= high)
                codes[column] = top if code == high else np.int64(code) * step
        line = sums[lanes[n]]
        times = weight[n]
        if minus == 0:
            for k in range(plus):
                line[k] += codes[k] * times
        elif minus == plus:
            for k in range(plus):
                line[k] += (codes[k] - codes[plus + k]) * times
        else:
            for k in range(plus):
                line[k] += (codes[k] - codes[plus]) * times
    return railed


@_compile
def requantise(
    acc: Any, bias: Any, mantissa: Any, shift: Any, low: int, high: int, out: Any
) -> None:
    """``clamp(round_half_even((acc + bias) * mantissa / 2^shift), low, high)``.

    ``acc`` and ``out`` int64 (n, values), the parameters int64 (values,), shifts up to 62; no
    product is 2^63 or more.
    """
    for n in range(out.shape[0]):
        for k in range(out.shape[1]):
            value = (acc[n, k] + bias[k]) * mantissa[k]
            by = shift[k]
            quotient = value >> by
            rest = value - (quotient << by)
            half = (np.int64(1) << by) >> np.int64(1)
            odd = quotient & np.int64(by > 0)
            quotient += np.int64(rest - half + odd > 0)
            out[n, k] = min(max(quotient, low), high)
