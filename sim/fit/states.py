"""Which of two resistance states a cell was in, and at which voltages it switched."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..numerics import FloatArray, IntArray
from .errors import FitError
from .history import History, Kind

UNKNOWN, HRS, LRS = -1, 0, 1
_JUMP = 3.0  # a conductance that changes by this factor within one step has switched
_APART = 2.0  # two states whose medians are closer than this factor are not told apart
_LOWEST = 0.1  # of the largest voltage of a sweep: currents below are mostly offset
_STRONGEST = 0.95  # of the largest amplitude: pulses that surely switched


@dataclass(frozen=True)
class Switching:
    """Voltages at which one cell switched once.

    Attributes
    ----------
    row:
        Row of the step or pulse that did it.
    to:
        State afterwards.
    volts:
        What switched it [V].
    below:
        The step of the sweep before [V], NaN for a pulse.
    """

    row: int
    to: int
    volts: float
    below: float


@dataclass(frozen=True)
class States:
    """What two-state cells were in, row by row.

    Attributes
    ----------
    state:
        HRS, LRS or UNKNOWN during the row; for a step that switches, afterwards.
    g:
        ``amps / volts`` [S] where that is the cell's conductance, else NaN.
    episode:
        Number of the time between two switchings, -1 where unknown.
    cause:
        Row of the pulse or step that began the episode, -1 for a cell as it came.
    switched:
        Every switching whose step or pulse is known.
    """

    history: History
    state: IntArray
    g: FloatArray
    episode: IntArray
    cause: IntArray
    switched: tuple[Switching, ...]

    def sign(self, to: int) -> float:
        """Sign of the voltages that switch to a state; 0 where none was seen."""
        signs = [math.copysign(1.0, s.volts) for s in self.switched if s.to == to]
        return math.copysign(1.0, sum(signs)) if signs and sum(signs) else 0.0

    def tried(self, to: int) -> NDArray[np.bool_]:
        """Pulses and steps of the switching polarity that left a cell in the other state."""
        h = self.history
        driven = h.of(Kind.PULSE) | h.of(Kind.SWEEP)
        return driven & (self.sign(to) * h.volts > 0) & (self.state == (LRS if to == HRS else HRS))


def conductance(history: History) -> FloatArray:
    """``amps / volts`` [S] of rows that show the cell's own current, else NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        g = history.amps / history.volts
    shows = history.measured & (history.volts != 0) & ~history.limited & (g > 0)
    return np.where(shows, g, np.nan)


def find(history: History, signs: Mapping[int, float] | None = None) -> States:
    """The states of every row.

    Parameters
    ----------
    history:
        Of cells with two states.
    signs:
        Signs of the voltages that switch to LRS and to HRS, where the family says them:
        of cells that take another conductance at each step beyond a threshold.

    Raises
    ------
    FitError
        If no row shows a conductance.
    """
    g = conductance(history)
    if not np.isfinite(g).any():
        raise FitError(f"{history.name} has no current from which a conductance follows")
    split = _split(history, g)
    state = np.full(history.size, UNKNOWN)
    switched: list[Switching] = []
    for _, rows in history.each_cell():
        _walk(history, g, split, rows, signs or {}, state, switched)
    episode, cause = np.full((2, history.size), -1)
    found = States(history, state, g, episode, cause, tuple(switched))
    _number(found, redraws=signs is not None)
    return found


def _split(history: History, g: FloatArray) -> float:
    """Conductance [S] between the two states: by what reads show after the strongest pulses."""
    after: dict[tuple[float, bool], list[tuple[float, float]]] = {}
    for _, rows in history.each_cell():
        key, amplitude = (0.0, False), 1.0
        for row in range(rows.start, rows.stop):
            kind = history.kind[row]
            if kind in (Kind.PULSE, Kind.SWEEP) and history.volts[row] != 0:
                limited = bool(np.isfinite(history.i_cc[row]))
                here = (math.copysign(1.0, history.volts[row]), limited)
                size = abs(float(history.volts[row]))
                # of a sweep, the end that went furthest
                amplitude = size if here != key or kind == Kind.PULSE else max(size, amplitude)
                key = here
            elif kind == Kind.READ and np.isfinite(g[row]):
                after.setdefault(key, []).append((amplitude, math.log(g[row])))
    middles = []
    for found in after.values():
        strongest = max(amplitude for amplitude, _ in found)
        sure = [log_g for amplitude, log_g in found if amplitude >= _STRONGEST * strongest]
        middles.append(float(np.median(sure)))
    if not middles or max(middles) - min(middles) < math.log(_APART):
        driven = any(sign != 0 for sign, _ in after)
        return 0.0 if driven else math.inf
    return math.exp(0.5 * (min(middles) + max(middles)))


