"""Seed 004, on-chip power: the device after slow sweeps in air is a supercapacitor.

As for any supercapacitor, capacitance is I t / V over the whole window, and energy
C V^2 / 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..figure import OURS, SEED, SERIES
from ..numerics import FloatArray
from .bench import Bench
from .measure import staircase
from .record import Definition, Kind, Result, Row
from .s004_store import (
    AREA,
    DEVICE,
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
from .tolerance import exact, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEC = "seed 004, sec. 2.3"
_ENERGY, _POWER = 7.0, 27.9  # uWh/cm2, uW/cm2
_CURRENTS = (5e-9, 20e-9, 50e-9, 200e-9, 500e-9, 1e-6)  # A
_STEP = 0.035  # V
_RATES = (0.01, 0.02, 0.05)  # V/s
_UWH_CM2 = 1e6 / 3600 * 1e-4  # of J/m2
_UW_CM2 = 1e6 * 1e-4  # of W/m2


# -- voltammograms --------------------------------------------------------------------


def _voltammogram(array: Array, rate: float) -> tuple[FloatArray, FloatArray]:
    """Voltages at the middle of the steps, and mean currents, of a sweep up and back."""
    volts = staircase(array.limits.v_max, _STEP)
    current = array.sweep(np.arange(1), volts, _STEP / rate, None)[0]
    return 0.5 * (volts[1:] + volts[:-1]), current[1:]


def _peak(volts: FloatArray, current: FloatArray) -> tuple[float, float]:
    """Voltage and current of the largest current of one direction."""
    at = int(np.argmax(np.abs(current)))
    return float(volts[at]), float(current[at])


def voltammogram(bench: Bench) -> Result:
    """Cyclic voltammetry at 10 to 50 mV/s, a second cycle, and a sweep at 1 V/s."""
    array = stores(bench)
    curves = {rate: _voltammogram(array, rate) for rate in _RATES}
    volts, current = curves[_RATES[-1]]
    again = _voltammogram(array, _RATES[-1])[1]
    half = volts.size // 2
    up, down = _peak(volts[:half], current[:half]), _peak(volts[half:], current[half:])
    seconds = _STEP / _RATES[-1]
    stored, returned = float(current[:half].sum()) * seconds, -float(current[half:].sum()) * seconds
    flat = abs(volts[:half] - 1.0) < 0.1
    base = float(current[:half][flat].mean())
    fast = _voltammogram(stores(bench), 1.0)
    fast_peak = _peak(fast[0][:half], fast[1][:half])
    figure_e = f"{_SEC} and Fig. 3e"
    rows = (
        Row("areal capacitance, charge of a sweep at 50 mV/s over the window", "mF/cm2", 4.1,
            stored / array.limits.v_max / AREA * 0.1, ten_percent(4.1), Kind.INPUT, _SEC),
        Row("a pair of redox peaks: each stands out from the current at 1 V by a fifth", "", True,
            up[1] > 1.2 * base and -down[1] > 1.2 * base, exact(), Kind.FITTED, figure_e),
        Row("peak of oxidation", "V", 2.5, up[0], ten_percent(2.5), Kind.INPUT,
            "seed 004, sec. 2.4 and Fig. 3e"),
        Row("peak of reduction", "V", 2.5, down[0], ten_percent(2.5), Kind.INPUT,
            "seed 004, sec. 2.4 and Fig. 3e"),
        Row("reversible: charge back over charge stored", "1", 1.0, returned / stored,
            ten_percent(1.0), Kind.PREDICTED, figure_e),
        Row("the next cycle is the same (10 % of the peak)", "", True,
            bool(np.abs(again - current).max() < 0.1 * up[1]), exact(), Kind.PREDICTED,
            f"{_SEC} and Fig. S2"),
        Row("peak current of Li+ in a sweep at 1 V/s", "uA", 1.8, fast_peak[1] * 1e6,
            ten_percent(1.8), Kind.FITTED, "seed 004, sec. 2.4 and Fig. 3g"),
        Row("its voltage", "V", 2.5, fast_peak[0], ten_percent(2.5), Kind.FITTED,
            "seed 004, sec. 2.4 and Fig. 3g"),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for (rate, (v, i)), colour in zip(curves.items(), SERIES, strict=False):
            left.plot(v, i * 1e9, color=colour, label=f"{rate * 1e3:.0f} mV/s")
        left.set(xlabel="voltage (V)", ylabel="mean current of a step (nA)")
        left.axvline(2.5, color=SEED, linestyle="--", linewidth=0.8, label="seed: 2.5 V")
        left.legend(loc="upper left")
        right.plot(fast[0], fast[1] * 1e6, color=OURS, label="1 V/s")
        right.plot(2.5, 1.8, "s", color=SEED, label="seed: 1.8 uA near 2.5 V")
        right.set(xlabel="voltage (V)", ylabel="current (uA)")
        right.legend(loc="upper left")
        for axes in (left, right):
            axes.set_ylim(top=1.3 * axes.get_ylim()[1])

    return Result(rows, plot, {DEVICE: {**STORE, **LOSS}})


# -- constant current -----------------------------------------------------------------


def _cycle(array: Array, amperes: float) -> tuple[Leg, Leg]:
    """Charge to the top of the window and discharge to 0 V, of one empty cell."""
    cell = np.arange(1)
    ohms = resistance(array, cell)
    charge = constant_current(array, cell, amperes, array.limits.v_max, ohms)
    return charge, constant_current(array, cell, -amperes, 0.0, ohms)


def galvanostatic(bench: Bench) -> Result:
    """Charge and discharge at currents from 5 nA to 1 uA."""
    cycles: dict[float, tuple[Leg, Leg]] = {}
    found: dict[float, float] = {}
    for amperes in _CURRENTS:
        array = stores(bench)
        cycles[amperes] = _cycle(array, amperes)
        found[amperes] = areal(array, cycles[amperes][1])

    def lowest(seed: int) -> float:
        array = stores(bench, 1, seed)
        return 0.1 * areal(array, _cycle(array, LOW)[1])

    capacitance, capacitance_spread = bench.over_seeds(lowest)
    charge, discharge = cycles[LOW]
    falling = np.array([found[amperes] for amperes in _CURRENTS])
    rows = (
        Row("areal capacitance at 5 nA", "mF/cm2", 4.1, capacitance, ten_percent(4.1),
            Kind.INPUT, _SEC, capacitance_spread),
        Row("coulombic efficiency at 5 nA", "1", 1.0, discharge.coulombs / charge.coulombs,
            ten_percent(1.0), Kind.PREDICTED, f"{_SEC}: reversible"),
        Row("the larger the current, the smaller the capacitance", "", True,
            bool((np.diff(falling) < 0).all()), exact(), Kind.PREDICTED, f"{_SEC} and Fig. S3b"),
        Row("gradually: none of the steps takes more than a tenth", "", True,
            bool((falling[1:] > 0.9 * falling[:-1]).all()), exact(), Kind.PREDICTED,
            f"{_SEC} and Fig. S3b"),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for n, amperes in enumerate((5e-9, 50e-9, 1e-6)):  # nearly the same curve
            up, down = cycles[amperes]
            whole = up.seconds[-1] + down.seconds[-1]
            times = np.concatenate((up.seconds, up.seconds[-1] + down.seconds)) / whole
            left.plot(times, np.concatenate((up.volts, down.volts)), color=SERIES[n],
                      linewidth=5.0 - 1.8 * n,
                      label=f"{amperes * 1e9:.0f} nA, {whole:.0f} s")  # fmt: skip
        left.set(xlabel="time over that of the cycle", ylabel="terminal voltage (V)")
        left.legend(loc="lower center")
        right.semilogx(np.array(_CURRENTS) * 1e9, falling * 0.1, "o-", color=OURS, label="ours")
        right.axhline(4.1, color=SEED, linestyle="--", label="seed: 4.1 mF/cm2")
        right.set(xlabel="current (nA)", ylabel="areal capacitance (mF/cm2)", ylim=(3.5, 4.3))
        right.legend(loc="lower left")

    return Result(rows, plot, {DEVICE: {**STORE, **LOSS}})


# -- energy and power -----------------------------------------------------------------


def _point(bench: Bench, amperes: float, seed: int | None = None) -> tuple[float, float, Leg]:
    """C V^2 / 2 [J/m2] and its mean power [W/m2] of a full cell's discharge, and the discharge."""
    array, cell = stores(bench, 1, seed), np.arange(1)
    ohms = resistance(array, cell)
    hold(array, cell, array.limits.v_max)
    leg = constant_current(array, cell, -amperes, 0.0, ohms)
    energy = 0.5 * leg.coulombs * array.limits.v_max / AREA
    return energy, energy / leg.seconds[-1], leg


