"""Estimates with 95 % intervals, by closed forms where these are exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from ..numerics import FloatArray, IntArray

CONFIDENCE = 0.95
_TAIL = 0.5 * (1.0 - CONFIDENCE)
_PIVOTS = 20000  # draws of a pivot: their quantiles are good to a hundredth of a width
_PIVOT_SEED = 20250101


@dataclass(frozen=True)
class Estimate:
    """One fitted number.

    Attributes
    ----------
    name:
        Dotted name inside the mode, ``line.slope``.
    value, low, high:
        The number and its 95 % interval, in the unit of the schema.
    points:
        Measured values that it rests on.
    how:
        By which rule, in a few words.
    """

    name: str
    value: float
    low: float
    high: float
    points: int
    how: str


def crossing(f: Callable[[float], float], low: float, high: float, within: float) -> float:
    """Where a function passes 0 between ``low`` and ``high``, to ``within``."""
    return float(cast(Any, optimize.brentq(f, low, high, xtol=within)))


def mean(name: str, values: ArrayLike, how: str = "mean, t interval") -> Estimate:
    """Mean of a normal sample with its t interval; at least 2 values."""
    values = np.asarray(values, dtype=np.float64)
    middle = float(values.mean())
    half = float(
        stats.t.ppf(1.0 - _TAIL, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size)
    )
    return Estimate(name, middle, middle - half, middle + half, values.size, how)


def deviation(
    name: str, values: ArrayLike, known: float = 0.0, how: str = "chi-square interval"
) -> Estimate:
    """Standard deviation of a normal sample; ``known`` is the part of its variance that is not its.

    At least 2 values.
    """
    values = np.asarray(values, dtype=np.float64)
    return _root(name, float(values.var(ddof=1)), values.size - 1, known, values.size, how)


def pooled_deviation(name: str, groups: Sequence[FloatArray], how: str) -> Estimate | None:
    """Standard deviation inside groups, which have means of their own; None without any."""
    several = [group for group in groups if group.size > 1]
    freedom = sum(group.size - 1 for group in several)
    if freedom < 1:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
    return _root(name, squares / freedom, freedom, 0.0, freedom + len(several), how)


def _root(
    name: str, variance: float, freedom: int, known: float, points: int, how: str
) -> Estimate:
    low, high = (
        variance * freedom / float(stats.chi2.ppf(q, freedom)) for q in (1.0 - _TAIL, _TAIL)
    )
    value, low, high = (math.sqrt(max(v - known, 0.0)) for v in (variance, low, high))
    return Estimate(name, value, low, high, points, how)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The estimate in another unit, or with the other sign."""
    low, high = sorted((estimate.low * factor, estimate.high * factor))
    value = estimate.value * factor
    return Estimate(estimate.name, value, low, high, estimate.points, estimate.how)


def power(estimate: Estimate, base: float) -> Estimate:
    """``base ** x`` of an estimate of an exponent."""
    v, low, high = (base**x for x in (estimate.value, estimate.low, estimate.high))
    return Estimate(estimate.name, v, low, high, estimate.points, estimate.how)


@dataclass(frozen=True)
class Components:
    """A quantity that differs from cell to cell, and again from cycle to cycle.

    Attributes
    ----------
    mean:
        Of all cells.
    between, within:
        Standard deviations, None where the data cannot tell them.
    """

    mean: Estimate
    between: Estimate | None
    within: Estimate | None


def components(
    names: tuple[str, str, str], values: FloatArray, cells: IntArray, known: float = 0.0
) -> Components:
    """Mean, spread between cells and spread within them, from an unbalanced sample.

    The cells' means give mean and t interval; the two spreads come from sums of squares
    whose distributions are chi-square, the one between cells by a generalised pivot
    (Weerahandi 1993), with the harmonic mean of the cycles per cell.

    Parameters
    ----------
    names:
        Of mean, between and within.
    values, cells:
        Values and the cell of each, shape (n,); at least 2 values.
    known:
        Part of the variance of a value that is measurement.
    """
    groups = [values[cells == cell] for cell in np.unique(cells)]
    counts = np.array([group.size for group in groups])
    freedom = int(counts.sum()) - len(groups)
    squares = float(sum(((group - group.mean()) ** 2).sum() for group in groups))
    within = (
        _root(names[2], squares / freedom, freedom, known, values.size, "chi-square interval")
        if freedom
        else None
    )
    if len(groups) < 2:
        alone = mean(names[0], values, "mean of one cell: its interval is for that cell")
        return Components(alone, None, within)
    means = np.array([group.mean() for group in groups])
    middle = mean(names[0], means, "mean of the cells' means, t interval")
    middle = Estimate(middle.name, middle.value, middle.low, middle.high, values.size, middle.how)
    if not freedom:
        return Components(middle, None, None)
    share = float((1.0 / counts).mean())  # part of the variance within that is in a cell's mean
    between_squares, between_freedom = float(means.var(ddof=1)) * (len(groups) - 1), len(groups) - 1
    rng = np.random.default_rng(_PIVOT_SEED)
    pivots = between_squares / rng.chisquare(between_freedom, _PIVOTS)
    pivots -= share * squares / rng.chisquare(freedom, _PIVOTS)
    low, high = np.quantile(pivots, (_TAIL, 1.0 - _TAIL))
    point = between_squares / between_freedom - share * squares / freedom
    value, low, high = (math.sqrt(max(float(v), 0.0)) for v in (point, low, high))
    how = "generalised pivot over the cells"
    between = Estimate(names[1], value, low, high, len(groups), how)
    return Components(middle, between, within)


def bracket(name: str, below: float, reached: float, points: int) -> Estimate:
    """A threshold that lies between the highest value below it and the lowest one that reached it.

    It is equally likely everywhere between, so the interval is the central 95 %.
    """
    width = reached - below
    low, high = sorted((below + _TAIL * width, reached - _TAIL * width))
    return Estimate(
        name,
        below + 0.5 * width,
        low,
        high,
        points,
        "between the steps around it",
    )
