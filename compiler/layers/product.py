"""Products of values: two factors that are both computed."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log2
from typing import TYPE_CHECKING

import numpy as np

from ...hw.isa import TABLE_ENTRIES, Sum
from ..scales import Scale
from .base import Layer, Values
from .tables import (
    INDEX_TOP,
    Argument,
    add,
    add_into,
    chunks,
    look_up,
    look_up_fine,
    require_fine_words,
)
from .weighted_sum import fraction_bits

if TYPE_CHECKING:
    from ..emitter import Emitter

_WORDS = 8
"""Scratch words for each value besides those of the tables."""
_MOST = INDEX_TOP - 1
"""Largest magnitude of half a sum: an index, and an even number that can be halved."""
_STEPS = 1.5
"""That a square may be off."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Product(Layer):
    """Value ``n`` is ``a[n] * b[n]``.

    The controller has no instruction for that: it takes ``((A + B) / 2)^2 - ((A - B) / 2)^2``,
    the squares by table; one of magnitudes, so that it covers only half of what a sum can be.
    Where both factors have up to 8 bits, ``A`` and ``B`` are their drives, moved to -128 ..
    127, and the product is exact before it is scaled (but for -128 times -128, which is
    less by one part in 128). Finer factors are taken in parts of their largest drive.

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

    @property
    def origins(self) -> Values:
        return np.stack([self.a, self.b], axis=1)

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
                coarse = all(scale.high - scale.low < TABLE_ENTRIES for scale in scales)
                multiply = self._multiply_coarse if coarse else self._multiply_fine
                multiply(emitter, (a, b), scales, out, part.stop - part.start)

    def _multiply_coarse(
        self,
        emitter: Emitter,
        factors: tuple[int, int],
        scales: tuple[Scale, Scale],
        out: int,
        count: int,
    ) -> None:
        """``a b = A B + y a + x b - x y`` with ``A = a - x`` and ``B = b - y``."""
        give, word = emitter.scale(self.made), (1 << emitter.geometry.act_width - 1) - 1
        half = TABLE_ENTRIES // 2
        x, y = (scale.low + half for scale in scales)
        quarters = np.arange(TABLE_ENTRIES) ** 2 // 4  # both are odd or both are even
        squared = []
        for sign in (1, -1):
            emitter.clamp_between(-TABLE_ENTRIES, TABLE_ENTRIES - 1)
            total = add(emitter, *factors, (1, sign), -(x + sign * y), 0, count)
            index = _magnitude(emitter, total, TABLE_ENTRIES - 1, count)
            look_up(emitter, index, index, quarters, count)
            squared.append(index)
        step = scales[0].scale * scales[1].scale / give.scale
        if not (x or y):
            self._difference(emitter, squared, step, out, count)
            return
        emitter.clamp_between(-word, word)
        inner = add(emitter, squared[0], squared[1], (1, -1), 0, 0, count)
        # What is added to it, as fine as a word holds it.
        most = step * (abs(x) + abs(y)) * 2 * TABLE_ENTRIES + step * abs(x * y)
        fine = 2.0 ** floor(log2(word / most))
        rates = [y * step * fine, x * step * fine]
        shift = fraction_bits(rates, x * y * step * fine, self.name)
        a, b, offset = (round(n * 2.0**shift) for n in (*rates, -x * y * step * fine))
        outer = add(emitter, *factors, (a, b), offset, shift, count)
        shift = fraction_bits([step, 1 / fine], 0.0, self.name)
        record = Sum(inner, outer, round(step * 2.0**shift), round(2.0**shift / fine), 0, shift)
        emitter.clamp_between(give.low, give.high)
        add_into(emitter, out, record, count)

    def _difference(
        self, emitter: Emitter, squared: list[int], step: float, out: int, count: int
    ) -> None:
        """The difference of two squares, a step of which is ``step`` of the result's."""
        give = emitter.scale(self.made)
        shift = fraction_bits([step], 0.0, self.name)
        factor = round(step * 2.0**shift)
        emitter.clamp_between(give.low, give.high)
        add_into(emitter, out, Sum(squared[0], squared[1], factor, -factor, 0, shift), count)

    def _multiply_fine(
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
        halves = [_MOST / (2 * drive) for drive in largest]
        shift = fraction_bits(halves, 0.0, self.name)
        a, b = (round(half * 2.0**shift) for half in halves)
        magnitudes = Argument(0, _MOST, 1.0 / _MOST)
        squares = Scale(1.0 / word, 0, emitter.geometry.act_width - 1)
        squared = []
        for sign in (1, -1):
            square = emitter.scratch(count)
            with emitter.temporary():
                emitter.clamp_between(-_MOST, _MOST)
                total = add(emitter, *factors, (a, sign * b), 0, shift, count)
                index = _magnitude(emitter, total, _MOST, count)
                look_up_fine(emitter, np.square, index, square, magnitudes, squares, count, _STEPS)
            squared.append(square)
        step = scales[0].scale * scales[1].scale * largest[0] * largest[1] / word / give.scale
        self._difference(emitter, squared, step, out, count)


def _magnitude(emitter: Emitter, value: int, most: int, count: int) -> int:
    """Address of the magnitudes of values, up to ``most``."""
    emitter.clamp_between(-most - 1, 0)
    below = add(emitter, value, value, (1, 0), 0, 0, count)
    emitter.clamp_between(0, most)
    return add(emitter, value, below, (1, -2), 0, 0, count)
