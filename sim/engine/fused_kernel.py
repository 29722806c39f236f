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
def drive(
    act: Any, words: Any, edges: Any, added: Any, start: int,
    plane: int, mask: int, sign: int, bytes_: Any, squares: Any, used: Any,
) -> None:  # fmt: skip
    """Digits of activations, as bytes, and their squares.

    Parameters
    ----------
    act, words, added:
        As of ``Drives``.
    edges:
        Where a run of ``words`` one after the other begins, and where the last one ends.
    start:
        The first lane.
    plane, mask, sign:
        As of ``Digit``.
    bytes_:
        Gets the digits plus ``sign``, uint8 (lanes, rows).
    squares:
        Gets the squares, uint8 (bytes of them, lanes, rows), the low ones first.
    used:
        Gets which lanes have a digit that is not 0, bool (lanes,).
    """
    # Of these types the loops are vectors of bytes and of 16 bits.
    narrow, few, top = np.int16(plane), np.int16(mask), np.uint8(sign)
    for n in range(bytes_.shape[0]):
        sample, turn = divmod(start + n, added.size)
        line, out = act[sample], bytes_[n]
        for run in range(edges.size - 1):
            first, end = edges[run], edges[run + 1]
            word = words[first] + added[turn]
            source, to = line[word : word + end - first], out[first:end]
            for k in range(to.size):
                to[k] = ((source[k] >> narrow) & few) ^ top
        some = np.uint8(0)
        for k in range(out.size):
            some |= out[k] ^ top
        used[n] = some != 0
        for byte in range(squares.shape[0]):
            to, shift = squares[byte, n], np.uint16(8 * byte)
            for k in range(to.size):
                digit = np.int16(np.int16(out[k]) - np.int16(top))
                to[k] = np.uint8(np.uint16(np.uint16(digit) * np.uint16(digit)) >> shift)


@_compile
def join(parts: Any, n: int, lanes: int, unit: float, out: Any) -> None:
    """One number for each column of what a lane has in parts, float64 (columns,).

    ``parts`` has shape (bytes * lanes, limbs * columns): of byte b and limb l one weighs
    ``256**b * unit**l``.
    """
    columns = out.size
    out[:] = 0.0
    high = 1.0
    for line in range(n, parts.shape[0], lanes):
        weight = high
        for start in range(0, parts.shape[1], columns):
            part = parts[line, start : start + columns]
            for k in range(columns):
                out[k] += np.float64(part[k]) * weight
            weight *= unit
        high *= 256.0


@_compile
def convert(
    total: Any, variance: Any, unit: float, used: Any,
    seed: Any, places: Any, epochs: Any, index: Any, table: Any,
    mantissa: float, fraction: float, scale: float, low: float, high: float,
    step: Any, top: Any, weight: int, plus: int, sums: Any,
    value: Any, sigma: Any, ctr0: Any, ctr1: Any, drawn: Any, second: Any, z: Any, codes: Any,
) -> Any:  # fmt: skip
    """Add what sums come to to accumulators, and count the codes at a rail.

    Parameters
    ----------
    total, variance:
        Sums in parts, as of :func:`join`, of columns: first those that are added, then as many
        that are subtracted from them, or one from all; or none, of differences.
    unit:
        Of their limbs.
    used:
        Which lanes are made, bool (lanes,): of the others all codes are 0.
    seed, places, epochs, index, table:
        Names of the draws: uint32, (columns,) and (lanes,); the table of deviates.
        ``variance`` of no columns: there is no noise.
    mantissa, fraction, scale, low, high:
        A code is ``rint((total * mantissa + floor(z * sigma * mantissa * fraction)) * scale)``.
    step, top:
        What a code counts as, and what the highest one does.
    weight:
        Of the codes in the accumulators.
    plus:
        Columns that are added.
    sums:
        The accumulators, int64 (lanes, accumulators).
    value, sigma, ctr0, ctr1, drawn, second, z, codes:
        Room for a line of columns: two of float64, four of uint32, two of int64.
    """
    columns, count = value.size, used.size
    noisy = variance.shape[1] > 0
    minus = columns - plus
    railed = 0
    for n in range(count):
        if not used[n]:
            continue
        join(total, n, count, unit, value)
        if noisy:
            join(variance, n, count, unit, sigma)
            for column in range(columns):
                ctr0[column] = epochs[n]
                ctr1[column] = index[n]
            words(seed, places, ctr0, ctr1, drawn, second)
            deviates(drawn, table, z)
            for column in range(columns):
                spread = np.floor(np.sqrt(sigma[column]))
                noise = np.floor(np.float64(z[column]) * spread * mantissa * fraction)
                value[column] = value[column] * mantissa + noise
        else:
            for column in range(columns):
                value[column] *= mantissa
        for column in range(columns):
            code = min(max(np.rint(value[column] * scale), low), high)
            railed += np.int64(code <= low) | np.int64(code >= high)
            codes[column] = top if code == high else np.int64(code) * step
        line = sums[n]
        if minus == 0:
            for k in range(plus):
                line[k] += codes[k] * weight
        elif minus == plus:
            for k in range(plus):
                line[k] += (codes[k] - codes[plus + k]) * weight
        else:
            for k in range(plus):
                line[k] += (codes[k] - codes[plus]) * weight
    return railed


@_compile
def requantise(
    acc: Any, bias: Any, mantissa: Any, shift: Any, low: int, high: int, out: Any
) -> None:
    """``clamp(round_half_even((acc + bias) * mantissa / 2^shift), low, high)``.

    ``acc`` int64 and ``out`` of any integers (n, values), the parameters int64 (values,), shifts
    up to 62; no product is 2^63 or more.
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
