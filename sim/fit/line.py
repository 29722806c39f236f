"""A line whose scatter grows along it: weighted least squares, restricted maximum likelihood.

``y ~ Normal(slope x - offset, (sigma_slope x + sigma_offset)^2 + known)``, all four of them
0 or above but the slope, which is above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import optimize, stats

from ..numerics import FloatArray
from .estimate import CONFIDENCE, Estimate, crossing

_DOUBLINGS = 40  # of a step, until an end of an interval is passed


@dataclass(frozen=True)
class Line:
    """The four numbers with their intervals, and the fitted scatter at each point."""

    slope: Estimate
    offset: Estimate
    sigma_slope: Estimate
    sigma_offset: Estimate


class _Scatter:
    """The restricted likelihood of a scatter; x and y are scaled to about 1."""

    def __init__(self, x: FloatArray, y: FloatArray, known: FloatArray, origin: bool) -> None:
        self.x, self.y, self.known = x, y, known
        self.design = x[:, None] if origin else np.column_stack((x, -np.ones_like(x)))

    def solve(self, a: float, b: float) -> tuple[FloatArray, FloatArray, float]:
        """Slope and offset, their covariance, and the deviance of a scatter ``a x + b``."""
        variance = (a * self.x + b) ** 2 + self.known
        if not (variance > 0).all():
            return np.zeros(1), np.eye(1), np.inf
        weighted = self.design / variance[:, None]
        information = weighted.T @ self.design
        covariance = np.linalg.inv(information).astype(np.float64)
        beta = covariance @ (weighted.T @ self.y)
        rest = self.y - self.design @ beta
        deviance = np.log(variance).sum() + np.linalg.slogdet(information)[1]
        return beta, covariance, float(deviance + (rest * rest / variance).sum())

    def deviance(self, a: float, b: float) -> float:
        return self.solve(a, b)[2]

    def best(self, fixed: Callable[[float], tuple[float, float]], most: float) -> float:
        """The least deviance along ``fixed(t)``, t from 0 to ``most``."""
        found = optimize.minimize_scalar(
            lambda t: self.deviance(*fixed(t)), bounds=(0.0, most), method="bounded",
            options={"xatol": 1e-5 * most},
        )  # fmt: skip
        return min(float(cast(Any, found).fun), self.deviance(*fixed(0.0)))


def fit(
    names: tuple[str, str, str, str],
    x: FloatArray,
    y: FloatArray,
    known: FloatArray,
    *,
    origin: bool = False,
) -> Line:
    """The line through points of at least two different x.

    Parameters
    ----------
    names:
        Of slope, offset, sigma_slope and sigma_offset.
    x, y:
        The points, shape (n,), n at least 4.
    known:
        Part of the variance of each y that is not the line's, shape (n,).
    origin:
        Whether the offset is 0; the best line with an offset below it is refused.
    """
    unit_x, unit_y = float(np.abs(x).max()), float(np.abs(y).max())
    scatter = _Scatter(x / unit_x, y / unit_y, known / unit_y**2, origin)
    plain = np.polyfit(scatter.x, scatter.y, 1)
    spread = float(np.std(scatter.y - np.polyval(plain, scatter.x))) or 1e-6
    most = 20.0 * spread
    start = [(spread, 0.0), (0.0, spread), (0.5 * spread, 0.5 * spread)]
    found = min(
        (
            optimize.minimize(
                lambda ab: scatter.deviance(ab[0] * spread, ab[1] * spread),
                np.array(s) / spread, method="Nelder-Mead", bounds=[(0.0, 20.0)] * 2,
                options={"xatol": 1e-4, "fatol": 1e-6},
            )
            for s in start
        ),
        key=lambda result: result.fun,
    )  # fmt: skip
    a, b = (found.x * spread).tolist()
    beta, covariance, least = scatter.solve(a, b)
    if not origin and beta[1] < 0:
        return fit(names, x, y, known, origin=True)
    freedom = x.size - beta.size
    t = float(stats.t.ppf(0.5 + 0.5 * CONFIDENCE, freedom))
    half = t * np.sqrt(np.diag(covariance))
    if origin:  # the line would meet x = 0 above 0: the nearest one that does not
        beta, half = np.append(beta, 0.0), np.append(half, 0.0)
    how = "weighted least squares, t interval"
    scale = np.array([unit_y / unit_x, unit_y])

    def linear(n: int) -> Estimate:
        middle, out = float(beta[n] * scale[n]), float(half[n] * scale[n])
        return Estimate(names[n], middle, middle - out, middle + out, x.size, how)

    def spread_of(n: int, value: float, along: Callable[[float], float]) -> Estimate:
        low, high = _ends(along, value, least + t * t, spread)
        unit = float(scale[n - 2])
        how = "restricted likelihood, its profile"
        return Estimate(names[n], value * unit, low * unit, high * unit, x.size, how)

    return Line(
        linear(0),
        linear(1),
        spread_of(2, a, lambda v: scatter.best(lambda other: (v, other), most)),
        spread_of(3, b, lambda v: scatter.best(lambda other: (other, v), most)),
    )


def _ends(
    profile: Callable[[float], float], value: float, limit: float, step: float
) -> tuple[float, float]:
    """Where a profile passes a limit, to either side of its least value, not below 0."""

    def above(v: float) -> float:
        return profile(v) - limit

    low = 0.0
    if value > 0 and above(0.0) > 0:
        low = crossing(above, 0.0, value, 1e-4 * step)
    end = value
    for doubling in range(_DOUBLINGS):
        end = value + 0.5 * step * 2.0**doubling
        if above(end) > 0:
            break
    return low, crossing(above, value, end, 1e-4 * step)
