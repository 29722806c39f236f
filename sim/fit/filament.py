"""Fit of the ``filament`` family: both states and their spreads, conduction, thresholds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import Mode
from ..devices.families import filament as family
from ..numerics import G_CODE_MAX, FloatArray, IntArray
from .censored import normal
from .errors import FitError
from .estimate import Components, Estimate, components, deviation, mean, power, scaled
from .found import Found, Given
from .history import History, Kind
from .kept import SECTION, bare, take_off
from .least import with_values
from .states import HRS, LRS, States, find
from .switching import Episodes, episodes, most_used, read_noise, read_volts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE = "vb3"
_LN10 = math.log(10.0)
_SURE = 5.0  # standard deviations beyond a threshold: every cell switches


def fit(history: History, base: Mode) -> Found:
    """What the data tell about a mode of this family.

    Raises
    ------
    FitError
        If not one state was read in two cells or cycles.
    """
    states = find(history)
    shows = np.ones(history.size, dtype=np.bool_)
    kept = take_off(states, base, shows, {HRS: ("conduction.v_child", "conduction.v_trap")})
    p, states = kept.p, kept.states
    assert isinstance(p, family.Parameters)
    _check_polarity(states, p, base.name)
    cells = episodes(states)
    noise = read_noise(cells.reads)
    estimates = [*kept.estimates, *([] if noise is None else [noise])]
    nu = p.read.noise.value if noise is None else noise.value
    for state in (LRS, HRS):
        estimates += _spreads(states, cells, state, nu)
    if not any(e.name.endswith(".conductance") for e in estimates):
        raise FitError(f"{history.name}: no state was read in two cells or two cycles")
    applied, derived, notes = read_volts(history), list(kept.derived), list(kept.notes)
    for leg, to in (("set", LRS), ("reset", HRS)):
        _leg(states, leg, to, p, estimates, applied, derived, notes)
    _compliance(states, p, applied, derived)
    kelvin = np.unique(history.kelvin[history.measured])
    if kelvin.size > 1:
        applied += [
            Given("temperature.low", float(kelvin[0]), "the lowest temperature"),
            Given("temperature.high", float(kelvin[-1]), "the highest temperature"),
        ]
    found = {e.name: e.value for e in estimates}
    on = found.get("lrs.conductance", p.lrs.conductance.value)
    off = found.get("hrs.conductance", p.hrs.conductance.value)
    if not off < on:
        raise FitError(
            f"{history.name}: the high-resistance state has {off:.4g} S, "
            f"the low-resistance one {on:.4g} S"
        )
    if p.levels is not None:
        derived += [
            Given("levels.g_min", min(5.0 * off, math.sqrt(on * off)), "above the HRS"),
            Given("levels.g_max", on, "the LRS"),
            Given("codes.g_lsb", 2.0 * on / (G_CODE_MAX + 1), "16384 codes up to twice the LRS"),
        ]
    final = with_values(p, found)
    return Found(
        tuple(estimates), tuple(applied), tuple(derived), (), tuple(notes),
        lambda figure: _plot(figure, states, base, final),
    )  # fmt: skip


def _check_polarity(states: States, p: family.Parameters, base: str) -> None:
    up, down = states.sign(LRS), states.sign(HRS)
    name = states.history.name
    if p.switching == "write_once" and down:
        raise FitError(f"{name}: cells were RESET, those of the base are written once: see --base")
    if up and down and (up == down) != (p.switching == "unipolar"):
        seen = "the same sign" if up == down else "another sign"
        raise FitError(
            f"{name}: RESET has {seen} as SET, the {base} mode of the base is {p.switching}: "
            "see --base"
        )


# -- states ---------------------------------------------------------------------------


def _levels(states: States, state: int) -> tuple[FloatArray, IntArray, IntArray]:
    """Mean log10 conductance of each episode, its cell, and how many values it has.

    Reads where there are any, else steps of sweeps. The state that a cell came with is left
    out where there are others: nobody knows how it was made.
    """
    history = states.history
    rows = np.flatnonzero((states.state == state) & np.isfinite(states.g) & (states.episode >= 0))
    reads = rows[history.kind[rows] == Kind.READ]
    rows = reads if reads.size else rows
    made = states.cause[rows] >= 0
    rows = rows[made] if made.any() else rows
    _, first, episode = np.unique(states.episode[rows], return_index=True, return_inverse=True)
    count = np.bincount(episode)
    decades = np.bincount(episode, np.log10(states.g[rows])) / count
    return decades, history.cell[rows][first], count


def _spreads(states: States, cells: Episodes, state: int, nu: float) -> list[Estimate]:
    section = SECTION[state]
    names = tuple(f"{section}.{n}" for n in ("conductance", "device_spread", "cycle_spread"))
    decades, cell, count = _levels(states, state)
    if decades.size < 2:
        return []
    known = float(((nu / _LN10) ** 2 / count).mean())
    alone = (cells.state == state) & (cells.cause >= 0)
    if state == HRS and not alone.any():  # as made: nothing from cycle to cycle is in it
        middle = mean(names[0], decades, "median of cells as they came, t interval")
        return [power(middle, 10.0), deviation(names[1], decades, known)]
    parts = components((names[0], names[1], names[2]), decades, cell, known)
    return _parts(Components(power(parts.mean, 10.0), parts.between, parts.within))


def _parts(parts: Components) -> list[Estimate]:
    return [part for part in (parts.mean, parts.between, parts.within) if part is not None]


# -- switching ------------------------------------------------------------------------


def _leg(
    states: States,
    leg: str,
    to: int,
    p: family.Parameters,
    estimates: list[Estimate],
    applied: list[Given],
    derived: list[Given],
    notes: list[str],
) -> None:
    """Threshold, spreads and pulse of SET or RESET."""
    switch = p.set if to == LRS else p.reset
    sign = states.sign(to)
    if switch is None or not sign:
        return
    history = states.history
    own = [s for s in states.switched if s.to == to and sign * s.volts > 0]
    swept = [s for s in own if not math.isnan(s.below)]
    threshold, spread = (
        switch.threshold.value,
        math.hypot(switch.device_spread.value, switch.cycle_spread.value),
    )
    if len(swept) >= 2:
        parts = _thresholds(states, swept, leg, sign)
        estimates += parts
        threshold = parts[0].value
        spread = math.sqrt(sum(e.value**2 for e in parts[1:])) if len(parts) > 1 else spread
        _unswitched(states, swept, leg, to, notes)
    pulses = history.of(Kind.PULSE) & (sign * history.volts > 0)
    if to == LRS:
        pulses &= np.isfinite(history.i_cc)
    largest = sign * float(np.max(sign * history.volts[pulses], initial=0.0))
    if largest / threshold > 1:
        width = most_used(history.seconds[pulses & (history.volts == largest)])
        applied += [
            Given(f"{leg}.volts", largest, "the largest pulse that was used"),
            Given(f"{leg}.width", width, "the width of that pulse"),
        ]
    else:
        width = switch.width.value
        volts = threshold * (1.0 + _SURE * spread)
        derived.append(Given(f"{leg}.volts", volts, "beyond the threshold of every cell"))
        if len(swept) < 2:
            derived.append(Given(f"{leg}.threshold", threshold, "not seen in a sweep"))
    shortest = min([width, *(float(history.seconds[s.row]) for s in own)])
    if not switch.width_min.value <= 0.5 * shortest:
        derived.append(
            Given(f"{leg}.width_min", 0.5 * shortest, "half the shortest that switched a cell")
        )


def _thresholds(states: States, swept: list[Any], leg: str, sign: float) -> list[Estimate]:
    """Voltages between the steps; the spread of the step itself is taken off."""
    middles = np.array([0.5 * sign * (s.volts + s.below) for s in swept])
    steps = np.array([s.volts - s.below for s in swept])
    cells = states.history.cell[[s.row for s in swept]]
    names = (f"{leg}.threshold", f"{leg}.device_spread", f"{leg}.cycle_spread")
    if middles.std() < 0.5 * np.abs(steps).mean():  # too coarse for a spread
        ends = np.sort([[sign * s.volts, sign * s.below] for s in swept], axis=1)
        return [scaled(normal(names[:2], ends[:, 0], ends[:, 1])[0], sign)]
    parts = components(names, middles, cells, float((steps * steps).mean()) / 12.0)
    spreads = [
        scaled(part, 1.0 / parts.mean.value) if part else None
        for part in (parts.between, parts.within)
    ]
    return _parts(Components(scaled(parts.mean, sign), *spreads))


def _unswitched(states: States, swept: list[Any], leg: str, to: int, notes: list[str]) -> None:
    """Sweeps that ended without switching are not in the mean: say so."""
    history = states.history
    tried = states.tried(to) & history.of(Kind.SWEEP)
    reach = np.median([abs(s.volts) for s in swept])
    far = np.flatnonzero(tried & (np.abs(history.volts) >= reach))
    missed = set(zip(history.cell[far].tolist(), states.episode[far].tolist(), strict=True))
    missed -= {(int(history.cell[s.row - 1]), int(states.episode[s.row - 1])) for s in swept}
    if missed:
        notes.append(
            f"{len(missed)} sweeps went beyond the median {leg.upper()} voltage and switched "
            "nothing; they are not in the mean"
        )


def _compliance(
    states: States, p: family.Parameters, applied: list[Given], derived: list[Given]
) -> None:
    """The compliance current that was used, and limits that allow what was done."""
    limits = states.history.i_cc[[s.row for s in states.switched if s.to == LRS]]
    limits = limits[np.isfinite(limits)]
    if not limits.size:
        return
    used, c = most_used(limits), p.compliance
    applied.append(Given("compliance.i_cc", used, "the compliance current of most SETs"))
    least, most = min(float(limits.min()), used), max(float(limits.max()), used)
    if least < c.i_cc_min.value:
        derived.append(Given("compliance.i_cc_min", least, "the lowest that SET a cell"))
        derived.append(
            Given("compliance.i_cc_off", min(c.i_cc_off.value, 0.1 * least), "a tenth of i_cc_min")
        )
    if most > c.i_cc_max.value:
        derived.append(Given("compliance.i_cc_max", most, "the highest that was used"))


# -- figure ---------------------------------------------------------------------------


def _plot(figure: Figure, states: States, base: Mode, p: family.Parameters) -> None:
    from ..figure import OURS, QUIET, SEED
    from .overlay import cumulative

    history = states.history
    panels = figure.subplot_mosaic("AB;AC", width_ratios=(3, 2))
    shown = np.isfinite(states.g) & (states.state >= 0)
    volts = history.volts[shown]
    panels["A"].semilogy(
        volts, np.abs(history.amps[shown]), ".", color=SEED, ms=2.5, alpha=0.5,
        label=f"measured, {volts.size}",
    )  # fmt: skip
    grid = np.linspace(min(volts.min(), 0.0), max(volts.max(), 0.0), 257)
    grid = grid[grid != 0]
    kelvin = np.full(grid.shape, float(np.median(history.kelvin[shown])))
    for state, style in ((LRS, "-"), (HRS, "--")):
        median = (p.lrs if state == LRS else p.hrs).conductance.value
        amps = np.abs(median * bare(base, p, state, np.abs(grid), kelvin) * grid)
        panels["A"].semilogy(
            grid, amps, style, color=OURS, label=f"model, {SECTION[state].upper()}"
        )
    for switch in (p.set, p.reset):
        if switch is not None:
            label = "model, thresholds" if switch is p.set else None
            panels["A"].axvline(switch.threshold.value, color=QUIET, ls=":", label=label)
    panels["A"].set(xlabel="voltage [V]", ylabel="|current| [A]")
    panels["A"].legend(loc="best")
    for key, state in (("B", LRS), ("C", HRS)):
        decades, _, _ = _levels(states, state)
        section = p.lrs if state == LRS else p.hrs
        spread = math.hypot(section.device_spread.value, section.cycle_spread.value)
        label = f"{SECTION[state].upper()} conductance [S]"
        if decades.size:
            cumulative(panels[key], 10.0**decades, section.conductance.value, spread, label)
        else:
            panels[key].text(0.5, 0.5, "not measured", ha="center", color=QUIET)
            panels[key].set(xlabel=label)
