"""A normal distribution from steps: of each value only the step is known in which it lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from ..numerics import FloatArray
from .estimate import CONFIDENCE, Estimate, crossing

_HOW = "likelihood of the steps, its profile"
_NARROW = 1e-3  # least standard deviation, of the width of a step
_WIDE = 30.0  # greatest one, of the range of the steps
_DOUBLINGS = 60  # of a distance, until an end of an interval is passed


def normal(names: tuple[str, str], low: FloatArray, high: FloatArray) -> tuple[Estimate, Estimate]:
    """Mean and standard deviation of values of which each lies from ``low`` to ``high``.

    Parameters
    ----------
    names:
        Of mean and standard deviation.
    low, high:
        Ends of the steps, ``low < high``, shape (n,), n at least 2.
    """
    centre, unit = float((low + high).mean() / 2), float((high - low).mean())
    below, above = (low - centre) / unit, (high - centre) / unit
    middles, n = 0.5 * (below + above), low.size
    least = math.log(_NARROW)
    most = math.log(_WIDE * (float(np.ptp(middles)) + 1.0))
    reach = float(np.ptp(middles)) + 1.0

    def deviance(mu: float, log_sigma: float) -> float:
        a, b = ((ends - mu) / math.exp(log_sigma) for ends in (below, above))
        upper = a > 0  # the tails are small on the left: there they are exact
        part = special.ndtr(np.where(upper, -a, b)) - special.ndtr(np.where(upper, -b, a))
        return float(-2.0 * np.log(np.maximum(part, 1e-300)).sum())

    def over_sigma(mu: float) -> float:
        return _least(lambda s: deviance(mu, s), least, most)[1]

    def over_mu(log_sigma: float) -> float:
        # the mean takes one degree of freedom, but for what the steps hide of the spread
        freedom = math.log(math.exp(2.0 * log_sigma) + 1.0 / 12.0)
        return _least(lambda mu: deviance(mu, log_sigma), -reach, reach)[1] - freedom

    log_sigma, lowest = _least(over_mu, least, most)
    mu, best = _least(over_sigma, -reach, reach)
    t = float(stats.t.ppf(0.5 + 0.5 * CONFIDENCE, n - 1))
    far = n * math.log1p(t * t / (n - 1))  # the exact one for the mean where steps are narrow
    left, right = (_passed(lambda d, s=s: over_sigma(mu + s * d) - best - far) for s in (-1, 1))
    value = centre + unit * mu
    mean = Estimate(names[0], value, value - unit * left, value + unit * right, n, _HOW)
    limit = lowest + far
    wide = log_sigma + _passed(lambda d: over_mu(log_sigma + d) - limit)
    narrow = -math.inf
    if over_mu(least) > limit:
        narrow = log_sigma - _passed(lambda d: over_mu(log_sigma - d) - limit)
    told = log_sigma > least + 1.0
    sigma = unit * math.exp(log_sigma) if told else 0.0
    return mean, Estimate(names[1], sigma, unit * math.exp(narrow), unit * math.exp(wide), n, _HOW)


def _least(f: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    found: Any = optimize.minimize_scalar(f, bounds=(low, high), method="bounded")
    return float(found.x), float(found.fun)


def _passed(f: Callable[[float], float]) -> float:
    """The distance at which an increasing function passes 0."""
    far = 0.01
    for _ in range(_DOUBLINGS):
        if f(far) > 0:
            return crossing(f, 0.0, far, 1e-4)
        far *= 1.6
    return far
