"""Values one after the other, in an order of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .base import Sourced

if TYPE_CHECKING:
    from ..emitter import Emitter


@dataclass(frozen=True, kw_only=True, eq=False)
class Copy(Sourced):
    """Value ``n`` is ``source[n]``.

    Attributes
    ----------
    source:
        Numbers of values or ``ZERO``, shape (count,).
    """

    kind = "copy"
    passes = True

    def forward(self, memory: np.ndarray) -> np.ndarray:
        return memory[:, self.source]

    def emit(self, emitter: Emitter) -> None:
        emitter.copy(emitter.addresses(self.source), emitter.addresses(self.made))
