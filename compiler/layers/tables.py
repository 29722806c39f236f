"""Functions of fine values by tables of 256 entries: pieces of multipartite tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...hw.isa import LAYOUTS, TABLE_ENTRIES, TABLE_WORDS, Op, Sum, pack_table
from ..errors import TargetError
from ..scales import Scale

if TYPE_CHECKING:
    from ..emitter import Emitter

F = Callable[[np.ndarray], np.ndarray]
INDEX_BITS = 14
"""Of an index into three tables."""
INDEX_TOP = (1 << INDEX_BITS) - 1
_TOP, _SLOPES, _PART = 8, 5, 3
"""Of these bits those of the first table, those that choose a slope, and those of each of
the two parts that the slope is multiplied with."""
_TABLES = 3
_WORDS = 10
"""Scratch words that a look-up takes for each value."""
_LEAST = 256
"""Values that are worth their instructions: rather than fewer at a time, memory runs out."""
_SHARE = 5
"""A function has at most this part of the parameter memory for its tables."""
_PIECES = 64
_PIECE_BITS = 8
"""No piece is made of fewer drives than that."""
_STEPS = 2.5
"""Of the result, that tables may be off: half of that is the rounding of their entries."""

_FRACTION_BITS = 4
"""That the smaller tables have where their entries leave room for them."""


class Argument(NamedTuple):
    """Drives that there are, and what one of them is worth."""

    low: int
    high: int
    scale: float


class Tables(NamedTuple):
    """``T1[a b] + (T2[a c] + T3[a d]) / 2**fraction`` of an index ``a b c d``, rounded.

    The first is the function in the middle of its cell of 64 indices, the others what the
    mean slope over ``a`` adds.
    """

    first: np.ndarray
    second: np.ndarray
    third: np.ndarray
    fraction: int


def chunks(emitter: Emitter, count: int, words: int) -> list[slice]:
    """Parts of ``count`` values that there is room for, if each takes ``words`` and a look-up."""
    size = max(emitter.room // (words + _WORDS), min(count, _LEAST))
    size = min(size, LAYOUTS[Op.LUT][-1].maximum)
    return [slice(begin, min(begin + size, count)) for begin in range(0, count, size)]


def require_fine_words(emitter: Emitter, name: str) -> None:
    """Refuse words that an index does not fit.

    Raises
    ------
    TargetError
        If an activation word has less than a bit more than an index.
    """
    if emitter.geometry.act_width <= INDEX_BITS:
        raise TargetError(
            f"layer '{name}' needs activation words of {INDEX_BITS + 1} bits, the "
            f"target has {emitter.geometry.act_width}"
        )


# -- instructions -------------------------------------------------------------------------


def add(
    emitter: Emitter, a: int, b: int, factors: tuple[int, int], offset: int, shift: int, count: int
) -> int:
    """Address of the sums of values at ``a`` and ``b`` times factors, in words of their own."""
    made = emitter.scratch(count)
    add_into(emitter, made, Sum(a, b, *factors, offset, shift), count)
    return made


def add_into(emitter: Emitter, out: int, record: Sum, count: int) -> None:
    """An ``ADD``."""
    emitter.add(out, record, count)


def floor(emitter: Emitter, value: int, offset: int, bits: int, count: int) -> int:
    """Address of ``(value + offset) >> bits``: a rounding of what is never half way."""
    return add(emitter, value, value, (2, 0), 2 * offset + 1 - (1 << bits), bits + 1, count)


def look_up(emitter: Emitter, act: int, out: int, entries: np.ndarray, count: int) -> None:
    """A ``LUT`` by the low byte."""
    table = emitter.table(pack_table(entries.tolist()))
    emitter.emit(Op.LUT, act=act, out=out, table=table, count=count)


def look_up_index(
    emitter: Emitter, tables: Tables, index: int, out: int, clamp: tuple[int, int], count: int
) -> None:
    """What :func:`tabulated` gave tables for, of indices ``a b c d`` of 5, 3, 3 and 3 bits.

    Parameters
    ----------
    index, out :
        Addresses of the indices and of the results, ``count`` each.
    clamp :
        Bounds of the results.
    """
    top, part = 1 << INDEX_BITS, 1 << _PART
    with emitter.temporary():
        emitter.clamp_between(0, top - 1)
        first, slope, middle = (
            floor(emitter, index, 0, bits, count)
            for bits in (INDEX_BITS - _TOP, INDEX_BITS - _SLOPES, _PART)
        )
        emitter.clamp_between(-top, top - 1)
        rest = add(emitter, slope, first, (part, -part), 0, 0, count)
        second = add(emitter, middle, rest, (1, 1), 0, 0, count)
        rest = add(emitter, slope, middle, (part, -part), 0, 0, count)
        third = add(emitter, index, rest, (1, 1), 0, 0, count)
        for table, place in zip(tables[:3], (first, second, third), strict=True):
            look_up(emitter, place, place, table, count)
        word = _word(emitter)
        emitter.clamp_between(-word, word)
        partial = add(emitter, second, third, (1, 1), 0, 0, count)
        emitter.clamp_between(*clamp)
        unit = 1 << tables.fraction
        add_into(emitter, out, Sum(first, partial, unit, 1, 0, tables.fraction), count)


def look_up_fine(
    emitter: Emitter,
    f: F,
    act: int,
    out: int,
    take: Argument,
    give: Scale,
    count: int,
    steps: float = _STEPS,
) -> None:
    """``f`` of drives of any number of bits: the sum of what it rises by in each piece."""
    word = _word(emitter)
    room = emitter.geometry.param_depth // (_SHARE * _TABLES * TABLE_WORDS)
    pieces = fitted(f, take, give, word, min(max(room, 1), _PIECES), steps)
    for number, piece in enumerate(pieces):
        with emitter.temporary():
            emitter.clamp_between(0, piece.top)
            if piece.coarser > 0:
                index = floor(emitter, act, -piece.first, piece.coarser, count)
            else:
                finer = 1 << -piece.coarser
                index = add(emitter, act, act, (finer, 0), -piece.first * finer, 0, count)
            last = number == len(pieces) - 1
            clamp = (give.low, give.high) if last and not number else (-word, word)
            rise = emitter.scratch(count) if number else out
            look_up_index(emitter, piece.tables, index, rise, clamp, count)
            if number:
                emitter.clamp_between(*((give.low, give.high) if last else (-word, word)))
                add_into(emitter, out, Sum(out, rise, 1, 1, 0, 0), count)


def _word(emitter: Emitter) -> int:
    """The largest number of an activation word."""
    return (1 << emitter.geometry.act_width - 1) - 1


# -- what the tables hold -----------------------------------------------------------------


def rounded(f: F, x: np.ndarray, give: Scale) -> np.ndarray:
    """Drives of ``f(x)``."""
    y = np.nan_to_num(f(x.astype(np.float64)))
    return np.clip(np.rint(y / give.scale), give.low, give.high).astype(np.int64)


def tabulated(steps: F, word: int) -> Tables:
    """Tables of a function of an index.

    Parameters
    ----------
    steps :
        What is wanted, in steps of the result, of an index, which may be a fraction.
    word :
        The largest number that an entry can be.
    """
    cell, segment, part = 1 << INDEX_BITS - _TOP, 1 << INDEX_BITS - _SLOPES, 1 << _PART
    with np.errstate(all="ignore"):
        centres = np.nan_to_num(steps((np.arange(TABLE_ENTRIES) + 0.5) * cell - 0.5))
        edges = np.nan_to_num(steps(np.arange((1 << _SLOPES) + 1) * segment - 0.5))
    slopes = np.diff(edges) / segment
    inner = np.arange(part) - (part - 1) / 2
    # The sum of the smaller ones has to fit a word too.
    room = word / max(float(np.abs(slopes).max()) * cell, 1.0)
    fraction = min(max(int(np.log2(room)), 0), _FRACTION_BITS) if room >= 1 else 0
    slopes = slopes * (1 << fraction)
    first, second, third = (
        np.clip(np.rint(entries), -word, word).astype(np.int64).reshape(-1)
        for entries in (
            centres,
            slopes[:, np.newaxis] * inner * part,
            slopes[:, np.newaxis] * inner,
        )
    )
    return Tables(first, second, third, fraction)


def simulated(tables: Tables, index: np.ndarray) -> np.ndarray:
    """What :func:`look_up_index` finds."""
    first, second, third, fraction = tables
    part = 1 << _PART
    slope = (index >> INDEX_BITS - _SLOPES) * part
    small = second[slope + (index >> _PART) % part] + third[slope + index % part]
    found = first[index >> INDEX_BITS - _TOP] + small / (1 << fraction)
    return np.rint(found).astype(np.int64)


@dataclass(frozen=True)
class Piece:
    """Drives from ``first`` on, ``2**coarser`` of them to an index up to ``top``.

    Those outside have the index 0 or ``top``.
    """

    first: int
    coarser: int
    top: int
    tables: Tables

    def index(self, drives: np.ndarray) -> np.ndarray:
        """Indices of drives."""
        distance = drives - self.first
        if self.coarser > 0:
            return np.clip(distance >> self.coarser, 0, self.top)
        return np.clip(distance << -self.coarser, 0, self.top)

    def found(self, drives: np.ndarray) -> np.ndarray:
        """What its tables have of drives."""
        return simulated(self.tables, self.index(drives))


class _Part(NamedTuple):
    """Drives between two that neighbours share, and how far off one piece is there."""

    error: float
    first: int
    last: int
    flat: bool


@lru_cache(maxsize=64)
def fitted(
    f: F, take: Argument, give: Scale, word: int, most: int = _PIECES, tolerance: float = _STEPS
) -> tuple[Piece, ...]:
    """Pieces whose sum is ``f``, more of them where it bends.

    A part of the drives is halved while its tables are off by too much. Then the first
    piece has the function, and every other one what it rises by, 0 at its first index;
    one that would add nothing is left out.

    Parameters
    ----------
    give :
        Scale of the result.
    word :
        The largest number of an activation word.
    most :
        Pieces that there may be.
    tolerance :
        Steps of the result that they may be off.
    """

    def steps(drives: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.nan_to_num(f(drives * take.scale)) / give.scale

    def wanted(first: int, last: int) -> np.ndarray:
        return np.clip(steps(np.arange(first, last + 1)), give.low, give.high)

    def part(first: int, last: int) -> _Part:
        found = _piece(steps, first, last, word).found(np.arange(first, last + 1))
        values = wanted(first, last)
        error = np.abs(np.clip(found, give.low, give.high) - values).max()
        if first > take.low and np.abs(values - values[0]).max() > word:
            error = np.inf  # more than the entries of a table can rise
        return _Part(float(error), first, last, bool(np.ptp(values) <= tolerance / 2))

    parts = [part(take.low, take.high)]
    while sum(not p.flat for p in parts) < most:
        worst = max((p for p in parts if p.last - p.first >= _least(p.error)), default=None)
        if worst is None or worst.error <= tolerance:
            break
        parts.remove(worst)
        coarser = _coarser(worst.last - worst.first)
        half = INDEX_TOP << coarser - 1 if coarser > 0 else (worst.last - worst.first) // 2
        parts += [part(worst.first, worst.first + half), part(worst.first + half, worst.last)]

    if any(p.error == np.inf for p in parts):
        parts = [part(take.low, take.high)]
    pieces: list[Piece] = []
    before = 0
    for _, first, last, flat in sorted(parts, key=lambda p: p.first):
        if flat and (pieces or last < take.high):
            continue  # the next piece's first index is as good, or the last one's last
        piece = _piece(steps, first, last, word)
        if pieces:
            table = np.clip(piece.tables.first - before, -word, word)
            tables = piece.tables._replace(first=table)
            table[0] -= simulated(tables, np.zeros(1, np.int64))[0]
            piece = replace(piece, tables=tables)
        pieces.append(piece)
        before += int(piece.found(np.array([last]))[0])
    return tuple(pieces)


def _least(error: float) -> int:
    """Drives that a part has which is halved; any that can be, where it must."""
    return 1 << _PIECE_BITS if np.isfinite(error) else 2


def _coarser(distance: int) -> int:
    """The power of two of drives to an index."""
    coarser = max(distance.bit_length() - INDEX_BITS, 0)
    while not coarser > 0 and distance << 1 - coarser <= INDEX_TOP and coarser > -INDEX_BITS:
        coarser -= 1
    return coarser


def _piece(steps: F, first: int, last: int, word: int) -> Piece:
    coarser = _coarser(last - first)
    top = last - first >> coarser if coarser > 0 else last - first << -coarser
    size = 2.0**coarser
    middle = (size - 1) / 2 if coarser > 0 else 0.0
    tables = tabulated(lambda index: steps(first + index * size + middle), word)
    return Piece(first, coarser, top, tables)
