"""Sums of values times constants: ``Add``, ``Mul`` by constants, ``Relu``, ``Clip`` ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from ...hw.isa import (
    ADD_FIELDS,
    BIAS_BITS,
    POOL_LOOPS,
    SHIFT_BITS,
    Grid,
    Op,
    Sum,
    pack_pool,
    pack_requant,
)
from ..address import Addresses, cover, pool_loops
from ..errors import TargetError
from ..scales import mantissa_and_shift
from .base import Bounded, Values

if TYPE_CHECKING:
    from ..emitter import Emitter

_MANTISSA_MAX = ADD_FIELDS[0].maximum
_BIAS_MAX = (1 << BIAS_BITS - 1) - 1
_COARSE = 1 / 16
"""Steps of the output that an offset may be off, in a word that counts steps of the input."""
TERMS = 2
"""That one instruction adds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedSum(Bounded):
    """Value ``n`` is ``sum(factors[k, n] * terms[k, n]) + offset[n]``, between bounds.

    Attributes
    ----------
    terms:
        Numbers of one or two values each, shape (terms, count).
    factors:
        float64, shape (terms, count).
    offset:
        float64, shape (count,).
    """

    terms: Values
    factors: np.ndarray
    offset: np.ndarray
    kind = "sum"
    holds = ("terms",)

    @property
    def count(self) -> int:
        return len(self.offset)

    @property
    def reads(self) -> tuple[Values, ...]:
        return tuple(self.terms)

    @property
    def origins(self) -> Values:
        return self.terms.T

    @property
    def sorts(self) -> Values | None:
        kinds = _kinds([*self.factors, self.offset])
        if len(kinds) == 1:
            return None
        found = np.empty(self.count, np.int64)
        for number, here in enumerate(kinds):
            found[here] = number
        return found

    def rearranged(self, order: np.ndarray) -> Self:
        return replace(self, factors=self.factors[:, order], offset=self.offset[order])

    def forward(self, memory: np.ndarray) -> np.ndarray:
        made = (memory[:, self.terms] * self.factors).sum(axis=1) + self.offset
        return np.clip(made, self.low, self.high).astype(memory.dtype)

    def scaled(self, factor: np.ndarray, offset: np.ndarray) -> Self:
        """The same times a factor, plus an offset, shape (count,); it must have no bounds."""
        return replace(self, factors=self.factors * factor, offset=self.offset * factor + offset)

    def emit(self, emitter: Emitter) -> None:
        emitter.clamp(self)
        out_step = emitter.scale(self.made).scale
        steps = np.array([emitter.scale(term).scale for term in self.terms])
        terms, target = emitter.addresses(self.terms), emitter.addresses(self.made)
        for here in _kinds([*self.factors, self.offset]):
            first = 0 if isinstance(here, slice) else here[0]
            ratios = (self.factors[:, first] * steps / out_step).tolist()
            offset = float(self.offset[first] / out_step)
            with emitter.temporary():
                self._emit_alike(emitter, ratios, offset, terms[:, here], target[here])

    def _emit_alike(
        self,
        emitter: Emitter,
        ratios: list[float],
        offset: float,
        terms: Addresses,
        target: Addresses,
    ) -> None:
        """What has the same factors and the same offset."""
        if len(ratios) == 1 and ratios[0] > 0 and (terms >= 0).all():
            # A mean of windows of one value goes through memory in steps of any length.
            table = np.stack([terms[0], target], axis=1)
            nests = list(cover(table, POOL_LOOPS))
            bias = round(offset / ratios[0])
            fine = abs(bias * ratios[0] - offset) <= _COARSE
            if fine and len(nests) < _runs(terms[0], target):
                scaling = pack_requant(bias, *mantissa_and_shift(ratios[0]))
                for nest in nests:
                    words = [*pack_pool(Grid(1, 1, 1, 1, pool_loops(nest))), scaling]
                    act, out = (int(address) for address in table[nest.first])
                    param = emitter.record(words)
                    emitter.emit(Op.POOL, act=act, out=out, param=param, average=1)
                return
        if _runs(*terms, target) > 1:
            laid = [emitter.laid_out(term) for term in terms]
            made = np.arange(len(target))
            into = target if _runs(target) == 1 else made + emitter.scratch(len(made))
            first = np.array([each[0] for each in (*laid, into)])
            self._emit_run(emitter, ratios, offset, first, len(made))
            if into is not target:
                emitter.copy(into, target)
            return
        first = np.array([*terms[:, 0], target[0]])
        self._emit_run(emitter, ratios, offset, first, len(target))

    def _emit_run(
        self, emitter: Emitter, ratios: list[float], offset: float, first: Addresses, count: int
    ) -> None:
        """Values one after the other: addresses of the first term or terms, and of the result."""
        shift = fraction_bits(ratios, offset, self.name)
        mantissas = [round(ratio * 2.0**shift) for ratio in ratios]
        if len(ratios) == 1:
            (a, out), mantissas = map(int, first), [*mantissas, 0]
            b = a
        else:
            a, b, out = map(int, first)
        record = Sum(a, b, mantissas[0], mantissas[1], round(offset * 2.0**shift), shift)
        emitter.add(out, record, count)


def _kinds(numbers: Sequence[np.ndarray]) -> list[np.ndarray] | list[slice]:
    """Places at which all numbers, each of shape (n,), are the same, in the numbers' order."""
    changing = [each for each in numbers if any(each.strides) and (each != each[0]).any()]
    if not changing:
        return [slice(None)]
    kind = np.zeros(len(numbers[0]), np.int64)
    for each in changing:
        different, which = np.unique(each, return_inverse=True)
        kind = np.unique(kind * len(different) + which, return_inverse=True)[1]
    order = np.argsort(kind, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(kind[order])) + 1)


def _runs(*columns: Addresses) -> int:
    """Runs of places in which every column counts up by one."""
    broken = np.zeros(len(columns[0]) - 1, bool)
    for column in columns:
        broken |= np.diff(column) != 1
    return 1 + int(broken.sum())


def fraction_bits(ratios: Sequence[float], offset: float, name: str) -> int:
    """Fraction bits with which factors and an offset just fit the fields of an ``ADD``."""
    largest = max(map(abs, ratios))
    for shift in reversed(range(1 << SHIFT_BITS)):
        if largest * 2.0**shift < _MANTISSA_MAX and abs(offset) * 2.0**shift < _BIAS_MAX:
            return shift
    raise TargetError(
        f"layer '{name}' has factors of up to {largest:.3g} and an offset of {offset:.3g} in "
        "steps of its output, too large for an ADD"
    )