def _walk(
    history: History,
    g: FloatArray,
    split: float,
    rows: slice,
    signs: Mapping[int, float],
    state: IntArray,
    switched: list[Switching],
) -> None:
    """States and switchings of one cell."""
    now, row, pending = UNKNOWN, rows.start, []
    while row < rows.stop:
        kind = history.kind[row]
        if kind == Kind.SWEEP:
            stop = row
            while stop < rows.stop and history.kind[stop] == Kind.SWEEP:
                stop += 1
            now = _sweep(history, slice(row, stop), now, signs, state, switched)
            row, pending = stop, []
            continue
        if kind == Kind.PULSE:
            pending.append(row)  # what it did, the next read shows
            row += 1
            continue
        if kind == Kind.READ and np.isfinite(g[row]):
            seen = LRS if g[row] >= split else HRS
            if len(pending) == 1 and now != UNKNOWN and seen != now:
                volts = float(history.volts[pending[0]])
                switched.append(Switching(pending[0], seen, volts, math.nan))
            if pending:
                state[pending] = seen if len(pending) == 1 else UNKNOWN
            now, pending = seen, []
        state[row] = now
        row += 1


def _sweep(
    history: History,
    rows: slice,
    now: int,
    signs: Mapping[int, float],
    state: IntArray,
    switched: list[Switching],
) -> int:
    """States along one sweep; returns the one at its end."""
    volts, amps = history.volts[rows], history.amps[rows]
    enough = np.isfinite(amps) & (np.abs(volts) >= _LOWEST * float(np.abs(volts).max()))
    before = -1
    first = True
    for n in np.flatnonzero(enough & (amps * volts > 0)).tolist():
        apparent = amps[n] / volts[n]
        if before >= 0 and volts[before] * volts[n] > 0:
            ratio = apparent / (amps[before] / volts[before])
            to = LRS if ratio >= _JUMP else HRS if ratio <= 1.0 / _JUMP else UNKNOWN
            if to not in (UNKNOWN, now) and signs.get(to, volts[n]) * volts[n] > 0:
                if first and now == UNKNOWN:
                    state[rows.start : rows.start + n] = LRS if to == HRS else HRS
                switched.append(Switching(rows.start + n, to, float(volts[n]), float(volts[n - 1])))
                now, first = to, False
        state[rows.start + before + 1 : rows.start + n + 1] = now
        before = n
    state[rows.start + before + 1 : rows.stop] = now
    return now


def _number(found: States, redraws: bool) -> None:
    """Number the episodes: a switching ends one, also one that only may have been."""
    history, state = found.history, found.state
    reaches = {to: _reaches(found, to, redraws) for to in (HRS, LRS)}
    seen = {s.row for s in found.switched}
    number = -1
    for _, rows in history.each_cell():
        now, new, cause = UNKNOWN, True, -1
        for row in range(rows.start, rows.stop):
            pulse = history.kind[row] == Kind.PULSE
            for to in (HRS, LRS):
                # a step of a sweep shows by itself whether it switched
                if pulse and (to != now or redraws) and reaches[to](row):
                    new, cause = True, row
            if row in seen:
                cause = row
            if pulse or state[row] == UNKNOWN:
                continue
            if new or state[row] != now:
                number += 1
            found.episode[row], found.cause[row] = number, cause
            now, new = int(state[row]), False


def _reaches(found: States, to: int, redraws: bool) -> Callable[[int], bool]:
    """Whether a pulse has at least the least voltage and I_cc that were seen to switch to ``to``.

    Where none was seen, of cells that redraw the strongest pulses of either sign are taken.
    """
    history, sign = found.history, found.sign(to)
    seen = [s for s in found.switched if s.to == to and sign * s.volts > 0]
    if not seen:
        pulses = history.of(Kind.PULSE)
        up, down = (float(np.max(v * history.volts[pulses], initial=0.0)) for v in (1.0, -1.0))

        def strongest(row: int) -> bool:
            volts = float(history.volts[row])
            return redraws and abs(volts) >= _STRONGEST * (up if volts > 0 else down)

        return strongest
    volts = min(abs(s.volts) for s in seen)
    i_cc = min(float(history.i_cc[s.row]) for s in seen)

    def reaches(row: int) -> bool:
        return bool(sign * history.volts[row] >= volts and history.i_cc[row] >= i_cc)

    return reaches
