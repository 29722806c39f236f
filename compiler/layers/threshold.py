"""Values above a threshold, and 0 in place of the others: ``ThresholdedRelu``."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import Sum
from .base import Sourced
from .tables import add, add_into, chunks
from .weighted_sum import fraction_bits

if TYPE_CHECKING:
    from ..emitter import Emitter


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold(Sourced):
    """Value ``n`` is ``source[n]`` where it is above a threshold, else 0.

    A table would blur the step. In the controller it is ``relu(x - t)``, plus ``t`` where
    ``x - t`` is at least one drive: so many times that drive is ``t`` or more, and clamped.

    Attributes
    ----------
    source:
        Numbers of values, shape (count,).
    threshold:
        In the values' unit.
    """

    threshold: float
    kind = "threshold"

    def forward(self, memory: np.ndarray) -> np.ndarray:
        values = memory[:, self.source]
        return np.where(values > self.threshold, values, 0.0)

    def emit(self, emitter: Emitter) -> None:
        take, give = emitter.scale(self.source), emitter.scale(self.made)
        # The largest drive that is not above the threshold, and its value in steps of the result.
        drive = min(max(floor(self.threshold / take.scale), take.low - 1), take.high)
        ratio = take.scale / give.scale
        step = round(drive * ratio)
        shift = fraction_bits([ratio], 1.0001 * drive * ratio, self.name)
        factor = round(ratio * 2.0**shift)
        most = (1 << emitter.geometry.act_width - 1) - 1
        for part in chunks(emitter, self.count, 4):
            count = part.stop - part.start
            with emitter.temporary():
                source = int(emitter.laid_out(emitter.addresses(self.source[part]))[0])
                out = int(emitter.addresses(self.made[part])[0])
                emitter.clamp_between(0, most)
                above = add(emitter, source, source, (factor, 0), -drive * factor, shift, count)
                emitter.clamp_between(min(step, 0), max(step, 0))
                jump = add(emitter, source, source, (step, 0), -drive * step, 0, count)
                emitter.clamp_between(give.low, give.high)
                add_into(emitter, out, Sum(above, jump, 1, 1, 0, 0), count)
