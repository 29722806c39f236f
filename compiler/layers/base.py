"""What every layer is: values read, values made, in floats and as instructions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..scales import Scale

if TYPE_CHECKING:
    from ..emitter import Emitter

Values = NDArray[np.int64]
"""Numbers of values; the array has a tensor's shape."""
ZERO = -1
"""In place of a number: a value that is always 0."""


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
    holds: ClassVar[tuple[str, ...]] = ("source",)
    """Attributes that are numbers of values."""
    passes: ClassVar[bool] = False
    """Whether it makes values of those that it reads, unchanged: they have one scale."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Values that it makes."""

    @property
    @abstractmethod
    def reads(self) -> tuple[Values, ...]:
        """Values that it reads, in arrays of values that have one scale."""

    @abstractmethod
    def forward(self, memory: np.ndarray) -> np.ndarray:
        """Floats (n, count) of all values so far (n, values); the last one is 0."""

    @abstractmethod
    def emit(self, emitter: Emitter) -> None:
        """Its instructions."""

    def renumbered(self, table: Values) -> Self:
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
