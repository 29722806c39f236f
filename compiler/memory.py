"""Which activation words the input and the layers' values lie in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..hw.image import Span
from .address import Addresses
from .graph import Network
from .layers import Renumbering, Values

ZERO_WORD = 0
"""Address of a word that holds 0, for zeros between values."""


@dataclass(frozen=True)
class MemoryMap:
    """Words of the input and of every layer.

    Attributes
    ----------
    spans:
        Where the values lie, one after the other.
    kept:
        Whether they are still there after the last layer.
    """

    spans: tuple[Span, ...]
    kept: tuple[bool, ...]

    @classmethod
    def of(cls, network: Network, begin: int, *, again: bool) -> Self:
        """Words of their own, or with ``again`` those that nothing reads any more.

        ``begin`` is the first word that there is.
        """
        last = len(network.layers)
        made = [0, *range(1, last + 1)]  # layer n - 1 makes tensor n
        read = [max((reader + 1 for reader in some), default=0) for some in network.readers]
        until = [last if not again else max(pair) for pair in zip(made, read, strict=True)]
        until[-1] = last
        spans: list[Span] = []
        for number, tensor in enumerate(network.tensors):
            if number in network.nowhere:
                spans.append(Span(begin, 0))
                continue
            taken = sorted(
                (span.address, span.address + span.count)
                for other, span in enumerate(spans)
                if until[other] >= made[number]
            )
            address = begin
            for first, end in taken:
                if first - address >= len(tensor):
                    break
                address = max(address, end)
            spans.append(Span(address, len(tensor)))
        kept = tuple(
            span.count > 0 and not any(_share(span, later) for later in spans[number + 1 :])
            for number, span in enumerate(spans)
        )
        return cls(tuple(spans), kept)

    @property
    def end(self) -> int:
        """First word behind all of them."""
        return max(span.address + span.count for span in self.spans)

    def places(self, network: Network) -> Callable[[Values], Addresses]:
        """From numbers of values to their addresses, of the same shape; -1 of ``ZERO``."""
        firsts = [tensor.start for tensor in network.tensors]
        table = Renumbering(firsts, [span.address for span in self.spans])
        return lambda values: table.of(values, np.int64)


def _share(a: Span, b: Span) -> bool:
    return a.address < b.address + b.count and b.address < a.address + a.count
