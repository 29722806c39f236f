"""Functions of fine values by tables of 256 entries: a multipartite table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import TABLE_ENTRIES, Op, Sum, pack_add, pack_table
from ..errors import TargetError
from ..scales import Scale

if TYPE_CHECKING:
    from ..emitter import Emitter

F = Callable[[np.ndarray], np.ndarray]
INDEX_BITS = 14
"""Of an index into the tables."""
_TOP, _SLOPES, _PART = 8, 5, 3
"""Of these bits those of the first table, those that choose a slope, and those of each of
the two parts that the slope is multiplied with."""
_WORDS = 8
"""That :func:`look_up_index` takes for each value."""
_LEAST = 256
"""Values that are worth their instructions: rather than fewer at a time, memory runs out."""


def chunks(emitter: Emitter, count: int, words: int) -> list[slice]:
    """Parts of ``count`` values that there is room for, if each takes ``words``."""
    size = max((emitter.room // (words + _WORDS)), min(count, _LEAST))
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


def add(
    emitter: Emitter, a: int, b: int, factors: tuple[int, int], offset: int, shift: int, count: int
) -> int:
    """Address of the sums of values at ``a`` and ``b`` times factors, in words of their own."""
    made = emitter.scratch(count)
    add_into(emitter, made, Sum(a, b, *factors, offset, shift), count)
    return made


def add_into(emitter: Emitter, out: int, record: Sum, count: int) -> None:
    """An ``ADD``."""
    emitter.emit(Op.ADD, out=out, param=emitter.record(pack_add(record)), count=count)


def look_up(emitter: Emitter, act: int, out: int, entries: np.ndarray, count: int) -> None:
    """A ``LUT`` by the low byte."""
    table = emitter.table(pack_table(entries.tolist()))
    emitter.emit(Op.LUT, act=act, out=out, table=table, count=count)


def rounded(f: F, x: np.ndarray, give: Scale) -> np.ndarray:
    """Drives of ``f(x)``."""
    y = np.nan_to_num(f(x.astype(np.float64)))
    return np.clip(np.rint(y / give.scale), give.low, give.high).astype(np.int64)


def look_up_index(
    emitter: Emitter,
    f: F,
    index: int,
    out: int,
    begin: float,
    width: float,
    give: Scale,
    count: int,
) -> None:
    """``f`` by three tables of indices of 14 bits, ``a b c d`` of 5, 3, 3 and 3.

    The result is ``T1[a b] + T2[a c] + T3[a d]`` with the mean slope over ``a`` in the
    latter two. Floors are roundings of what is never half way.

    Parameters
    ----------
    index, out :
        Addresses of the indices and of the results, ``count`` each.
    begin, width :
        Where the first index begins, and how much of the argument each one covers.
    give :
        Scale of the results.
    """
    top, part = 1 << INDEX_BITS, 1 << _PART

    def floor(bits: int) -> int:
        return add(emitter, index, index, (2, 0), 1 - (1 << bits), bits + 1, count)

    emitter.clamp_between(0, top - 1)
    first, slope, middle = floor(INDEX_BITS - _TOP), floor(INDEX_BITS - _SLOPES), floor(_PART)
    emitter.clamp_between(-top, top - 1)
    rest = add(emitter, slope, first, (part, -part), 0, 0, count)
    second = add(emitter, middle, rest, (1, 1), 0, 0, count)
    rest = add(emitter, slope, middle, (part, -part), 0, 0, count)
    third = add(emitter, index, rest, (1, 1), 0, 0, count)

    cell = 1 << INDEX_BITS - _TOP
    centres = begin + (np.arange(TABLE_ENTRIES) + 0.5) * cell * width
    segment = width * (1 << INDEX_BITS - _SLOPES)
    edges = begin + np.arange((1 << _SLOPES) + 1) * segment
    slopes = np.nan_to_num(np.diff(f(edges)) / segment)
    inner = np.arange(part) - (part - 1) / 2
    tables = [rounded(f, centres, give)]
    for size in (width * part, width):
        rise = np.rint(slopes[:, np.newaxis] * inner * size / give.scale)
        tables.append(rise.reshape(-1).astype(np.int64))
    for table, place in zip(tables, (first, second, third), strict=True):
        look_up(emitter, place, place, table, count)
    most = (1 << emitter.geometry.act_width - 1) - 1
    emitter.clamp_between(-most, most)  # what is added to the first one may be below any result
    partial = add(emitter, second, third, (1, 1), 0, 0, count)
    emitter.clamp_between(give.low, give.high)
    add_into(emitter, out, Sum(first, partial, 1, 1, 0, 0), count)
