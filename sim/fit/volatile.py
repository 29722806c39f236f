"""Voltages at which volatile cells begin to conduct and stop, from sweeps there and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..numerics import FloatArray
from .censored import normal
from .estimate import Estimate, scaled
from .history import History, Kind

_RISE = 2.0  # the conductance rises by this factor within one step at the threshold
_FALL = 0.8  # and falls to this part of what it was below the hold voltage
_LOWEST = 0.1  # of the largest voltage: currents below are mostly offset


@dataclass(frozen=True)
class Crossings:
    """Ends of the steps in which cells switched [V], shape (sweeps,)."""

    low: FloatArray
    high: FloatArray

    def estimates(self, name: str, spread: str) -> list[Estimate]:
        """Mean voltage, and the spread as a fraction of it; nothing from less than 2 sweeps."""
        if self.low.size < 2:
            return []
        middle, deviation = normal((name, spread), self.low, self.high)
        return [middle, scaled(deviation, 1.0 / middle.value)]


def crossings(history: History) -> tuple[Crossings, Crossings]:
    """Thresholds on the way up, and hold voltages on the way back, of sweeps above 0 V."""
    up: list[tuple[float, float]] = []
    back: list[tuple[float, float]] = []
    for rows in _sweeps(history):
        volts, amps = history.volts[rows], history.amps[rows]
        top = int(np.argmax(volts))
        shows = np.isfinite(amps) & (amps > 0) & (volts >= _LOWEST * volts[top])
        with np.errstate(divide="ignore", invalid="ignore"):
            g = np.where(shows, amps / volts, np.nan)
        _rise(volts[: top + 1], g[: top + 1], up)
        free = np.where(history.limited[rows], np.nan, g)
        if up:
            _fall(volts[top:], free[top:], back)
    return _crossings(up), _crossings(back)


def _sweeps(history: History) -> list[slice]:
    """Runs of steps above 0 V of one cell."""
    found = []
    steps = history.of(Kind.SWEEP) & (history.volts > 0)
    for _, rows in history.each_cell():
        edges = np.flatnonzero(np.diff(np.concatenate(([0], steps[rows].astype(int), [0]))))
        found += [
            slice(rows.start + start, rows.start + stop)
            for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        ]
    return found


def _rise(volts: FloatArray, g: FloatArray, found: list[tuple[float, float]]) -> None:
    """The first step upwards in which the conductance jumps."""
    for n in range(1, volts.size):
        if g[n] >= _RISE * g[n - 1]:
            found.append((volts[n], volts[n - 1]))
            return


def _fall(volts: FloatArray, g: FloatArray, found: list[tuple[float, float]]) -> None:
    """The first step downwards in which the conductance is no longer what it was."""
    before = np.nan
    for n in range(volts.size):
        if g[n] <= _FALL * before:
            found.append((volts[n], volts[n - 1]))
            return
        before = g[n]


def _crossings(found: list[tuple[float, float]]) -> Crossings:
    pairs = np.sort(np.array(found).reshape(-1, 2), axis=1)
    return Crossings(pairs[:, 0], pairs[:, 1])
