"""How the current of a kept state goes with voltage, temperature and age.

Each time between two switchings has a conductance of its own; what is common to all of them,
conduction, activation and drift, is fitted at once and taken off before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..devices import REFERENCE_K, CellState, Mode
from ..devices.schema import Drift, Quantity, number
from ..numerics import FloatArray, IntArray
from .estimate import Estimate
from .found import Given
from .history import Kind
from .least import Values, solve, with_values
from .states import HRS, LRS, States

SECTION = {LRS: "lrs", HRS: "hrs"}
"""What device entries call the states."""
_TIME = "drift.time"
_UNIT = {"exponent": 0.01, "activation": 0.1}  # in which numbers of either sign are searched
_OLDER = 2.0  # times as old as another read of the same state: it shows how the state fades
_WARMER = 5.0  # difference of temperatures that shows an activation energy [K]
_SPAN = 3.0  # times another voltage in the same state: they show the shape of the current
_START_S = 1.0  # time of the drift where no base gives one


@dataclass(frozen=True)
class Kept:
    """What the data tell about kept states.

    Attributes
    ----------
    states:
        The states, each conductance as at the read voltage, 298.15 K and an age of 0.
    p:
        The base's parameters with what was fitted here.
    estimates, derived, notes:
        As in :class:`~ohmloom.sim.fit.found.Found`.
    """

    states: States
    p: Any
    estimates: tuple[Estimate, ...]
    derived: tuple[Given, ...]
    notes: tuple[str, ...]


def take_off(
    states: States, base: Mode, used: NDArray[np.bool_], shape: Mapping[int, tuple[str, ...]]
) -> Kept:
    """Fit what shapes the current of kept states, and take it off.

    Parameters
    ----------
    states:
        What the cells were in.
    base:
        The mode with the numbers that the data do not tell.
    used:
        Rows that show a conductance of their episode.
    shape:
        Parameters that shape the current of a state against the voltage.
    """
    history = states.history
    known = np.isfinite(states.g) & (states.episode >= 0)
    rows, age = np.flatnonzero(known & used), ages(states)
    state = states.state[rows]
    p = base.p if base.p.drift is not None else _with_drift(base.p)
    start: dict[str, float] = {}
    for number_of, section in SECTION.items():
        own = rows[state == number_of]
        if own.size:
            for name in _shown(states, own, age, section, shape.get(number_of, ()), p):
                start[name] = 0.0 if name.endswith(tuple(_UNIT)) else number(p, name)
    if any(name.startswith("drift.") for name in start):
        start[_TIME] = number(p, _TIME)
    _, group = np.unique(states.episode[rows], return_inverse=True)
    count = np.bincount(group)
    target, volts = np.log(states.g[rows]), np.abs(history.volts[rows])
    kelvin, old = history.kelvin[rows], age[rows]

    def residual(values: Values) -> FloatArray:
        rest = target - np.log(_bare(base, with_values(p, values), state, volts, kelvin, old))
        return rest - (np.bincount(group, rest) / count)[group]

    def points(name: str) -> int:
        of = [number_of for number_of, section in SECTION.items() if section in name]
        return int(np.isin(state, of).sum()) if of and name != _TIME else rows.size

    found: tuple[Estimate, ...] = ()
    if start:
        linear = {n: unit for n in start for end, unit in _UNIT.items() if n.endswith(end)}
        found = solve(
            start, residual, history.cell[rows], linear=linear, lost=count.size, points=points
        ).estimates
    estimates, derived, notes = _fading(found, p, base)
    p = with_values(p, {e.name: e.value for e in estimates})
    if base.p.drift is None and not any(e.name.startswith("drift.") for e in estimates):
        p = p.model_copy(update={"drift": None})
    g = states.g.copy()
    every = np.flatnonzero(known)
    g[every] /= _bare(
        base, p, states.state[every], np.abs(history.volts[every]), history.kelvin[every],
        age[every],
    )  # fmt: skip
    return Kept(replace(states, g=g), p, estimates, derived, notes)


def ages(states: States) -> FloatArray:
    """Time since the pulse or step that made the state, or since a cell's first row [s]."""
    history, cause = states.history, states.cause
    end = np.cumsum(history.idle + history.seconds)
    # a read is taken when it begins, the current of a step or pulse is that at its end
    at = np.where(history.of(Kind.READ), end - history.seconds, end)
    first = np.zeros(history.size)
    for _, rows in history.each_cell():
        first[rows] = end[rows.start] - history.seconds[rows.start] - history.idle[rows.start]
    return np.maximum(at - np.where(cause >= 0, end[cause], first), 0.0)


