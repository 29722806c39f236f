"""The standard normals of cells: how they were made, and what each pulse adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics import Domain, FloatArray, IntArray, draw_normal, draw_normal_pair, exp
from .state import everything

Z_UNIT = 1.0 / 4096.0
"""A standard normal is an integer deviate times this."""
Z_MAX = 6.4
"""Above the largest standard normal that the table has."""
_CODE_MAX = int(Z_MAX / Z_UNIT)
_CHUNK = 1 << 14  # cells compared at a time: they stay in the cache
_LN10 = 2.302585092994046


def decades(number: FloatArray) -> FloatArray:
    """``10**number``: the factor of a log-normal deviation."""
    return exp(_LN10 * number)


@lru_cache(maxsize=32)
def _factors(spread: float) -> FloatArray:
    """``decades(spread z)`` of every deviate that there is; a negative one counts from the end."""
    z = np.arange(-_CODE_MAX, _CODE_MAX + 1)
    factors = np.roll(decades(_normal(z, spread)), -_CODE_MAX)
    factors.setflags(write=False)
    return factors


def _factor(spread: float, z: NDArray[Any]) -> FloatArray:
    return _factors(spread)[z.astype(np.intp, copy=False)]


def _normal(z: NDArray[Any], spread: float = 1.0) -> FloatArray:
    """``spread`` standard deviations: exact, since the unit is a power of 2."""
    return np.multiply(z, spread * Z_UNIT, dtype=np.float64)


def as_slice(cells: IntArray) -> slice | IntArray:
    """A numpy index of cells: a slice, which copies none, where their numbers follow each other."""
    if cells.ndim != 1 or not cells.size or int(cells[-1]) - int(cells[0]) != cells.size - 1:
        return cells
    first = int(cells[0])
    for start in range(0, cells.size, _CHUNK):
        some = cells[start : start + _CHUNK]
        if not np.array_equal(some, np.arange(first + start, first + start + some.size)):
            return cells
    return slice(first, first + cells.size)


class Made:
    """What all cells of an array were made with: drawn at first use, kept in two bytes each.

    Parameters
    ----------
    seed:
        Seed of the array.
    count:
        Its cells.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._seed, self._count = seed, count
        self._deviates: dict[int, NDArray[np.int16]] = {}

    def deviates(self, index: int) -> NDArray[np.int16]:
        """The ``index``-th property of each cell, shape (count,): integer deviates."""
        if index not in self._deviates:
            z = draw_normal(self._seed, Domain.DEVICE, np.arange(self._count), 0, index)
            self._deviates[index] = z.astype(np.int16)  # |z| <= 6.4 * 4096
        return self._deviates[index]


@dataclass(frozen=True)
class Draws:
    """Normal deviates of cells, named by cell, pulse and index (``docs/numerics.md``).

    Attributes
    ----------
    seed:
        Seed of the array.
    cells:
        Flat cell numbers.
    pulses:
        Lifetime pulse count of each cell before the interval, of the same shape.
    known:
        What the cells of the array were made with; without it that is drawn anew.
    index:
        The cells as a numpy index of all cells, where a slice is known to be one.
    """

    seed: int
    cells: IntArray
    pulses: NDArray[Any]
    known: Made | None = None
    index: slice | IntArray | None = None
    _drawn: dict[int, IntArray] = field(default_factory=dict, init=False, repr=False, compare=False)

    def made(self, index: int, spread: float = 1.0) -> FloatArray:
        """The ``index``-th property that a cell was made with, the same all its life."""
        return _normal(self._made(index), spread)

    def made_factor(self, index: int, spread: float) -> FloatArray:
        """``decades(spread * made(index))``, looked up."""
        return _factor(spread, self._made(index))

    def pulse(self, index: int, spread: float = 1.0) -> FloatArray:
        """The ``index``-th draw of this pulse."""
        return _normal(self._pulse(index), spread)

    def pulse_factor(self, index: int, spread: float) -> FloatArray:
        """``decades(spread * pulse(index))``, looked up."""
        return _factor(spread, self._pulse(index))

    def take(self, cells: Any) -> Draws:
        """The draws of the cells that a numpy index selects."""
        if everything(cells):
            return self
        return Draws(self.seed, self.cells[cells], self.pulses[cells], self.known)

    def _made(self, index: int) -> NDArray[Any]:
        if self.known is not None:
            return self.known.deviates(index)[self.cells if self.index is None else self.index]
        return draw_normal(self.seed, Domain.DEVICE, self.cells, 0, index)

    def _pulse(self, index: int) -> IntArray:
        """Draws 2 n and 2 n + 1 are the two words of one name: the first comes with the second."""
        if index in self._drawn:
            return self._drawn[index]
        name = (self.seed, Domain.PULSE, self.cells, self.pulses, index >> 1)
        if index & 1 == 0:
            return draw_normal(*name)
        self._drawn[index - 1], second = draw_normal_pair(*name)
        return second
