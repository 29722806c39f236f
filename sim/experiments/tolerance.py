"""How far from the source a value may be, and why.

The rule is part of the type: no tolerance is looser than the spread that the
source reports, 10 % where it reports none, a factor of 2 for a fact that is given
as an order of magnitude.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import OhmloomError

DEFAULT = 0.10
"""Relative tolerance where the source reports no spread."""
ORDER = 2.0
"""Factor for a fact that is given as an order of magnitude."""
_SLACK = 1e-12  # of a bound: decimal fractions have no exact float


class ToleranceError(OhmloomError, ValueError):
    """A tolerance that the rule does not allow, or that is for another kind of value."""


@dataclass(frozen=True)
class Tolerance:
    """The accepted interval around, or given by, the source's value.

    Use the functions below; ``text`` is shown to people.
    """

    text: str
    factor: float = 1.0
    difference: float = 0.0
    low: float = -math.inf
    high: float = math.inf

    def bounds(self, value: float | None) -> tuple[float, float]:
        """Lowest and highest accepted number for the source's ``value``."""
        if value is None:
            return self.low, self.high
        ends = (value / self.factor, value * self.factor)
        low, high = min(ends) - self.difference, max(ends) + self.difference
        return max(low, self.low), min(high, self.high)

    def accepts(self, value: float | None, ours: float) -> bool:
        """Whether ``ours`` lies in the interval; a value that is no number never does."""
        low, high = self.bounds(value)
        slack = _SLACK * max((abs(end) for end in (low, high) if math.isfinite(end)), default=0.0)
        return bool(low - slack <= ours <= high + slack)


def exact() -> Tolerance:
    """The same value: a count, a refusal, a parameter that is passed through."""
    return Tolerance("exact")


def ten_percent(value: float) -> Tolerance:
    """10 % of ``value``: the source reports no spread."""
    return Tolerance("10 %", difference=DEFAULT * abs(value))


def spread(amount: float, reported: str) -> Tolerance:
    """Plus or minus the spread that the source reports, in the unit of the value.

    Parameters
    ----------
    amount:
        The spread as a difference (convert a fraction: ``0.05 * 0.35e-3``).
    reported:
        What is reported, as it is shown: ``"sigma 3.8 uS, Note 4"``.
    """
    if not (0 <= amount < math.inf and reported):
        raise ToleranceError(f"a spread of {amount:g} ({reported!r}) is not one that is reported")
    return Tolerance(f"+-{amount:.3g}: {reported}", difference=amount)


def order_of_magnitude() -> Tolerance:
    """A factor of 2: the source gives an order of magnitude, like 10^3."""
    return Tolerance("factor 2", factor=ORDER)


def within(low: float, high: float) -> Tolerance:
    """The range that the source itself gives; the row has no single seed value."""
    if not low < high:
        raise ToleranceError(f"{low:g} to {high:g} is not a range")
    return Tolerance(f"{low:.4g} to {high:.4g}", low=low, high=high)


def at_least(value: float) -> Tolerance:
    """A lower bound that the source gives; the row has no single seed value."""
    return Tolerance(f">= {value:.4g}", low=value)


def at_most(value: float) -> Tolerance:
    """An upper bound that the source gives; the row has no single seed value."""
    return Tolerance(f"<= {value:.4g}", high=value)
