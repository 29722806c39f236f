"""Fit by replay: the family's own model is driven through the history and compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices.family import Family
from ..numerics import FloatArray, IntArray
from .errors import FitError
from .estimate import Estimate, deviation
from .history import History, Kind
from .least import FEWEST_CELLS, Solution, Values, solve, with_values
from .replay import Replay

_LN10 = math.log(10.0)
_LOST = 0.5  # standard deviation of the logarithm beyond which a model does not follow the data
_FEWEST = 10  # measured values


@dataclass(frozen=True)
class Dynamic:
    """A model that follows a history.

    Attributes
    ----------
    solution:
        What least squares found.
    p:
        The parameters with it.
    rows:
        Rows that were compared.
    scale:
        Factor of each cell on the model's current, shape (cells,); NaN where not compared.
    amps:
        The model's current in each row [A], without the cells' factors.
    """

    solution: Solution
    p: Any
    rows: IntArray
    scale: FloatArray
    amps: FloatArray


def fit(
    history: History,
    family: Family,
    p: Any,
    start: Values,
    tries: Sequence[Values],
    compared: NDArray[np.bool_],
    set_sign: float,
) -> Dynamic:
    """Fit parameters by replaying the history.

    The currents of a cell may all be off by one factor of its own: it counts as a random
    effect, whose size a first fit gives to a second one.

    Parameters
    ----------
    history, family, p:
        What was done, and the model with the numbers that are not fitted.
    start:
        Where the search begins.
    tries:
        Factors on the start: the search begins with the best.
    compared:
        Rows whose current is compared.
    set_sign:
        Sign of the voltages at which a limiter limits in a sweep.

    Raises
    ------
    FitError
        If there is too little to compare, or the model does not follow the data.
    """
    replay = Replay(history, set_sign)
    rows = np.flatnonzero(compared & history.measured & (history.volts * history.amps > 0))
    rows = rows[~history.limited[rows]]
    if rows.size < _FEWEST:
        raise FitError(
            f"{history.name} has {rows.size} currents that this family can be compared with; "
            f"at least {_FEWEST} are needed"
        )
    cell, target = history.cell[rows], np.log(np.abs(history.amps[rows]))
    _, group = np.unique(cell, return_inverse=True)
    count = np.bincount(group)

    def off(values: Values) -> FloatArray:
        amps, _ = replay.run(family, with_values(p, values))
        return target - np.log(np.abs(amps[rows]))

    def within(part: FloatArray) -> Callable[[Values], FloatArray]:
        def residual(values: Values) -> FloatArray:
            rest = off(values)
            return rest - (part * (np.bincount(group, rest) / count))[group]

        return residual

    begin = _best(start, tries, within(np.zeros(count.size)))
    solution = solve(begin, within(np.zeros(count.size)), cell, hopeless=_LOST)
    if count.size >= 2 and solution.estimates:
        rest = solution.residual
        own = np.bincount(group, rest) / count
        inside = float(((rest - own[group]) ** 2).sum()) / max(rest.size - count.size, 1)
        between = max(float(own.var(ddof=1)) - float((inside / count).mean()), 0.0)
        part = 1.0 - np.sqrt(inside / (inside + count * between + 1e-300))
        solution = solve({**begin, **solution.values}, within(part), cell)
    rest = off(solution.values)
    own = np.bincount(group, rest) / count
    scatter = float(np.std(rest - own[group]))
    if not scatter < _LOST:
        raise FitError(
            f"{history.name}: the model does not follow the data, it is off by a factor of "
            f"{math.exp(min(scatter, 50.0)):.3g} as a rule; another --base, or the other sign of "
            "the voltages, may"
        )
    scale = np.full(len(history.cells), np.nan)
    scale[np.unique(cell)] = np.exp(own)
    fitted = with_values(p, solution.values)
    return Dynamic(solution, fitted, rows, scale, replay.run(family, fitted)[0])


def _best(
    start: Values, tries: Sequence[Values], residual: Callable[[Values], FloatArray]
) -> dict[str, float]:
    """The start, times the factors with which it is nearest to the data."""
    candidates = [
        {name: value * factors.get(name, 1.0) for name, value in start.items()} for factors in tries
    ]
    far = []
    for candidate in candidates:
        try:
            with np.errstate(all="ignore"):
                far.append(np.median(np.abs(residual(candidate))))
        except ArithmeticError:
            far.append(np.inf)
    return candidates[int(np.argmin(np.nan_to_num(far, nan=np.inf)))]


def device_spread(name: str, found: Dynamic) -> Estimate | None:
    """Standard deviation of the cells' own factors [decade]; None for fewer than 5 cells."""
    own = np.log10(found.scale[np.isfinite(found.scale)])
    if own.size < FEWEST_CELLS:
        return None
    return deviation(name, own, how="of the cells' factors, chi-square interval")


def repeats(history: History, g: FloatArray) -> list[FloatArray]:
    """Conductances of reads that follow each other with nothing between [S]."""
    reads = history.of(Kind.READ) & np.isfinite(g)
    joined = (
        reads[1:] & reads[:-1] & (history.cell[1:] == history.cell[:-1]) & (history.idle[1:] == 0)
        & (history.seconds[:-1] == 0) & (history.volts[1:] == history.volts[:-1])
        & (history.kelvin[1:] == history.kelvin[:-1])
    )  # fmt: skip
    rows = np.flatnonzero(reads)
    number = np.cumsum(np.concatenate(([True], ~joined)))[rows]
    return np.split(g[rows], np.flatnonzero(np.diff(number)) + 1) if rows.size else []


def factors(**choices: Sequence[float]) -> list[dict[str, float]]:
    """Every combination of factors; the keys name groups that a family spreads out."""
    found: list[dict[str, float]] = [{}]
    for key, values in choices.items():
        found = [{**one, key: value} for one in found for value in values]
    return found


def spread_out(
    groups: Mapping[str, Sequence[str]], combinations: Sequence[Values]
) -> list[dict[str, float]]:
    """Factors of parameters from factors of groups of them."""
    return [
        {name: one[key] for key, names in groups.items() for name in names} for one in combinations
    ]
