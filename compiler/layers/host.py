"""A tensor that the host makes, between two runs of the controller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from ..host import Segment
from .base import Layer, Renumbering

if TYPE_CHECKING:
    from ..emitter import Emitter


@dataclass(frozen=True, kw_only=True, eq=False)
class Host(Layer):
    """One output of a host segment; layers of the same segment follow each other.

    Attributes
    ----------
    values:
        How many it has.
    segment:
        What makes it.
    output:
        Which of the segment's outputs it is.
    sources:
        Numbers of the values that each input of the segment is, of one tensor each.
    result:
        Whether it is the network's result: it stays on the host, in no words.
    """

    values: int
    segment: Segment
    output: int = 0
    sources: tuple[range, ...] = ()
    result: bool = False
    kind = "host"
    holds = ()

    @property
    def count(self) -> int:
        return self.values

    @property
    def reads(self) -> tuple[range, ...]:
        return self.sources

    def forward(self, memory: np.ndarray) -> np.ndarray:
        some = [memory[:, each.start : each.stop].astype(np.float32) for each in self.sources]
        return self.segment.run(some)[self.output].astype(memory.dtype)

    def emit(self, emitter: Emitter) -> None:
        """None: the program ends before it, and goes on behind it."""

    def renumbered(self, table: Renumbering) -> Self:
        begins = [int(table[each.start]) for each in self.sources]
        moved = tuple(
            range(begin, begin + len(each))
            for begin, each in zip(begins, self.sources, strict=True)
        )
        return replace(self, sources=moved, first=int(table[self.first]))
