"""Seed 004, on-chip power in use: two cells together, many cycles, hours of rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..devices import DeviceError
from ..figure import OURS, QUIET, SEED, SERIES, THIRD
from ..numerics import FloatArray
from .bench import Bench
from .record import Definition, Kind, Result, Row
from .s004_store import (
    DEVICE,
    HOLD_S,
    LOSS,
    LOW,
    STORE,
    Leg,
    areal,
    constant_current,
    hold,
    resistance,
    stores,
)
from .tolerance import at_least, exact, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEC = "seed 004, sec. 2.3"
_STEPS = 24  # of the staircase

# -- two cells ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bank:
    """Two cells beside a third one, charged together.

    Attributes
    ----------
    leg:
        The current through all three; the first two are in series.
    volts, coulombs:
        A common voltage, and the charge that each cell then has, (n,) and (3, n).
    """

    leg: Leg
    volts: FloatArray
    coulombs: FloatArray

    @property
    def voltage_ratio(self) -> float:
        """Of two in series over one, at the end of the charge."""
        last = self.leg.volts[-1]
        return float((last[0] + last[1]) / last[2])

    @property
    def capacitance_ratio(self) -> float:
        """Of two in parallel over one: charges at the same voltage."""
        last = self.coulombs[:, -1]
        return float((last[0] + last[1]) / last[2])


def _bank(bench: Bench, seed: int) -> _Bank:
    """Cells 0 and 1 in series, then in parallel; cell 2 alone."""
    cells = np.arange(3)
    array = stores(bench, cells.size, seed)
    ohms = resistance(array, cells)
    leg = constant_current(array, cells, 10 * LOW, array.limits.v_max, ohms)
    hold(array, cells, 0.0)
    volts = np.linspace(0.0, array.limits.v_max, _STEPS + 1)[1:]
    seconds = HOLD_S
    current = array.sweep(cells, volts, seconds, None)
    return _Bank(leg, volts, np.cumsum(current, axis=-1) * seconds)


def banks(bench: Bench) -> Result:
    """Two cells with the same current, and two at the same voltage."""
    found = {seed: _bank(bench, seed) for seed in bench.seeds}
    series, series_spread = bench.over_seeds(lambda seed: found[seed].voltage_ratio)
    parallel, parallel_spread = bench.over_seeds(lambda seed: found[seed].capacitance_ratio)
    place = f"{_SEC} and Fig. 3f"
    rows = (
        Row("voltage of two in series over that of one, same current", "1", 2.0, series,
            ten_percent(2.0), Kind.FITTED, place, series_spread),
        Row("capacitance of two in parallel over that of one, same voltage", "1", 2.0, parallel,
            ten_percent(2.0), Kind.FITTED, place, parallel_spread),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        one = found[bench.seeds[0]]
        leg = one.leg
        axes.plot(leg.seconds, leg.volts[:, 2], color=OURS, label="one cell")
        axes.plot(leg.seconds, leg.volts[:, :2].sum(axis=1), color=THIRD, label="two in series")
        both = one.coulombs[:2].sum(axis=0) / leg.amperes
        axes.plot(np.concatenate(([0.0], both)), np.concatenate(([0.0], one.volts)),
                  color=SERIES[3], label="two in parallel")  # fmt: skip
        end = leg.seconds[-1], leg.volts[-1, 2]
        axes.plot((end[0], 2 * end[0]), (2 * end[1], end[1]), "s", color=SEED,
                  label="seed: twice the voltage, twice the charge")  # fmt: skip
        axes.set(xlabel=f"time at {leg.amperes * 1e9:.0f} nA (s)", ylabel="voltage (V)")
        axes.legend(loc="upper right")

    return Result(rows, plot, {DEVICE: {**STORE, **LOSS}})


# -- use and rest ---------------------------------------------------------------------

_CYCLES, _BLOCKS = 3500, 7
_FAST = 1e-6  # A, of the cycles; not given
_DEPTH, _FLOOR = 0.95, 0.02  # parts of the charge that a cycle moves, and leaves
_HOURS = np.array((0.0, 1.0, 2.0, 5.0, 10.0, 24.0))  # of Fig. S3d the text gives no time


def _worn(array: Array) -> tuple[FloatArray, FloatArray]:
    """Cycles done, and the capacitance [F/m2] of a cell measured after so many."""
    cell = np.arange(1)
    ohms = resistance(array, cell)
    done, found, cycles = [], [], 0
    try:
        while True:
            hold(array, cell, array.limits.v_max)
            leg = constant_current(array, cell, -10 * LOW, 0.0, ohms)
            done.append(cycles)
            found.append(areal(array, leg))
            if cycles >= _CYCLES:
                break
            array.charge(cell, [_FAST], _FLOOR * leg.coulombs / _FAST)
            seconds = _DEPTH * leg.coulombs / _FAST
            for _ in range(_CYCLES // _BLOCKS):
                array.charge(cell, [_FAST], seconds)
                array.charge(cell, [-_FAST], seconds)
            cycles += _CYCLES // _BLOCKS
    except DeviceError:
        pass  # worn out, or out of its window: what it has done until then is the result
    return np.array(done), np.array(found)


def lasting(bench: Bench) -> Result:
    """3500 cycles of charge and discharge; and the voltage of a charged cell left open."""
    cycles, capacitance = _worn(stores(bench))
    array, cell = stores(bench), np.arange(1)
    hold(array, cell, array.limits.v_max)
    volts = []
    for hours in np.diff(_HOURS, prepend=0.0):
        array.wait(3600.0 * float(hours))
        volts.append(float(array.sense_voltage(cell)[0]))
    kept = np.array(volts) / volts[0]
    rows = (
        Row("cycles of charge and discharge", "cycle", None, float(cycles[-1]), at_least(3500.0),
            Kind.INPUT, f"{_SEC} and Fig. S3e"),
        Row("capacitance after them over that before", "1", 1.0,
            float(capacitance[-1] / capacitance[0]), ten_percent(1.0), Kind.FITTED,
            f"{_SEC} and Fig. S3e"),
        Row("low self-discharge: 9/10 of the voltage after 10 hours", "", True,
            bool(kept[_HOURS == 10.0][0] > 0.9), exact(), Kind.FITTED, f"{_SEC} and Fig. S3d"),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        left.plot(cycles, 100 * capacitance / capacitance[0], "o-", color=OURS, label="ours")
        left.axvline(3500, color=SEED, linestyle="--", label="seed: more than 3500 cycles")
        left.set(xlabel="cycles", ylabel="capacitance over the first (%)", ylim=(80, 102))
        left.legend(loc="lower left")
        right.plot(_HOURS, volts, "o-", color=OURS)
        right.axhline(volts[0], color=QUIET, linewidth=0.8)
        right.set(xlabel="time open (h)", ylabel="voltage (V)", ylim=(0, None))

    return Result(rows, plot, {DEVICE: {**STORE, **LOSS}})


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("004/banks", "Two cells in series and in parallel", "Fig. 3f", banks),
    Definition("004/lasting", "Cycle life and self-discharge", "Fig. S3 d, e", lasting),
)
