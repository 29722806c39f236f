"""The seam between whoever has a compiled network and whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
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
    output:
        The network's output, shape (batch, n); where the host makes the result, what it
        makes it of.
    host, made:
        What each call of the host reads, and what it writes, shape (batch, words).
    """

    layers: Mapping[str, IntArray]
    saturations: int
    conversions: int
    output: IntArray
    host: tuple[IntArray, ...] = ()
    made: tuple[IntArray, ...] = ()


class Host(Protocol):
    """What the host does between the runs of an inference; the same for every engine."""

    def __call__(self, number: int, words: IntArray) -> IntArray:
        """Call ``number`` of the image: words (batch, words out) for words (batch, words in)."""
        ...


class Engine(Protocol):
    """Something that executes an image; all of them give the same integers."""

    def program(self, levels: ArrayLike) -> NDArray:
        """Write-verify every tile, levels (tiles, rows, columns); result words of that shape."""
        ...

    def infer(self, x: ArrayLike, epoch0: int = 0) -> Trace:
        """Run inputs (batch, n), integers; sample ``b`` is inference ``epoch0 + b``."""
        ...
