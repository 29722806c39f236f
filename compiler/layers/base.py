"""What every layer is: values read, values made, in floats and as instructions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..scales import Scale

if TYPE_CHECKING:
    from ..emitter import Emitter

Values = NDArray[np.signedinteger]
"""Numbers of values; the array has a tensor's shape."""
ZERO = -1
"""In place of a number: a value that is always 0."""


class Renumbering:
    """New numbers of values: ``renumbering[values]``; ``ZERO`` stays.

    Parameters
    ----------
    old, new :
        First numbers of runs of values, and those that they get; ``old`` rises.
    """

    def __init__(self, old: Sequence[int], new: Sequence[int]) -> None:
        self._old = np.array(old)
        self._moves = np.array(new) - self._old

    def __getitem__(self, values: Values | int) -> Values:
        """Of an array of values, of its shape, int32; or of a single one."""
        return self.of(np.asarray(values), np.int32)

    def of(self, values: Values, dtype: DTypeLike) -> Values:
        """The same in another type."""
        if not values.size:
            return values.astype(dtype)
        first, last = np.searchsorted(self._old, [values.min(), values.max()], side="right") - 1
        if first == last >= 0:  # no ZERO, and all of one run
            return np.add(values, self._moves[first], dtype=dtype, casting="unsafe")
        move = self._moves[np.searchsorted(self._old, values, side="right") - 1]
        return np.where(values < 0, ZERO, values + move).astype(dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer(ABC):
    """One step of a network.

    Attributes
    ----------
    name:
        Name of the node that it comes from; unique in the network.
    first:
        Number of the first value that it makes; the others follow.
    alike:
        Layers in which this is the same and not empty are one step of a network that is
        repeated: what they make has one scale, and their matrices are on the tiles once.
    pin:
        Scale that a quantised model says its values have; None: calibration chooses one.
    """

    name: str
    first: int
    alike: str = ""
    pin: Scale | None = None

    kind: ClassVar[str]
    """What the report calls it."""
    holds: ClassVar[tuple[str, ...]] = ()
    """Attributes that are numbers of values."""
    passes: ClassVar[bool] = False
    """Whether it makes values of those that it reads, unchanged: they have one scale."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Values that it makes."""

    @property
    @abstractmethod
    def reads(self) -> tuple[Values | range, ...]:
        """Values that it reads, in arrays (or ranges) of values that have one scale."""

    @abstractmethod
    def forward(self, memory: np.ndarray) -> np.ndarray:
        """Floats (n, count) of all values so far (n, values); the last one is 0."""

    @abstractmethod
    def emit(self, emitter: Emitter) -> None:
        """Its instructions."""

    @property
    def origins(self) -> Values | None:
        """What each of its values is made of, shape (count, n), all of them in the same way.

        None where it is otherwise: where a value lies makes a difference.
        """
        return None

    @property
    def sorts(self) -> Values | None:
        """For each of its values a number, shape (count,), that those share which are made
        with the same constants; None where all are."""
        return None

    def rearranged(self, order: np.ndarray) -> Self:
        """The same layer where value ``n`` is made with the constants of value ``order[n]``."""
        del order
        return self

    def renumbered(self, table: Renumbering) -> Self:
        """The same layer where value ``n`` has the number ``table[n]``."""
        changes = {name: table[getattr(self, name)] for name in (*self.holds, "first")}
        return replace(self, **{**changes, "first": int(changes["first"])})

    @property
    def numbers(self) -> range:
        """Numbers of the values that it makes."""
        return range(self.first, self.first + self.count)

    @property
    def made(self) -> Values:
        """Numbers of the values that it makes, shape (count,)."""
        return np.arange(self.first, self.first + self.count)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sourced(Layer):
    """A layer whose value ``n`` comes from ``source[n]`` alone.

    Attributes
    ----------
    source:
        Numbers of values, shape (count, ...), which have one scale.
    """

    source: Values
    holds = ("source",)

    @property
    def count(self) -> int:
        return len(self.source)

    @property
    def reads(self) -> tuple[Values, ...]:
        return (self.source,)

    @property
    def origins(self) -> Values | None:
        return self.source.reshape(self.count, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounded(Layer):
    """A layer that holds what it makes between bounds, at no cost.

    Attributes
    ----------
    low, high:
        The bounds.
    """

    low: float = -inf
    high: float = inf

    def bounded(self, low: float, high: float) -> Self:
        """The same layer with a further ``Clip`` behind it."""
        bounds = np.minimum(np.maximum([self.low, self.high], low), high)
        return replace(self, low=float(bounds[0]), high=float(bounds[1]))

    @property
    def is_bounded(self) -> bool:
        """Whether there is a bound."""
        return (self.low, self.high) != (-inf, inf)
