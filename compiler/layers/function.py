"""Functions of one value, from tables: ``Sigmoid``, ``Tanh``, ``HardSwish`` ..."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import TABLE_ENTRIES, Op, Sum, pack_add, pack_table
from ..errors import TargetError
from ..scales import Scale
from .base import Layer, Values

if TYPE_CHECKING:
    from ..emitter import Emitter

_FINE_BITS = 14
"""Of an index into three tables."""
_TOP, _SLOPES, _PART = 8, 5, 3
"""Of these bits those of the first table, those that choose a slope, and those of each of
the two parts that the slope is multiplied with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Function(Layer):
    """Value ``n`` is ``f(source[n])``.

    Where an activation has up to 8 bits, one table has it all. One of more bits is brought
    to 14, ``a b c d`` of 5, 3, 3 and 3 bits, and the result is ``T1[a b] + T2[a c] +
    T3[a d]`` with the mean slope over ``a`` in the latter two (a multipartite table).

    Attributes
    ----------
    source:
        Numbers of values, shape (count,).
    f:
        Of float64 arrays.
    """

    source: Values
    f: Callable[[np.ndarray], np.ndarray]
    kind = "function"

    @property
    def count(self) -> int:
        return len(self.source)

    @property
    def reads(self) -> tuple[Values, ...]:
        return (self.source,)

    def forward(self, memory: np.ndarray) -> np.ndarray:
        return self.f(memory[:, self.source].astype(np.float64)).astype(memory.dtype)

    def emit(self, emitter: Emitter) -> None:
        take, give = emitter.scale(self.source), emitter.scale(self.made)
        with emitter.temporary():
            source = emitter.laid_out(emitter.addresses(self.source))
            act, out = int(source[0]), int(emitter.addresses(self.made)[0])
            if take.high - take.low < TABLE_ENTRIES:
                self._look_up(emitter, act, out, self._entries(take, give))
            else:
                self._look_up_fine(emitter, act, out, take, give)

    def _look_up(self, emitter: Emitter, act: int, out: int, entries: np.ndarray) -> None:
        table = emitter.table(pack_table(entries.tolist()))
        emitter.emit(Op.LUT, act=act, out=out, table=table, count=self.count)

    def _entries(self, take: Scale, give: Scale) -> np.ndarray:
        """The table of all drives, by their low byte."""
        drives = np.arange(take.low, take.high + 1)
        entries = np.zeros(TABLE_ENTRIES, np.int64)
        entries[drives & TABLE_ENTRIES - 1] = self._rounded(drives * take.scale, give)
        return entries

    def _rounded(self, x: np.ndarray, give: Scale) -> np.ndarray:
        y = np.nan_to_num(self.f(x.astype(np.float64)))
        return np.clip(np.rint(y / give.scale), give.low, give.high).astype(np.int64)

    def _look_up_fine(self, emitter: Emitter, act: int, out: int, take: Scale, give: Scale) -> None:
        """By three tables; floors are roundings of what is never half way."""
        if emitter.geometry.act_width <= _FINE_BITS:
            raise TargetError(
                f"layer '{self.name}' needs activation words of {_FINE_BITS + 1} bits, the "
                f"target has {emitter.geometry.act_width}; activations of 8 bits need no more"
            )
        top = 1 << _FINE_BITS
        steps = take.high - take.low + 1
        coarser, finer = max(take.bits - _FINE_BITS, 0), max(_FINE_BITS - take.bits, 0)

        def add(a: int, b: int, factors: tuple[int, int], offset: int, shift: int) -> int:
            made = emitter.scratch(self.count)
            param = emitter.record(pack_add(Sum(a, b, *factors, offset, shift)))
            emitter.emit(Op.ADD, out=made, param=param, count=self.count)
            return made

        def floor(value: int, bits: int) -> int:
            return add(value, value, (2, 0), 1 - (1 << bits), bits + 1)

        emitter.clamp_between(0, top - 1)
        if finer:
            index = add(act, act, (1 << finer, 0), -take.low << finer, 0)
        else:
            index = add(act, act, (2, 0), 1 - (1 << coarser) - 2 * take.low, coarser + 1)
        first, slope = floor(index, _FINE_BITS - _TOP), floor(index, _FINE_BITS - _SLOPES)
        middle = floor(index, _PART)
        emitter.clamp_between(-top, top - 1)
        part = 1 << _PART
        rest = add(slope, first, (part, -part), 0, 0)
        second = add(middle, rest, (1, 1), 0, 0)
        rest = add(slope, middle, (part, -part), 0, 0)
        third = add(index, rest, (1, 1), 0, 0)

        width = steps / top * take.scale  # of a step of the index
        begin = take.low * take.scale - take.scale / 2
        cell = 1 << _FINE_BITS - _TOP
        centres = begin + (np.arange(TABLE_ENTRIES) + 0.5) * cell * width
        segment = width * (1 << _FINE_BITS - _SLOPES)
        edges = begin + np.arange((1 << _SLOPES) + 1) * segment
        slopes = np.nan_to_num(np.diff(self.f(edges)) / segment)
        inner = np.arange(part) - (part - 1) / 2
        tables = [self._rounded(centres, give)]
        for size in (width * part, width):
            rise = np.rint(slopes[:, np.newaxis] * inner * size / give.scale)
            tables.append(rise.reshape(-1).astype(np.int64))
        for table, place in zip(tables, (first, second, third), strict=True):
            self._look_up(emitter, place, place, table)
        emitter.clamp_between(give.low, give.high)
        partial = add(second, third, (1, 1), 0, 0)
        param = emitter.record(pack_add(Sum(first, partial, 1, 1, 0, 0)))
        emitter.emit(Op.ADD, out=out, param=param, count=self.count)
