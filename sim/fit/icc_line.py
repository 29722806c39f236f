"""Fit of the ``icc_line`` family: the conductance line, the HRS, the thresholds, the read noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..devices import Mode
from ..devices.families import icc_line as family
from ..numerics import G_CODE_MAX, FloatArray
from . import line as line_fit
from .errors import FitError
from .estimate import Estimate, bracket, deviation, mean, power
from .found import Found, Given
from .history import History, Kind
from .kept import take_off
from .overlay import cumulative
from .states import HRS, LRS, States, find
from .switching import Episodes, episodes, most_used, read_noise, read_volts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE = "cspbbr3_ogb"
_FEWEST = 5  # SETs, for four numbers of the line
_REACH = 6.4  # the largest deviate of a draw
_MARGIN = 0.8  # of the amplitude used: a threshold where the data tell none
_LINE = ("line.slope", "line.offset", "line.sigma_slope", "line.sigma_offset")


def fit(history: History, base: Mode) -> Found:
    """What the data tell about a mode of this family.

    Raises
    ------
    FitError
        If there are too few SETs for the line.
    """
    found = find(history, signs={LRS: 1.0, HRS: -1.0})
    kept = take_off(found, base, history.of(Kind.READ), {})  # in a sweep each step may RESET
    p, states = kept.p, kept.states
    assert isinstance(p, family.Parameters)
    cells = episodes(states)
    noise = read_noise(cells.reads)
    nu = p.read.noise.value if noise is None else noise.value
    cause = cells.cause
    i_cc = np.where(cause >= 0, history.i_cc[cause], np.nan)
    sets = (cells.state == LRS) & (cause >= 0) & np.isfinite(i_cc)
    x, y = i_cc[sets], cells.g[sets]
    if x.size < _FEWEST or np.unique(x).size < 2:
        raise FitError(
            f"{history.name} has {x.size} SETs with {np.unique(x).size} compliance currents that "
            f"were read afterwards; the line takes at least {_FEWEST} with 2 different ones"
        )
    line = line_fit.fit(_LINE, x, y, (nu * y) ** 2 / cells.counts[sets])
    if line.slope.value <= 0:
        raise FitError(f"{history.name}: the conductance does not grow with the compliance current")
    estimates = [line.slope, line.offset, line.sigma_slope, line.sigma_offset]
    estimates += [] if noise is None else [noise]
    estimates += kept.estimates
    estimates += _hrs(cells, nu)
    applied = read_volts(history)
    derived = [
        *kept.derived,
        Given("line.inverse_offset", line.offset.value, "as offset: the same line read backwards"),
    ]
    notes = list(kept.notes)
    for leg, to in (("set", LRS), ("reset", HRS)):
        _leg(history, states, leg, to, estimates, applied, derived, notes)
    low, high = float(x.min()), float(x.max())
    applied += [
        Given("line.i_cc_min", low, "the lowest compliance current of a SET"),
        Given("line.i_cc_max", high, "the highest compliance current of a SET"),
    ]
    if not p.line.volatile_i_cc.value < low:
        derived.append(Given("line.volatile_i_cc", 0.0, "no volatile SET is in the data"))
    dropped: tuple[str, ...] = ()
    if p.levels is not None:
        levels = _levels(line, low, high, p, estimates)
        derived += levels
        dropped = () if levels else ("levels", "verify", "codes")
    return Found(
        tuple(estimates), tuple(applied), tuple(derived), dropped, tuple(notes),
        lambda figure: _plot(figure, x, y, line, nu, cells.g[cells.state == HRS], estimates),
    )  # fmt: skip


def _hrs(cells: Episodes, nu: float) -> list[Estimate]:
    here = cells.state == HRS
    if here.sum() < 2:
        return []
    decades = np.log10(cells.g[here])
    known = float(((nu / math.log(10.0)) ** 2 / cells.counts[here]).mean())
    middle = mean("hrs.conductance", decades, "log-normal median, t interval")
    return [power(middle, 10.0), deviation("hrs.spread", decades, known)]


def _leg(
    history: History,
    states: States,
    leg: str,
    to: int,
    estimates: list[Estimate],
    applied: list[Given],
    derived: list[Given],
    notes: list[str],
) -> None:
    """Amplitude, width and threshold of SET or RESET."""
    sign = 1.0 if to == LRS else -1.0
    own = [s for s in states.switched if s.to == to]
    if any(sign * s.volts < 0 for s in own):
        wrong = min(own, key=lambda s: sign * s.volts).volts
        raise FitError(
            f"{history.name}: cells {leg.upper()} at {wrong:g} V; "
            "an icc_line cell is SET above 0 V and RESET below, turn the sign of the voltages"
        )
    name = f"pulses.v_{leg}"
    pulses = history.of(Kind.PULSE) & (sign * history.volts > 0)
    if to == LRS:
        pulses &= np.isfinite(history.i_cc)
    threshold = _threshold(f"{name}_threshold", states, to, sign)
    if threshold is not None:
        estimates.append(threshold)
        if "do not agree" in threshold.how:
            notes.append(
                f"cells {leg.upper()} at different voltages; this family has one threshold: "
                "the mean is taken"
            )
    if pulses.any():
        amplitude = sign * float(np.abs(history.volts[pulses]).max())
        width = most_used(history.seconds[pulses & (history.volts == amplitude)])
        applied += [
            Given(name, amplitude, "the largest pulse that was used"),
            Given(f"pulses.{leg}_width", width, "the width of that pulse"),
        ]
        derived.append(Given(f"pulses.{leg}_width_min", 0.5 * width, "half the width used"))
    elif threshold is not None:
        amplitude = 1.25 * max(sign * threshold.low, sign * threshold.high) * sign
        derived.append(Given(name, amplitude, "a quarter beyond the threshold: no pulse was used"))
    else:
        return
    if threshold is None:
        derived.append(
            Given(f"{name}_threshold", _MARGIN * amplitude, "a fifth below the pulse that was used")
        )


def _threshold(name: str, states: States, to: int, sign: float) -> Estimate | None:
    """From the steps and pulses next to the switching ones."""
    volts = states.history.volts
    own = [s for s in states.switched if s.to == to]
    tried = sign * volts[states.tried(to)] if own else np.empty(0)
    if not own or not tried.size:
        return None
    reached, below = min(sign * s.volts for s in own), float(tried.max())
    if below < reached:
        return bracket(name, sign * below, sign * reached, tried.size + len(own))
    middles = np.array([s.volts if math.isnan(s.below) else 0.5 * (s.volts + s.below) for s in own])
    if middles.size < 2:
        return None
    return mean(name, middles, "mean of thresholds that do not agree, t interval")


def _levels(
    line: line_fit.Line,
    low: float,
    high: float,
    p: family.Parameters,
    estimates: list[Estimate],
) -> list[Given]:
    """Levels in the range of the line, two sigma of one SET apart; none without room."""
    hrs = {e.name: e.value for e in estimates}.get("hrs.conductance", p.hrs.conductance.value)
    g = [line.slope.value * i_cc - line.offset.value for i_cc in (low, high)]
    sigma = [line.sigma_slope.value * i_cc + line.sigma_offset.value for i_cc in (low, high)]
    g_lsb = (g[1] + _REACH * sigma[1]) / (0.98 * G_CODE_MAX)
    count = 1 + int((g[1] - g[0]) / max(2.0 * sigma[1], 4.0 * g_lsb))
    if count < 2 or not hrs < g[0]:
        return []
    return [
        Given("levels.count", min(count, 256), "as many as lie two sigma of one SET apart"),
        Given("levels.g_min", g[0] + g_lsb, "the line at the lowest measured I_cc"),
        Given("levels.g_max", g[1], "the line at the highest measured I_cc"),
        Given("codes.g_lsb", g_lsb, "the controller's 16384 codes over the largest G of the line"),
    ]


def _plot(
    figure: Figure,
    x: FloatArray,
    y: FloatArray,
    line: line_fit.Line,
    nu: float,
    hrs: FloatArray,
    estimates: Sequence[Estimate],
) -> None:
    from ..figure import OURS, SEED

    panels = figure.subplot_mosaic("AB;AC" if hrs.size > 1 else "AB", width_ratios=(3, 2))
    along = np.linspace(0.0 if x.min() < 0.3 * x.max() else x.min(), x.max(), 65)
    middle = line.slope.value * along - line.offset.value
    sigma = line.sigma_slope.value * along + line.sigma_offset.value
    sigma = np.hypot(sigma, nu * middle)  # as of single reads
    panels["A"].plot(along * 1e6, middle * 1e6, color=OURS, label="model")
    panels["A"].plot(x * 1e6, y * 1e6, ".", color=SEED, ms=4, label=f"measured, {x.size} SETs")
    panels["A"].set(xlabel="I_cc [µA]", ylabel="conductance after SET [µS]")
    panels["A"].legend(loc="upper left")
    panels["B"].fill_between(
        along * 1e6, -2e6 * sigma, 2e6 * sigma, color=OURS, alpha=0.2, lw=0, label="±2 sigma"
    )
    rest = y - line.slope.value * x + line.offset.value
    panels["B"].plot(x * 1e6, rest * 1e6, ".", color=SEED, ms=3)
    panels["B"].set(xlabel="I_cc [µA]", ylabel="from the line [µS]")
    panels["B"].legend(loc="upper left")
    if hrs.size > 1:
        found = {e.name: e.value for e in estimates}
        cumulative(
            panels["C"], hrs, found["hrs.conductance"], found["hrs.spread"], "HRS conductance [S]"
        )
