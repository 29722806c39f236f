"""The arithmetic that every engine shares: named draws, exact sums, rounding, exp.

``docs/numerics.md`` is the contract; this is its reference implementation. All
functions take scalars or arrays, broadcast, and give the same bits for a value
whatever the shape of the array that it comes in.
"""

from __future__ import annotations

import decimal
import math
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import OhmloomError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

Z_FRACTION_BITS = 12
"""Fraction bits of the integer normal deviate."""
OCTAVES = 32
"""Octaves of tail probability in the inverse-normal table, 2**-33 to 1/2."""
SEGMENTS = 32
"""Equal segments inside each octave."""
SEGMENT_BITS = SEGMENTS.bit_length() - 1
TABLE_PATH = Path(__file__).with_name("normal_table.npy")

_FLOAT_BIAS = 1023  # of the exponent of a float64
_REST_BITS = 31 - SEGMENT_BITS  # of a word whose top bit is set, below octave and segment
_REST_MASK = np.uint32((1 << _REST_BITS) - 1)

PLACE_BITS = 28
G_CODE_MAX = (1 << 14) - 1
"""Largest conductance code."""
VAR_CODE_MAX = (1 << 16) - 1
"""Largest variance code."""
VAR_EXPONENT_MAX = 8


class NumericsError(OhmloomError, ValueError):
    """An argument outside what the shared arithmetic is exact for."""


class Domain(IntEnum):
    """What a draw is for: the upper four bits of its second key word."""

    DEVICE = 0
    """State of a cell as made."""
    PULSE = 1
    """State after a pulse."""
    VERIFY = 2
    """A single read of a cell."""
    INFERENCE = 3
    """A conversion of a column."""


# -- random words ---------------------------------------------------------------------

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_DRAW_BLOCK = 1 << 16
"""Words drawn at a time: the working set of the 20 rounds then stays in cache."""
_COMPILED_FROM = 1 << 12
"""Fewer words are drawn by numpy: it is not worth loading a compiler for them."""


