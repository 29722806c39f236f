"""Functions of one value, from tables: ``Sigmoid``, ``Tanh``, ``HardSwish`` ..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import TABLE_ENTRIES
from ..scales import Scale
from .base import Layer, Values
from .tables import (
    INDEX_BITS,
    F,
    add,
    chunks,
    look_up,
    look_up_index,
    require_fine_words,
    rounded,
)

if TYPE_CHECKING:
    from ..emitter import Emitter


@dataclass(frozen=True, kw_only=True, eq=False)
class Function(Layer):
    """Value ``n`` is ``f(source[n])``.

    Where an activation has up to 8 bits, one table has it all. One of more bits is brought
    to 14 and looked up in a multipartite table.

    Attributes
    ----------
    source:
        Numbers of values, shape (count,).
    f:
        Of float64 arrays.
    """

    source: Values
    f: F
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
        coarse = take.high - take.low < TABLE_ENTRIES
        for part in chunks(emitter, self.count, 2):
            with emitter.temporary():
                source = emitter.laid_out(emitter.addresses(self.source[part]))
                act, out = int(source[0]), int(emitter.addresses(self.made[part])[0])
                if coarse:
                    look_up(emitter, act, out, self._entries(take, give), len(source))
                else:
                    self._look_up_fine(emitter, act, out, take, give, len(source))

    def _entries(self, take: Scale, give: Scale) -> np.ndarray:
        """The table of all drives, by their low byte."""
        drives = np.arange(take.low, take.high + 1)
        entries = np.zeros(TABLE_ENTRIES, np.int64)
        entries[drives & TABLE_ENTRIES - 1] = rounded(self.f, drives * take.scale, give)
        return entries

    def _look_up_fine(
        self, emitter: Emitter, act: int, out: int, take: Scale, give: Scale, count: int
    ) -> None:
        require_fine_words(emitter, self.name)
        coarser, finer = max(take.bits - INDEX_BITS, 0), max(INDEX_BITS - take.bits, 0)
        emitter.clamp_between(0, (1 << INDEX_BITS) - 1)
        if finer:
            index = add(emitter, act, act, (1 << finer, 0), -take.low << finer, 0, count)
        else:  # a floor: a rounding of what is never half way
            offset = 1 - (1 << coarser) - 2 * take.low
            index = add(emitter, act, act, (2, 0), offset, coarser + 1, count)
        width = (take.high - take.low + 1) / (1 << INDEX_BITS) * take.scale
        begin = take.low * take.scale - take.scale / 2
        look_up_index(emitter, self.f, index, out, begin, width, give, count)
