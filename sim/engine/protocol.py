"""The seam between whoever has a compiled network and whatever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from numpy.typing import ArrayLike, NDArray

from ..numerics import IntArray


@dataclass(frozen=True, eq=False)
class Trace:
    """What an inference leaves behind.

    Attributes
    ----------
    layers:
        Integers of each layer in execution order, shape (batch, n).
    saturations:
        ADC codes at either rail.
    conversions:
        ADC codes in all.
    """

    layers: dict[str, IntArray]
    saturations: int
    conversions: int

    @property
    def output(self) -> IntArray:
        """The network's output, shape (batch, n)."""
        return next(reversed(self.layers.values()))


class Engine(Protocol):
    """Something that executes an image; all of them give the same integers."""

    def program(self, levels: ArrayLike) -> NDArray:
        """Write-verify every tile, levels (tiles, rows, columns); result words of that shape."""
        ...

    def infer(self, x: ArrayLike, epoch0: int = 0) -> Trace:
        """Run inputs (batch, n), integers; sample ``b`` is inference ``epoch0 + b``."""
        ...
