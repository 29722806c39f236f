"""A product in the functions of the array API standard: digits, sums, draws, codes, shift-and-add.

The same integers as ``product`` makes, on any namespace and device with int64 and float64. Every
float here is whole, or one half more, and below 2^53: no sum depends on its order, no product is
rounded, contracted or not. Nothing is written in place, and nothing relies on what the standard
leaves open: words of 32 bits are masked int64, since not every library calculates in uint32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..converters import Scales
from ..numerics import PARITY, REST_BITS, ROTATIONS, SEGMENT_BITS, SEGMENTS

_WORD = (1 << 32) - 1


@dataclass(frozen=True)
class Digits:
    """What rows are driven with, as :class:`~ohmloom.sim.engine.digits.Digit` has it.

    ``plane``, ``mask`` and ``sign`` int32, ``weight`` int64, shape (digits,).
    """

    plane: Any
    mask: Any
    sign: Any
    weight: Any


@dataclass(frozen=True)
class Draws:
    """Names of draws, int64: ``places`` of columns with their domain, shape (columns,), ``epochs``
    and ``index`` of plane 0, shape (lanes,); the table of deviates, and the powers of two below
    2^32."""

    seed: int
    places: Any
    epochs: Any
    index: Any
    table: Any
    powers: Any


def product(
    xp: Any, x: Any, digits: Digits, total: Any, variance: Any, draws: Draws | None,
    scales: Scales, plus: int,
) -> tuple[Any, int, Any]:  # fmt: skip
    """What lanes add to accumulators.

    Parameters
    ----------
    x:
        Activations of the driven rows, int32 (lanes, rows).
    total, variance:
        Operands, float64 (rows, columns): ``plus`` columns that are added, then as many that
        are subtracted from them, or one from all; or none, of differences.
    draws:
        None: there is no noise.

    Returns
    -------
    The sums, int64 (lanes, plus); the codes at a rail; and of each row the squares of its
    digits, float64 (rows,).
    """
    lanes, rows = x.shape
    plane, mask, sign = (part[:, None, None] for part in (digits.plane, digits.mask, digits.sign))
    found = (((x[None, ...] >> plane) & mask) ^ sign) - sign
    used = xp.reshape(xp.any(found != 0, axis=2), (-1,))
    (some,) = xp.nonzero(used)  # the others give code 0, without noise
    digit, lane = some // lanes, some % lanes
    driven = xp.astype(xp.take(xp.reshape(found, (-1, rows)), some, axis=0), xp.float64)
    squares = driven * driven
    value = xp.matmul(driven, total) * float(scales.mantissa)
    if draws is not None:
        # A half more keeps every root away from whole numbers: one that is off by some of its
        # last places, as some devices' are, has the same floor.
        sigma = xp.floor(xp.sqrt(xp.matmul(squares, variance) + 0.5))
        index = xp.take(draws.index, lane) + xp.astype(xp.take(digits.plane, digit), xp.int64)
        epochs = xp.take(draws.epochs, lane)
        word = words(xp, draws.seed, draws.places, epochs[:, None], index[:, None])
        z = xp.astype(deviates(xp, word, draws.table, draws.powers), xp.float64)
        value = value + xp.floor(z * sigma * (scales.mantissa * 2.0**-scales.fraction))
    low, high = float(scales.low), float(scales.high)
    code = xp.round(value * 2.0**-scales.shift)
    code = xp.where(code < low, low, xp.where(code > high, high, code))
    railed = int(xp.count_nonzero((code <= low) | (code >= high)))
    code = xp.where(code == high, float(scales.top), code * float(1 << scales.left))
    added = code if code.shape[1] == plus else code[:, :plus] - code[:, plus:]
    added = xp.astype(added, xp.int64) * xp.take(digits.weight, digit)[:, None]
    # Each lane takes what its digits have come to: a row of zeros where one drives nothing.
    nothing = xp.zeros((1, plus), dtype=xp.int64, device=x.device)
    added = xp.concat([added, nothing], axis=0)
    at = xp.cumulative_sum(xp.astype(used, xp.int64)) - 1
    at = xp.where(used, at, added.shape[0] - 1)
    sums = xp.sum(xp.reshape(xp.take(added, at, axis=0), (-1, lanes, plus)), axis=0)
    return sums, railed, xp.sum(squares, axis=0)


def words(xp: Any, key0: int, key1: Any, ctr0: Any, ctr1: Any) -> Any:
    """The first word of Threefry-2x32 with 20 rounds, of int64 words that broadcast."""
    schedule = (key0, key1, key1 ^ (key0 ^ int(PARITY)))
    x0, x1 = ctr0 + key0, (ctr1 + key1) & _WORD
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = x0 + x1  # bits above the word do no harm before the end: below 2^38
            x1 = (((x1 << rotation) | (x1 >> (32 - rotation))) ^ x0) & _WORD
        x0 = x0 + schedule[(group + 1) % 3]
        x1 = (x1 + (schedule[(group + 2) % 3] + (group + 1))) & _WORD
    return x0 & _WORD


def deviates(xp: Any, word: Any, table: Any, powers: Any) -> Any:
    """Normal deviates of words, as :func:`~ohmloom.sim.numerics.normal_from_word`, int64.

    Parameters
    ----------
    table, powers:
        As :class:`Draws` has them.
    """
    flat = xp.reshape(word, (-1,))
    u = ((flat << 1) & _WORD) | 1
    octave = xp.searchsorted(powers, u, side="right") - 1
    v = u << (31 - octave)  # its top bit is set
    entry = (octave - 1) * SEGMENTS + (v >> (31 - SEGMENT_BITS))
    low, high = xp.take(table, entry), xp.take(table, entry + 1)
    rest = (v & ((1 << REST_BITS) - 1)) * (high - low) + (1 << (REST_BITS - 1))
    z = low + (rest >> REST_BITS)
    sign = -(flat >> 31)
    return xp.reshape((z ^ sign) - sign, word.shape)
