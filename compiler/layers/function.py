"""Functions of one value, from tables: ``Sigmoid``, ``Tanh``, ``HardSwish`` ..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import TABLE_ENTRIES
from ..scales import Scale
from .base import Sourced
from .tables import Argument, F, chunks, look_up, look_up_fine, require_fine_words, rounded

if TYPE_CHECKING:
    from ..emitter import Emitter


@dataclass(frozen=True, kw_only=True, eq=False)
class Function(Sourced):
    """Value ``n`` is ``f(source[n])``.

    Where an activation has up to 8 bits, one table has it all. Of one of more bits there are
    multipartite tables, more of them where the function bends.

    Attributes
    ----------
    source:
        Numbers of values, shape (count,).
    f:
        Of float64 arrays.
    """

    f: F
    kind = "function"

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
                    require_fine_words(emitter, self.name)
                    argument = Argument(take.low, take.high, take.scale)
                    look_up_fine(emitter, self.f, act, out, argument, give, len(source))

    def _entries(self, take: Scale, give: Scale) -> np.ndarray:
        """The table of all drives, by their low byte."""
        drives = np.arange(take.low, take.high + 1)
        entries = np.zeros(TABLE_ENTRIES, np.int64)
        entries[drives & TABLE_ENTRIES - 1] = rounded(self.f, drives * take.scale, give)
        return entries