def _at_power(bench: Bench, seed: int) -> tuple[float, float, float]:
    """Current [A], energy [J/m2] and integral of V I dt [J/m2] at the power of the source."""
    wanted = _POWER / _UW_CM2
    amperes = LOW
    for _ in range(2):  # power is proportional to the current, all but a little
        amperes *= wanted / _point(bench, amperes, seed)[1]
    energy, _, leg = _point(bench, amperes, seed)
    return amperes, energy, leg.joules / AREA


def _falls(energy: FloatArray) -> bool:
    """Whether each value is below the one before it, and the last one clearly below the first."""
    return bool((np.diff(energy) < 0).all() and energy[-1] < 0.99 * energy[0])


def ragone(bench: Bench) -> Result:
    """Energy against power; the point of the source, at the current that gives its power."""
    points = np.array([_at_power(bench, seed) for seed in bench.seeds])
    energy, energy_spread = bench.summarise(points[:, 1] * _UWH_CM2)
    integral, integral_spread = bench.summarise(points[:, 2] * _UWH_CM2)
    amperes = np.array((1e-9, 2e-9, *_CURRENTS, 2e-6))
    curve = np.array([_point(bench, one)[:2] for one in amperes])
    joules, watts = curve.T * np.array([[_UWH_CM2], [_UW_CM2]])
    rows = (
        Row("energy C V^2 / 2 at 27.9 uW/cm2", "uWh/cm2", _ENERGY, energy, ten_percent(_ENERGY),
            Kind.FITTED, _SEC, energy_spread),
        Row("the same as the integral of V I dt", "uWh/cm2", _ENERGY, integral,
            ten_percent(_ENERGY), Kind.FITTED, _SEC, integral_spread),
        Row("beyond ten times that power, energy falls with power, by a percent or more", "", True,
            _falls(joules[watts > 10 * _POWER]), exact(), Kind.PREDICTED,
            f"{_SEC} and Fig. S3 b, c"),
    )  # fmt: skip

    def plot(figure: Figure) -> None:
        axes = figure.subplots()
        axes.semilogx(watts, joules, "o-", color=OURS, label="ours, 1 nA to 2 uA")
        axes.semilogx(_POWER, _ENERGY, "s", color=SEED, label="seed: 7.0 uWh/cm2 at 27.9 uW/cm2")
        axes.annotate(f"ours at that power: {points[0, 0] * 1e9:.2f} nA", (_POWER, energy),
                      xytext=(0, -28), textcoords="offset points", ha="center")  # fmt: skip
        axes.set(xlabel="mean power (uW/cm2)", ylabel="energy (uWh/cm2)", ylim=(0, 9))
        axes.legend(loc="lower left")

    return Result(rows, plot, {DEVICE: {**STORE, **LOSS}})


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("004/cv", "Cyclic voltammograms", "Fig. 3e, 3g inset", voltammogram),
    Definition("004/gcd", "Charge and discharge", "Fig. S3 a, b", galvanostatic),
    Definition("004/ragone", "Energy against power", "Fig. S3c", ragone),
)
