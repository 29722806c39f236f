"""Fit of the ``diffusive`` family: conductances, thresholds, growth and decay."""

from __future__ import annotations

import numpy as np

from ..devices import Mode
from ..devices.families import diffusive as family
from ..devices.schema import number
from .dynamic import factors, repeats, spread_out
from .dynamic import fit as replayed
from .dynamic_plot import plot
from .errors import FitError
from .estimate import Estimate
from .found import Found, Given
from .history import History, Kind
from .least import with_values
from .states import conductance
from .switching import most_used, read_noise, read_volts
from .volatile import crossings

BASE = "cspbbr3_ogb"
_FREE = (
    "conductance.off", "conductance.on", "growth.rate", "growth.slow_rate",
    "relaxation.fast_time", "relaxation.slow_time", "relaxation.slow_share",
)  # fmt: skip
_TRIES = factors(rates=(0.1, 1.0, 10.0), times=(0.1, 1.0, 10.0))
_GROUPS = {
    "rates": ("growth.rate", "growth.slow_rate"),
    "times": ("relaxation.fast_time", "relaxation.slow_time"),
}


def fit(history: History, base: Mode) -> Found:
    """What the data tell about a mode of this family.

    Raises
    ------
    FitError
        If no cell is driven above 0 V, or the model does not follow the data.
    """
    p = base.p
    assert isinstance(p, family.Parameters)
    g = conductance(history)
    driven = (history.of(Kind.PULSE) | history.of(Kind.SWEEP)) & (history.volts > 0)
    if not driven.any() or not np.isfinite(g).any():
        raise FitError(f"{history.name} has no pulse or sweep above 0 V with a current after it")
    up, back = crossings(history)
    estimates: list[Estimate] = [
        *up.estimates("switching.v_threshold", "spread.v_threshold"),
        *back.estimates("switching.v_hold", "spread.v_hold"),
    ]
    applied, derived = read_volts(history), []
    _applied(history, p, applied, derived)
    known = {given.name: given.value for given in (*applied, *derived)}
    known |= {e.name: e.value for e in estimates}
    p = with_values(p, known)
    low, high = float(np.nanmin(g)), float(np.nanmax(g))
    start = {name: number(p, name) for name in _FREE}
    start |= {"conductance.off": low, "conductance.on": high}
    compared = history.of(Kind.READ) | history.of(Kind.PULSE)
    if np.unique(history.volts[driven & history.of(Kind.PULSE)]).size > 1:
        start["growth.v_scale"] = number(p, "growth.v_scale")
    found = replayed(history, family, p, start, spread_out(_GROUPS, _TRIES), compared, 1.0)
    estimates += found.solution.estimates
    noise = read_noise(repeats(history, g))
    estimates += [] if noise is None else [noise]
    told = {e.name for e in estimates}
    derived += [
        Given(name, found.solution.values[name], "from the range of the currents")
        for name in ("conductance.off", "conductance.on")
        if name not in told
    ]
    return Found(
        tuple(estimates), tuple(applied), tuple(derived), (), (),
        lambda figure: plot(figure, history, found),
    )  # fmt: skip


def _applied(
    history: History, p: family.Parameters, applied: list[Given], derived: list[Given]
) -> None:
    """What the cells were driven with; thresholds that no sweep shows follow it."""
    driven = history.of(Kind.PULSE) | history.of(Kind.SWEEP)
    volts, positive = history.volts[driven], driven & (history.volts > 0)
    high, low = float(volts.max()), float(volts.min())
    applied.append(Given("drive.v_max", high, "the largest amplitude that was used"))
    if low < 0:
        applied.append(Given("drive.v_min", low, "the largest negative amplitude that was used"))
    limits = history.i_cc[positive]
    limits = limits[np.isfinite(limits)]
    if limits.size:
        applied.append(
            Given("switching.compliance", float(limits.max()), "the largest compliance current")
        )
    pulses = positive & history.of(Kind.PULSE)
    if pulses.any():
        amplitude = most_used(history.volts[pulses])
        applied.append(Given("growth.v_rate", amplitude, "the amplitude of most pulses"))
        if amplitude <= p.switching.v_threshold.value:
            ratio = 0.5 * amplitude / p.switching.v_threshold.value
            derived += [
                Given("switching.v_threshold", 0.5 * amplitude, "half the amplitude of the pulses"),
                Given("switching.v_hold", ratio * p.switching.v_hold.value, "as the threshold"),
            ]
    shortest = float(history.seconds[driven].min())
    if 0 < shortest < p.drive.width_min.value:
        derived.append(Given("drive.width_min", shortest, "the shortest pulse that was used"))
