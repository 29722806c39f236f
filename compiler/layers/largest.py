"""Where the largest value is: ``ArgMax``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import Op
from .base import Sourced

if TYPE_CHECKING:
    from ..emitter import Emitter


@dataclass(frozen=True, kw_only=True, eq=False)
class Largest(Sourced):
    """Value ``n`` is the place of the largest of ``source[n]``, a whole number.

    Attributes
    ----------
    source:
        Shape (count, values).
    last:
        Of equal ones the last one counts, not the first.
    """

    last: bool = False
    kind = "argmax"

    @property
    def origins(self) -> None:
        return None

    def forward(self, memory: np.ndarray) -> np.ndarray:
        values = memory[:, self.source]
        if self.last:
            return values.shape[2] - 1 - values[:, :, ::-1].argmax(axis=2)
        return values.argmax(axis=2)

    def emit(self, emitter: Emitter) -> None:
        outs = emitter.addresses(self.made)
        for source, out in zip(emitter.addresses(self.source), outs, strict=True):
            with emitter.temporary():
                act = emitter.laid_out(source)[0]
                emitter.emit(Op.ARGMAX, act=act, out=out, count=len(source), last=int(self.last))
