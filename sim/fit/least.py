"""Nonlinear least squares on logarithms of parameters, with intervals from leaving cells out.

Errors of one cell hang together: its own conductance is off, and a pulse that did too much
is in every later reading. Cells are independent, so the covariance comes from fits that each
leave one cell out (a jackknife, linearised at the solution), with a t interval over the cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import BaseModel
from scipy import optimize, stats

from ..numerics import FloatArray, IntArray
from .estimate import CONFIDENCE, Estimate

FEWEST_CELLS = 5  # below, a jackknife over cells says little: errors are taken as independent
_TOLD = 0.7  # largest standard error of a logarithm of a number that the data tell
_SEARCH = 4.0  # the search goes this far to either side, in the logarithm
_STEPS = 30  # of the search, at most
_FAR = 50.0  # a difference where the model has no answer

T = TypeVar("T", bound=BaseModel)
Values = Mapping[str, float]


def with_values(p: T, values: Values) -> T:
    """The same parameters with other values, by dotted name; not validated again."""
    changed = p
    for name, value in values.items():
        part, _, field = name.partition(".")
        section = getattr(changed, part)
        quantity = getattr(section, field).model_copy(update={"value": float(value)})
        changed = changed.model_copy(update={part: section.model_copy(update={field: quantity})})
    return changed


@dataclass(frozen=True)
class Solution:
    """What a least-squares fit found.

    Attributes
    ----------
    values:
        Every parameter that was free or held, by name.
    estimates:
        Those that the data tell.
    residual:
        What is left, in the order of the data.
    """

    values: dict[str, float]
    estimates: tuple[Estimate, ...]
    residual: FloatArray


def solve(
    start: Values,
    residual: Callable[[Values], FloatArray],
    group: IntArray,
    *,
    linear: Values | None = None,
    lost: int = 0,
    points: Callable[[str], int] | None = None,
    hopeless: float = np.inf,
) -> Solution:
    """Fit the parameters that the data tell; the others stay at their start.

    Parameters
    ----------
    start:
        Where the search begins; signs are kept, and 0 stays 0.
    residual:
        Differences of logarithms, shape (n,).
    group:
        Cell of each difference, shape (n,).
    linear:
        Parameters of either sign, each with a unit in which it is searched.
    lost:
        Degrees of freedom that the residual has used by itself.
    points:
        Measured values that a parameter rests on; without it all of them.
    hopeless:
        Standard deviation of the residual at which nothing is told.
    """
    scale = _Scale(dict(start), dict(linear or {}))
    free = [name for name, value in start.items() if value != 0 or name in scale.linear]
    values, begin = dict(start), scale.begin(free)
    while free:
        theta, jacobian, rest = _minimise(scale, free, begin, residual, group.size)
        if not float(rest.std()) < hopeless:
            return Solution(values, (), rest)
        error = _standard_errors(jacobian, rest, lost)
        worst = int(np.argmax(error))
        if error[worst] <= _TOLD:
            values.update(scale.values(free, theta))
            half, how = _half_widths(jacobian, rest, group, lost)
            count = {name: points(name) if points else rest.size for name in free}
            found = tuple(
                scale.estimate(name, x, h, count[name], how)
                for name, x, h in zip(free, theta.tolist(), half.tolist(), strict=True)
            )
            return Solution(values, found, rest)
        del free[worst]  # it goes back to its start, the others go on from here
        begin = np.delete(theta, worst)
    return Solution(values, (), residual(values))


@dataclass(frozen=True)
class _Scale:
    """How parameters are searched: logarithms, or in a unit where either sign may come out."""

    start: dict[str, float]
    linear: dict[str, float]

    def begin(self, names: Sequence[str]) -> FloatArray:
        return np.array(
            [
                self.start[n] / self.linear[n] if n in self.linear else math.log(abs(self.start[n]))
                for n in names
            ]
        )

    def value(self, name: str, x: float) -> float:
        if name in self.linear:
            return x * self.linear[name]
        return math.copysign(math.exp(x), self.start[name])

    def values(self, names: Sequence[str], theta: FloatArray) -> dict[str, float]:
        return {n: self.value(n, x) for n, x in zip(names, theta.tolist(), strict=True)}

    def estimate(self, name: str, x: float, half: float, points: int, how: str) -> Estimate:
        low, high = sorted(self.value(name, end) for end in (x - half, x + half))
        return Estimate(name, self.value(name, x), low, high, points, how)


def _minimise(
    scale: _Scale,
    free: Sequence[str],
    begin: FloatArray,
    residual: Callable[[Values], FloatArray],
    size: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The minimum, the Jacobian there, and the residual."""

    def distance(theta: FloatArray) -> FloatArray:
        try:
            with np.errstate(all="ignore"):
                found = residual({**scale.start, **scale.values(free, theta)})
        except ArithmeticError:  # of numbers that only a search comes to
            return np.full(size, _FAR)
        return np.nan_to_num(found, nan=_FAR, posinf=_FAR, neginf=-_FAR)

    found = optimize.least_squares(
        distance, begin, bounds=(begin - _SEARCH, begin + _SEARCH),
        xtol=1e-6, ftol=1e-7, max_nfev=_STEPS,
    )  # fmt: skip
    return found.x, found.jac, found.fun


def _standard_errors(jacobian: FloatArray, rest: FloatArray, lost: int) -> FloatArray:
    """Of each logarithm, for independent errors; infinite where nothing depends on it."""
    freedom = max(rest.size - jacobian.shape[1] - lost, 1)
    _, sizes, directions = np.linalg.svd(jacobian, full_matrices=False)
    with np.errstate(divide="ignore"):
        inverse = np.where(sizes > 1e-9 * max(sizes.max(), 1e-300), 1.0 / sizes, 1e12)
    scale = math.sqrt(max(float(rest @ rest), 1e-24) / freedom)
    return scale * np.sqrt(((directions.T * inverse) ** 2).sum(axis=1))


def _half_widths(
    jacobian: FloatArray, rest: FloatArray, group: IntArray, lost: int
) -> tuple[FloatArray, str]:
    """Half the 95 % interval of each logarithm, and how it was found."""
    cells = np.unique(group)
    if cells.size >= FEWEST_CELLS:
        whole = jacobian.T @ jacobian
        steps = []
        for cell in cells:
            own = group == cell
            part = jacobian[own]
            left = whole - part.T @ part
            if np.linalg.cond(left) > 1e12:
                break
            steps.append(np.linalg.solve(left, part.T @ rest[own]))
        else:
            moved = np.array(steps)
            moved -= moved.mean(axis=0)
            variance = (moved * moved).sum(axis=0) * (cells.size - 1) / cells.size
            t = float(stats.t.ppf(0.5 + 0.5 * CONFIDENCE, cells.size - 1))
            return t * np.sqrt(variance), "least squares, interval from leaving cells out"
    freedom = max(rest.size - jacobian.shape[1] - lost, 1)
    t = float(stats.t.ppf(0.5 + 0.5 * CONFIDENCE, freedom))
    return t * _standard_errors(jacobian, rest, lost), "least squares, errors taken as independent"
