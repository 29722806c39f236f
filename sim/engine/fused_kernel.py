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
def join(parts: Any, start: int, unit: float, out: Any) -> None:
    """Numbers that are there in parts, float64 (n,), from number ``start`` on.

    ``parts`` has shape (bytes, numbers, limbs): of byte b and limb l one weighs
    ``256**b * unit**l``.
    """
    out[:] = 0.0
    high = 1.0
    for byte in range(parts.shape[0]):
        part = parts[byte, start : start + out.size]
        if part.shape[1] == 2:
            for k in range(out.size):
                out[k] += (np.float64(part[k, 0]) + np.float64(part[k, 1]) * unit) * high
        else:
            weight = high
            for limb in range(part.shape[1]):
                for k in range(out.size):
                    out[k] += np.float64(part[k, limb]) * weight
                weight *= unit
        high *= 256.0


@_compile
def convert(
    total: Any, variance: Any, unit: float, used: Any,
    seed: Any, places: Any, epochs: Any, index: Any, table: Any,
    mantissa: float, fraction: float, scale: float, low: float, high: float,
    step: Any, top: Any, weight: int, plus: int, columns: int, sums: Any,
    value: Any, sigma: Any, name: Any, ctr0: Any, ctr1: Any, drawn: Any, second: Any,
    z: Any, codes: Any, turn: Any,
) -> Any:  # fmt: skip
    """Add what sums come to to accumulators, and count the codes at a rail.

    Parameters
    ----------
    total, variance:
        Sums, lane by lane, in parts as of :func:`join`: of columns that are added, then of as
        many that are subtracted from them, or one from all; or none, of differences.
        ``variance`` of no bytes: there is no noise.
    unit:
        Of their limbs.
    used:
        Whether a lane is made, bool (lanes,): where not, all codes are 0.
    seed, places, epochs, index, table:
        Names of the draws: uint32, (columns,) and (lanes,); the table of deviates.
    mantissa, fraction, scale, low, high:
        A code is ``rint((total * mantissa + floor(z * sigma * mantissa * fraction)) * scale)``.
    step, top:
        What a code counts as, and what the highest one does.
    weight:
        Of the codes in the accumulators.
    plus, columns:
        Columns that are added, and all of them.
    sums:
        The accumulators, int64 (lanes, accumulators).
    value, sigma, name, ctr0, ctr1, drawn, second, z, codes, turn:
        Room for some lanes, (lanes * columns,): two of float64, five of uint32, three of int64.
    """
    count, together = used.size, value.size // columns
    noisy = variance.shape[0] > 0
    railed = 0
    for k in range(together * columns):
        turn[k] = k // columns
        if noisy:
            name[k] = places[k % columns]
    for start in range(0, count, together):
        size = min(together, count - start) * columns
        join(total, start * columns, unit, value[:size])
        if noisy:
            join(variance, start * columns, unit, sigma[:size])
            for k in range(size):
                lane = np.uint64(turn[k] + start)
                ctr0[k] = epochs[lane]
                ctr1[k] = index[lane]
            words(seed, name[:size], ctr0[:size], ctr1[:size], drawn[:size], second[:size])
            deviates(drawn[:size], table, z[:size])
            for k in range(size):
                spread = np.floor(np.sqrt(sigma[k]))
                noise = np.floor(np.float64(z[k]) * spread * mantissa * fraction)
                value[k] = value[k] * mantissa + noise
        else:
            for k in range(size):
                value[k] *= mantissa
        for first in range(0, size, columns):
            if not used[start + first // columns]:
                value[first : first + columns] = 0.0
        for k in range(size):
            code = min(max(np.rint(value[k] * scale), low), high)
            railed += np.int64(code <= low) | np.int64(code >= high)
            codes[k] = top if code == high else np.int64(code) * step
        if plus == columns == sums.shape[1]:
            flat = sums[start : start + size // columns].reshape(size)
            for k in range(size):
                flat[k] += codes[k] * weight
        else:
            for first in range(0, size, columns):
                add(codes[first : first + columns], plus, weight, sums[start + first // columns])
    return railed


@_compile
def add(codes: Any, plus: int, weight: int, sums: Any) -> None:
    """Add codes of ``plus`` columns, less those of the others, to accumulators."""
    minus = codes.size - plus
    if minus == 0:
        for k in range(plus):
            sums[k] += codes[k] * weight
    elif minus == plus:
        for k in range(plus):
            sums[k] += (codes[k] - codes[plus + k]) * weight
    else:
        for k in range(plus):
            sums[k] += (codes[k] - codes[plus]) * weight


@_compile
def half_even(value: Any, by: Any) -> Any:
    """``value / 2**by``, rounded half to even, of int64; ``by`` is up to 63."""
    quotient = value >> by
    rest = value - (quotient << by)
    half = np.int64(by > 0) << max(by - 1, 0)
    odd = quotient & np.int64(by > 0)
    return quotient + np.int64(rest - half + odd > 0)


@_compile
def requantise(
    acc: Any, bias: Any, mantissa: Any, shift: Any, low: int, high: int, out: Any
) -> Any:
    """``clamp(round_half_even((acc + bias) * mantissa / 2^shift), low, high)``.

    ``acc`` int64 and ``out`` of any integers (n, values), the parameters int64 (values,). The
    largest magnitude of ``acc``: what comes of a product of 2^63 or more is wrong.
    """
    least, most = np.int64(0), np.int64(0)
    for n in range(out.shape[0]):
        for k in range(out.shape[1]):
            value = acc[n, k]
            least, most = min(least, value), max(most, value)
            value = half_even((value + bias[k]) * mantissa[k], shift[k])
            out[n, k] = min(max(value, low), high)
    return max(most, -least)