def threefry2x32(
    key0: ArrayLike, key1: ArrayLike, ctr0: ArrayLike, ctr1: ArrayLike
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Threefry-2x32 with 20 rounds (Salmon et al., SC11), element by element.

    Parameters
    ----------
    key0, key1, ctr0, ctr1:
        uint32 values that broadcast against each other.

    Returns
    -------
    The two output words, of the broadcast shape.
    """
    words = [np.asarray(word, dtype=np.uint32) for word in (key0, key1, ctr0, ctr1)]
    shape = np.broadcast_shapes(*(word.shape for word in words))
    k0, k1 = np.atleast_1d(words[0]), np.atleast_1d(words[1])
    schedule = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0 = np.empty(shape or (1,), dtype=np.uint32)
    x1, low = np.empty_like(x0), np.empty_like(x0)
    np.add(words[2], schedule[0], out=x0)
    np.add(words[3], schedule[1], out=x1)
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            np.add(x0, x1, out=x0)
            np.left_shift(x1, np.uint32(rotation), out=low)
            np.right_shift(x1, np.uint32(32 - rotation), out=x1)
            np.bitwise_or(x1, low, out=x1)
            np.bitwise_xor(x1, x0, out=x1)
        np.add(x0, schedule[(group + 1) % 3], out=x0)
        np.add(x1, schedule[(group + 2) % 3] + np.uint32(group + 1), out=x1)
    return x0.reshape(shape), x1.reshape(shape)


@lru_cache(maxsize=1)
def normal_table() -> NDArray[np.int32]:
    """The checked-in inverse-normal table, shape (OCTAVES * SEGMENTS + 1,), read-only."""
    table = np.load(TABLE_PATH, allow_pickle=False)
    table.setflags(write=False)
    return table


def normal_from_word(word: ArrayLike) -> IntArray:
    """The integer normal deviate of a random word, 12 fraction bits.

    The tail probability is ``u / 2**33`` with ``u = 2 * (word & 0x7fffffff) + 1``;
    its octave and segment select two table entries, and the remaining bits
    interpolate between them, rounded half up.
    """
    word = np.asarray(word, dtype=np.uint32)
    u = (word << np.uint32(1)) | np.uint32(1)
    exponent = u.astype(np.float64).view(np.int64) >> 52  # u < 2**32: the cast is exact
    v = u << (np.int64(_FLOAT_BIAS + 31) - exponent).astype(np.uint32)  # its top bit is set
    entry = (exponent - (_FLOAT_BIAS + 1)) * SEGMENTS + (v >> np.uint32(31 - SEGMENT_BITS))
    table = normal_table().astype(np.int64)
    rest = (v & _REST_MASK).astype(np.int64) * np.diff(table)[entry] + (1 << _REST_BITS - 1)
    z = table[entry] + (rest >> _REST_BITS)
    sign = -(word >> np.uint32(31)).astype(np.int64)
    return (z ^ sign) - sign


def draw_normal(
    seed: int, domain: Domain, place: ArrayLike, epoch: ArrayLike, index: ArrayLike
) -> IntArray:
    """Named normal deviates, int64 with 12 fraction bits, of the broadcast shape.

    Parameters
    ----------
    seed:
        0 .. 2**32 - 1.
    domain, place, epoch, index:
        The name of the draw; ``place`` below 2**28, ``epoch`` and ``index``
        below 2**32.

    Raises
    ------
    NumericsError
        If a part of the name does not fit its word.
    """
    (z,) = _drawn(1, seed, domain, place, epoch, index)
    return z


def draw_normal_pair(
    seed: int, domain: Domain, place: ArrayLike, epoch: ArrayLike, index: ArrayLike
) -> tuple[IntArray, IntArray]:
    """The deviate of a name, as :func:`draw_normal` has it, and that of its other word."""
    first, second = _drawn(2, seed, domain, place, epoch, index)
    return first, second


def _drawn(
    count: int, seed: int, domain: Domain, place: ArrayLike, epoch: ArrayLike, index: ArrayLike
) -> list[IntArray]:
    """Deviates of the first ``count`` words of named draws."""
    words = {
        name: _word(name, part)
        for name, part in (("seed", seed), ("place", place), ("epoch", epoch), ("index", index))
    }
    words["place"] = words["place"] | np.uint32(int(domain) << PLACE_BITS)
    shape = np.broadcast_shapes(*(word.shape for word in words.values()))
    flat = [
        word.reshape(1) if word.size == 1 else np.broadcast_to(word, shape).reshape(-1)
        for word in words.values()
    ]
    z = [np.empty(math.prod(shape), dtype=np.int64) for _ in range(count)]
    draw = _draw if z[0].size < _COMPILED_FROM or kernel() is None else _draw_compiled
    for start in range(0, z[0].size, _DRAW_BLOCK):
        block = slice(start, min(start + _DRAW_BLOCK, z[0].size))
        names = [word if word.size == 1 else word[block] for word in flat]
        draw(names, [part[block] for part in z])
    return [part.reshape(shape) for part in z]


@lru_cache(maxsize=1)
def kernel() -> ModuleType | None:
    """The compiled loops of large draws; None where numpy does them.

    That is where numba is not installed, or finds no folder for what it compiles.
    """
    try:
        from . import draw_kernel
    except (ImportError, RuntimeError):
        return None
    return draw_kernel


Words = NDArray[np.uint32]


def _draw(names: list[Words], out: list[IntArray]) -> None:
    """Deviates of one or both words of named draws, into arrays of shape (n,)."""
    key0, key1, ctr0, ctr1 = names
    for z, word in zip(out, threefry2x32(key0, key1, ctr0, ctr1), strict=False):
        z[:] = normal_from_word(word)


def _draw_compiled(names: list[Words], out: list[IntArray]) -> None:
    """The same by the compiled loops."""
    loops = kernel()
    assert loops is not None
    size = out[0].size
    same = (np.ascontiguousarray(np.broadcast_to(word, size)) for word in names[1:])
    words = np.empty((2, size), dtype=np.uint32)
    loops.words(names[0][0], *same, *words)
    for z, word in zip(out, words, strict=False):
        loops.deviates(word, _wide_table(), z)


@lru_cache(maxsize=1)
def _wide_table() -> IntArray:
    return normal_table().astype(np.int64)


def _word(name: str, part: ArrayLike) -> Words:
    """A part of a draw's name as words of the key or the counter."""
    value = np.asarray(part)
    limit = 1 << (PLACE_BITS if name == "place" else 32)
    if value.size and (value.dtype != np.uint32 or name == "place"):
        low, high = int(value.min()), int(value.max())
        if not 0 <= low <= high < limit:
            raise NumericsError(f"the draw's {name} {low}..{high} is outside 0..{limit - 1}")
    return value.astype(np.uint32, copy=False)


# -- integer arithmetic ---------------------------------------------------------------


def round_half_even_shift(value: ArrayLike, shift: ArrayLike) -> NDArray[Any]:
    """``value / 2**shift`` rounded to the nearest integer, ties to even.

    Exact for every int64 value and 0 <= shift <= 63, and for object arrays of
    Python integers of any size. ``shift`` broadcasts.
    """
    value = np.asarray(value)
    if value.dtype == object:
        shift = np.asarray(shift).astype(object)
        half = (1 << shift) >> 1
    else:
        value = value.astype(np.int64, copy=False)
        shift = np.asarray(shift, dtype=np.int64)
        half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    quotient = value >> shift
    rest = value - (quotient << shift)
    # Up where the rest is more than a half, or one half and the quotient odd.
    odd = quotient & (half > 0) * 1
    return quotient + (rest - half + odd > 0)


def scale(value: ArrayLike, mantissa: ArrayLike, shift: ArrayLike) -> NDArray[Any]:
    """``round_half_even(value * mantissa / 2**shift)``, exact for every int64 value.

    int64 where the product fits, otherwise an object array of Python integers.
    """
    value = np.asarray(value, dtype=np.int64)
    mantissa = np.asarray(mantissa, dtype=np.int64)
    if not value.size:
        return np.zeros(np.broadcast_shapes(value.shape, mantissa.shape), dtype=np.int64)
    largest = max(-int(value.min()), int(value.max())) * int(np.abs(mantissa).max())
    if largest >= 1 << 63:
        return round_half_even_shift(value.astype(object) * mantissa.astype(object), shift)
    return round_half_even_shift(value * mantissa, shift)


EXACT_ROOT = 1 << 52
"""Below it the square root of an integer, as float64, is not rounded up to the next one."""
_ISQRT_MAX = 3037000499  # isqrt(2**63 - 1): its square still fits


def isqrt(value: ArrayLike) -> IntArray:
    """Exact integer square root (floor) of int64 values >= 0.

    Raises
    ------
    NumericsError
        On a negative value.
    """
    value = np.asarray(value, dtype=np.int64)
    if value.size and int(value.min()) < 0:
        raise NumericsError(f"square root of {int(value.min())}: a variance is not negative")
    root = np.sqrt(value.astype(np.float64)).astype(np.int64)
    if not value.size or int(value.max()) < EXACT_ROOT:
        return root
    root = np.minimum(root, _ISQRT_MAX)
    root = root - (root * root > value)  # the float root is off by one at most
    above = np.minimum(root + 1, _ISQRT_MAX)
    return np.where(above * above <= value, above, root)


_ALONE = 1 << 18
"""Multiplications of a product that BLAS does not share among threads."""
_THIN = 64
"""Rows of such a product that make it worth cutting a larger one up."""


def exact_matmul(x: ArrayLike, codes: ArrayLike, x_max: int, code_max: int) -> IntArray:
    """``x @ codes`` in exact integers, on BLAS.

    float32 where ``x_max * code_max * rows <= 2**24``, float64 where it is
    ``<= 2**53``, else the codes are split in halves. Every partial sum is an
    integer that the format holds exactly, so order, batch size and thread count
    cannot change a bit.

    Parameters
    ----------
    x:
        Shape (n, rows), integers with ``|x| <= x_max``.
    codes:
        Shape (rows, columns), integers with ``|codes| <= code_max``.

    Raises
    ------
    NumericsError
        If a value exceeds its stated bound or a sum could exceed int64.
    """
    x, codes = np.asarray(x), np.asarray(codes)
    for name, array, bound in (("x", x, x_max), ("codes", codes, code_max)):
        if array.size and max(-int(array.min()), int(array.max())) > bound:
            raise NumericsError(f"{name} exceeds its stated bound of {bound}")
    bound = x_max * code_max * codes.shape[0]
    if bound >= 1 << 63:
        raise NumericsError(
            f"a sum of {codes.shape[0]} products up to {x_max} * {code_max} exceeds 63 bits"
        )
    if bound <= 1 << 24:
        return _float_matmul(x, codes, np.float32)
    if bound <= 1 << 53:
        return _float_matmul(x, codes, np.float64)
    if code_max < x_max:  # split the operand with more bits: (A B)^T = B^T A^T
        return exact_matmul(codes.T, x.T, code_max, x_max).T
    bits = code_max.bit_length() // 2
    codes = codes.astype(np.int64)
    high = exact_matmul(x, codes >> bits, x_max, (code_max >> bits) + 1)
    low = exact_matmul(x, codes & ((1 << bits) - 1), x_max, (1 << bits) - 1)
    return (high << bits) + low


def _float_matmul(x: NDArray[Any], codes: NDArray[Any], kind: type[np.floating[Any]]) -> IntArray:
    x, codes = x.astype(kind), codes.astype(kind)
    rows = _ALONE // max(1, codes.size)
    if rows < _THIN or len(x) < rows:
        return (x @ codes).astype(np.int64)
    # A few columns: handing parts of it to threads takes longer than the product.
    sums = np.empty((len(x), codes.shape[1]), dtype=kind)
    parts = len(x) // rows
    whole = parts * rows
    stacked = x[:whole].reshape(parts, rows, len(codes))
    np.matmul(stacked, codes, out=sums[:whole].reshape(parts, rows, codes.shape[1]))
    np.matmul(x[whole:], codes, out=sums[whole:])
    return sums.astype(np.int64)


# -- exp ------------------------------------------------------------------------------

_LN2_HIGH = 6.93147180369123816490e-01  # 21 low bits are zero: few-digit multiples are exact
_LN2_LOW = 1.90821492927058770002e-10
_STEP_BITS = 8
_STEPS = 1 << _STEP_BITS  # of a factor of 2: what is left of x is within ln(2) / 512
_PER_STEP = _STEPS * 1.4426950408889634
_STEP_HIGH, _STEP_LOW = _LN2_HIGH / _STEPS, _LN2_LOW / _STEPS
_EASY = 690.0  # up to here the power of 2 keeps what is within 1..2 normal: added to the exponent
_EXP_MIN, _EXP_MAX = -746.0, 710.0
_EXP_BLOCK = 1 << 14  # values at a time: what is in between stays in the cache


@lru_cache(maxsize=1)
def _step_table() -> FloatArray:
    """``2**(j / 256)``, correctly rounded, shape (256,)."""
    with decimal.localcontext(prec=40):
        two = decimal.Decimal(2)
        return np.array([float(two ** (decimal.Decimal(j) / _STEPS)) for j in range(_STEPS)])


def exp(x: ArrayLike) -> FloatArray:
    """``e**x`` of float64 values, with the same bits for a value in any array.

    ``x = (256 n + j) ln(2) / 256 + r``: a table has ``2**(j / 256)``, a polynomial of
    the fourth degree, by Horner's rule with separate multiplications and additions,
    gives ``e**r - 1``, and ``2**n`` is exact. Within 4 ulp of the true value in the
    normal range; 0 below -746, infinity above 710, NaN stays NaN.
    """
    x = np.asarray(x, dtype=np.float64)
    flat = x.reshape(-1)
    power = np.empty(flat.shape)
    for start in range(0, flat.size, _EXP_BLOCK):
        block = slice(start, start + _EXP_BLOCK)
        _exp(flat[block], power[block])
    return power.reshape(x.shape)[()]


def _exp(values: FloatArray, out: FloatArray) -> None:
    easy = float(values.min()) >= -_EASY and float(values.max()) <= _EASY
    if not easy:
        values = np.clip(values, _EXP_MIN, _EXP_MAX)
    steps = values * _PER_STEP
    np.rint(steps, out=steps)
    part = steps * _STEP_HIGH
    r = np.subtract(values, part, out=part)
    poly = np.multiply(steps, _STEP_LOW, out=out)
    np.subtract(r, poly, out=r)
    np.multiply(r, 1.0 / 24.0, out=poly)
    for coefficient in (1.0 / 6.0, 0.5, 1.0):
        np.multiply(np.add(poly, coefficient, out=poly), r, out=poly)
    if not easy:
        steps[np.isnan(steps)] = 0.0
    exponent = steps.astype(np.int64)
    j = exponent & (_STEPS - 1)
    table = _step_table()[j]
    np.multiply(poly, table, out=poly)
    np.add(poly, table, out=poly)
    np.subtract(exponent, j, out=exponent)
    if easy:
        np.left_shift(exponent, 52 - _STEP_BITS, out=exponent)
        np.add(out.view(np.int64), exponent, out=out.view(np.int64))
        return
    exponent >>= _STEP_BITS
    with np.errstate(over="ignore", under="ignore"):
        # Two steps: 2**1024 is no factor of its own, and the last one rounds once.
        half = exponent // 2
        np.ldexp(np.ldexp(poly, half), exponent - half, out=out)


# -- log ------------------------------------------------------------------------------

_SQRT_HALF = 0.7071067811865476
_LOG_TERMS = 12


def log(x: ArrayLike) -> FloatArray:
    """Natural logarithm of float64 values above 0, with the same bits for a value in any array.

    The exponent is taken off exactly, and ``log m = 2 artanh((m - 1) / (m + 1))`` of
    what remains, 0.7 to 1.42, is evaluated by Horner's rule. Within 4 ulp of the true
    value away from 1, and within 1e-16 next to it.

    Raises
    ------
    NumericsError
        On a value that is not above 0 and finite.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.size and not 0 < float(x.min()) <= float(x.max()) < math.inf:
        raise NumericsError(f"logarithm of {float(x.min()):g}..{float(x.max()):g}")
    mantissa, exponent = np.frexp(x)
    low = mantissa < _SQRT_HALF
    mantissa = np.where(low, 2.0 * mantissa, mantissa)
    n = (exponent - low).astype(np.float64)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square = ratio * ratio
    series = np.full_like(ratio, 1.0 / (2 * _LOG_TERMS - 1))
    for term in reversed(range(_LOG_TERMS - 1)):
        series = series * square + 1.0 / (2 * term + 1)
    return n * _LN2_HIGH + (n * _LN2_LOW + 2.0 * ratio * series)
