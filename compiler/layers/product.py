"""Products of values: two factors that are both computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import Sum
from ..scales import Scale
from .base import Layer, Values
from .tables import (
    INDEX_BITS,
    INDEX_TOP,
    add,
    add_into,
    chunks,
    look_up_fine,
    require_fine_words,
)
from .weighted_sum import fraction_bits

if TYPE_CHECKING:
    from ..emitter import Emitter

_WORDS = 8
"""Scratch words for each value besides those of the tables."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Product(Layer):
    """Value ``n`` is ``a[n] * b[n]``.

    The controller has no instruction for that. With ``A`` and ``B`` the factors in parts of
    their largest drive it takes ``((A + B) / 2)^2 - ((A - B) / 2)^2``, the squares by table;
    one of magnitudes, so that a table covers only half of what a sum can be.

    Attributes
    ----------
    a, b:
        Numbers of values, shape (count,).
    """

    a: Values
    b: Values
    kind = "product"
    holds = ("a", "b")

    @property
    def count(self) -> int:
        return len(self.a)

    @property
    def reads(self) -> tuple[Values, ...]:
        return (self.a, self.b)

    def forward(self, memory: np.ndarray) -> np.ndarray:
        return memory[:, self.a] * memory[:, self.b]

    def emit(self, emitter: Emitter) -> None:
        require_fine_words(emitter, self.name)
        scales = emitter.scale(self.a), emitter.scale(self.b)
        for part in chunks(emitter, self.count, _WORDS):
            with emitter.temporary():
                a = int(emitter.laid_out(emitter.addresses(self.a[part]))[0])
                b = int(emitter.laid_out(emitter.addresses(self.b[part]))[0])
                out = int(emitter.addresses(self.made[part])[0])
                self._multiply(emitter, (a, b), scales, out, part.stop - part.start)

    def _multiply(
        self,
        emitter: Emitter,
        factors: tuple[int, int],
        scales: tuple[Scale, Scale],
        out: int,
        count: int,
    ) -> None:
        """Values one after the other: addresses of the factors and of the products."""
        give, word = emitter.scale(self.made), (1 << emitter.geometry.act_width - 1) - 1
        largest = [max(-scale.low, scale.high, 1) for scale in scales]
        halves = [INDEX_TOP / (2 * drive) for drive in largest]
        shift = fraction_bits(halves, 0.0, self.name)
        a, b = (round(half * 2.0**shift) for half in halves)
        magnitudes = Scale(1.0 / INDEX_TOP, 0, INDEX_BITS)
        squares = Scale(1.0 / word, 0, emitter.geometry.act_width - 1)
        squared = []
        for sign in (1, -1):
            square = emitter.scratch(count)
            with emitter.temporary():
                emitter.clamp_between(-INDEX_TOP, INDEX_TOP)
                total = add(emitter, *factors, (a, sign * b), 0, shift, count)
                emitter.clamp_between(-INDEX_TOP, 0)
                below = add(emitter, total, total, (1, 0), 0, 0, count)
                emitter.clamp_between(0, INDEX_TOP)
                index = add(emitter, total, below, (1, -2), 0, 0, count)
                look_up_fine(emitter, np.square, index, square, magnitudes, squares, count)
            squared.append(square)
        step = scales[0].scale * scales[1].scale * largest[0] * largest[1] / word / give.scale
        shift = fraction_bits([step], 0.0, self.name)
        factor = round(step * 2.0**shift)
        emitter.clamp_between(give.low, give.high)
        add_into(emitter, out, Sum(squared[0], squared[1], factor, -factor, 0, shift), count)
