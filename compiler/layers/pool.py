"""The largest or the mean of windows: pooling, and maxima and means along axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import POOL_LOOPS, WINDOW_FIELDS, Grid, Op, pack_pool, pack_requant
from ..address import Addresses, cover, pool_loops
from ..errors import TargetError
from ..scales import mantissa_and_shift
from .base import ZERO, Bounded, Sourced, Values

if TYPE_CHECKING:
    from ..emitter import Emitter

_EXTENT = WINDOW_FIELDS[0].maximum
_NONE = np.iinfo(np.int64).max
_PART = 1 << 19
"""Numbers that are compared at once: bounds memory, changes nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Maximum(Sourced):
    """Value ``n`` is the largest of ``source[n]``.

    Attributes
    ----------
    source:
        Values of each window, shape (count, values); ``ZERO`` where it has fewer.
    """

    kind = "max pool"
    passes = True

    def forward(self, memory: np.ndarray) -> np.ndarray:
        values = memory[:, self.source]
        values[:, self.source == ZERO] = -np.inf
        return values.max(axis=2)

    def emit(self, emitter: Emitter) -> None:
        source, target = emitter.addresses(self.source), emitter.addresses(self.made)
        with emitter.temporary():
            for act, out, grid in _grids(emitter, self.name, source, target):
                emitter.emit(
                    Op.POOL, act=act, out=out, param=emitter.record(pack_pool(grid)), average=0
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Mean(Bounded, Sourced):
    """Value ``n`` is the sum of ``source[n]`` by ``divisor[n]``, between bounds.

    Attributes
    ----------
    source:
        As of :class:`Maximum`.
    divisor:
        float64, shape (count,), above 0.
    """

    divisor: np.ndarray
    kind = "mean pool"

    @property
    def sorts(self) -> Values:
        return np.unique(self.divisor, return_inverse=True)[1]

    def forward(self, memory: np.ndarray) -> np.ndarray:
        made = memory[:, self.source].sum(axis=2) / self.divisor.astype(memory.dtype)
        return np.clip(made, self.low, self.high)

    def emit(self, emitter: Emitter) -> None:
        emitter.clamp(self)
        source, target = emitter.addresses(self.source), emitter.addresses(self.made)
        step = emitter.scale(self.source).scale / emitter.scale(self.made).scale
        for divisor in np.unique(self.divisor):
            factor = pack_requant(0, *mantissa_and_shift(step / float(divisor)))
            here = self.divisor == divisor
            with emitter.temporary():
                for act, out, grid in _grids(emitter, self.name, source[here], target[here]):
                    param = emitter.record([*pack_pool(grid), factor])
                    emitter.emit(Op.POOL, act=act, out=out, param=param, average=1)


def _grids(
    emitter: Emitter, name: str, source: Addresses, target: Addresses
) -> Iterator[tuple[int, int, Grid]]:
    """First addresses and windows of as few ``POOL`` as there are, kinds of window apart.

    Parameters
    ----------
    source :
        Addresses of each window, shape (windows, values); -1 where it has fewer.
    target :
        Of what is made, shape (windows,).
    """
    inside: np.ndarray = np.where(source < 0, _NONE, source)
    inside.sort(axis=1)
    first: np.ndarray = inside[:, 0].copy()
    np.subtract(inside, first[:, np.newaxis], out=inside, where=inside != _NONE)
    for here in _same_rows(inside):
        begins, outs = first.take(here), target.take(here)
        distances = inside[here[0]]
        distances = distances[distances != _NONE]
        if not distances.size:
            raise TargetError(f"layer '{name}' has a window without a value")
        window = _window(distances)
        if window is not None:
            yield from _nests(begins, outs, window)
            continue
        # No rectangle: the values of each window are laid out in a row.
        window = _window(np.arange(distances.size))
        if window is None:
            raise TargetError(
                f"layer '{name}' has windows of {distances.size} values, which no "
                f"rectangle of up to {_EXTENT} x {_EXTENT} is"
            )
        together = max(emitter.room // distances.size, 1)
        for begin in range(0, len(here), together):
            some = slice(begin, begin + together)
            values = begins[some, np.newaxis] + distances
            with emitter.temporary():
                places = emitter.scratch(values.size) + np.arange(values.size).reshape(values.shape)
                emitter.copy(values, places)
                yield from _nests(places[:, 0], outs[some], window)


def _same_rows(table: np.ndarray) -> list[np.ndarray]:
    """Which rows (n, values) are alike, kinds in the order of their values."""
    # Rows are told apart by a product with odd numbers, which is looked at: sorting whole rows
    # takes many times the memory and the time.
    factors = np.random.default_rng(0).integers(1 << 62, size=table.shape[1]) * 2 + 1
    with np.errstate(over="ignore"):
        keys = table @ factors
    _, index, kind = np.unique(keys, return_index=True, return_inverse=True)
    step = max(_PART // table.shape[1], 1)
    for part in (slice(n, n + step) for n in range(0, len(table), step)):
        if (table[part] != table[index[kind[part]]]).any():
            _, index, kind = np.unique(table, axis=0, return_index=True, return_inverse=True)
            break
    order = np.argsort(kind.reshape(-1), kind="stable")
    edges = np.flatnonzero(np.diff(kind.reshape(-1)[order])) + 1
    kinds = np.split(order, edges)
    return [kinds[n] for n in np.atleast_1d(np.lexsort(table[index].T[::-1])).tolist()]


def _nests(
    begins: Addresses, outs: Addresses, window: tuple[int, int, int, int]
) -> Iterator[tuple[int, int, Grid]]:
    """Windows of one kind."""
    table = np.stack([begins, outs], axis=1)
    for nest in cover(table, POOL_LOOPS):
        act, out = (int(address) for address in table[nest.first])
        yield act, out, Grid(*window, pool_loops(nest))


def _window(distances: Addresses) -> tuple[int, int, int, int] | None:
    """Rows, columns and their steps of a rectangle; None if it is none that a ``POOL`` has."""
    nest = next(cover(distances[:, np.newaxis], 2))
    if nest.rows < distances.size:
        return None
    loops = [(count, int(step[0])) for count, step in nest.loops]
    loops += [(1, 0)] * (2 - len(loops))
    (columns, column_step), (rows, row_step) = loops
    if columns > _EXTENT and rows == 1:
        fitting = [n for n in range(2, _EXTENT + 1) if columns % n == 0]
        columns, total = (fitting[-1] if fitting else columns), columns
        rows, row_step = total // columns, column_step * columns
    if max(rows, columns) > _EXTENT or max(row_step, column_step) >= 1 << 16:
        return None
    return rows, columns, row_step, column_step