def bare(
    base: Mode, p: Any, state: int, volts: FloatArray, kelvin: FloatArray | float = REFERENCE_K
) -> FloatArray:
    """``I / V`` [S] of a state just made, 1 S at the read voltage and 298.15 K."""
    kelvin = np.broadcast_to(np.asarray(kelvin, dtype=np.float64), volts.shape)
    return _bare(base, p, np.full(volts.shape, state), volts, kelvin, np.zeros(volts.shape))


def _bare(
    base: Mode, p: Any, state: IntArray, volts: FloatArray, kelvin: FloatArray, age: FloatArray
) -> FloatArray:
    cell = CellState.blank(volts.shape)
    cell = cell.with_(g=np.ones(volts.shape), w=np.asarray(state == LRS, dtype=np.float64))
    cell = base.family.relax(p, cell, age)
    return base.family.current(p, cell, volts, kelvin) / volts


def _with_drift(p: Any) -> Any:
    """Parameters with a drift that is none, for a base without one."""

    def none(value: float, unit: str) -> Quantity:
        return Quantity(value=value, unit=unit, assumed="where a search begins")

    drift = Drift(
        time=none(_START_S, "s"), lrs_exponent=none(0.0, "1"), hrs_exponent=none(0.0, "1")
    )
    return p.model_copy(update={"drift": drift})


def _shown(
    states: States, rows: IntArray, age: FloatArray, section: str, shape: tuple[str, ...], p: Any
) -> list[str]:
    """What rows of one state differ in, by the parameters that it shows."""
    history = states.history
    volts, kelvin = np.abs(history.volts[rows]), history.kelvin[rows]
    episode = states.episode[rows]
    names = list(shape) if _range(episode, np.log(volts)) >= np.log(_SPAN) else []
    if hasattr(getattr(p, section, None), "activation") and _range(episode, kelvin) >= _WARMER:
        names.append(f"{section}.activation")
    # reads that differ in nothing but their age
    reads = history.kind[rows] == Kind.READ
    alike = np.column_stack((episode, volts, kelvin))[reads]
    if alike.size:
        _, group = np.unique(alike, axis=0, return_inverse=True)
        old = np.log(np.maximum(age[rows][reads], 1e-3))
        if _range(group.reshape(-1), old) >= np.log(_OLDER):
            names.append(f"drift.{section}_exponent")
    return names


def _range(group: IntArray, values: FloatArray) -> float:
    """The greatest difference of values in one group."""
    _, group = np.unique(group, return_inverse=True)
    high, low = np.full(group.max() + 1, -np.inf), np.full(group.max() + 1, np.inf)
    np.maximum.at(high, group, values)
    np.minimum.at(low, group, values)
    return float((high - low).max())


def _fading(
    found: tuple[Estimate, ...], p: Any, base: Mode
) -> tuple[tuple[Estimate, ...], tuple[Given, ...], tuple[str, ...]]:
    """Exponents of drift are not below 0; a section that the base lacks is filled."""
    exponents = [f"drift.{section}_exponent" for section in SECTION.values()]
    estimates, notes = [], []
    for e in found:
        if e.name in exponents:
            if e.high < 0:
                notes.append(f"{e.name}: the conductance grows with time, which the model does not")
            value, low, high = (max(v, 0.0) for v in (e.value, e.low, e.high))
            e = replace(e, value=value, low=low, high=high)
        estimates.append(e)
    told = {e.name for e in estimates}
    if not told.intersection(exponents):
        return tuple(e for e in estimates if e.name != _TIME), (), ()
    derived = []
    if base.p.drift is None:
        if _TIME not in told:
            derived.append(Given(_TIME, p.drift.time.value, "the exponents are for this time"))
        derived += [Given(name, 0.0, "not seen") for name in exponents if name not in told]
    return tuple(estimates), tuple(derived), tuple(notes)
