"""Seed 004, non-volatile digital mode of the all-in-one device: bipolar switching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..figure import OURS, QUIET, SEED, THIRD
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .measure import probability, pulse, staircase, switching_voltage
from .record import Definition, Kind, Result, Row
from .s004_digital import (
    DEVICE,
    I_CC,
    PATHS,
    STEP_S,
    UNIFORM,
    closely,
    formed,
    variation,
)
from .tolerance import exact, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEVICES = 64
_CYCLES = 100
_PARTS = 15  # of the switching voltages, which are only drawn
_READS = 16  # averaged, so that read noise does not hide the state
_ON = 3.0  # times the conductance of an OFF cell
_KELVIN = np.linspace(300.0, 360.0, 7)  # the range of Fig. S5 is not in the text
_SECONDS = np.array([0.0, *np.logspace(0, 5, 11)])
_STATES = ("LRS", "HRS")


@dataclass(frozen=True)
class _Loops:
    """Bipolar sweeps: staircase, currents (cycles, devices, n), LRS and HRS of each [ohm]."""

    volts: FloatArray
    current: FloatArray
    resistance: tuple[FloatArray, FloatArray]


def _loops(array: Array, cells: IntArray) -> _Loops:
    """100 sweeps to both ends; a state is read at the last step of the way back to 0 V.

    A first, coarse sweep finds where to look closely.
    """
    limits, i_cc, ways = array.limits, I_CC["nonvolatile"], []
    for stop in (limits.v_max, limits.v_min):
        rough = staircase(stop, 0.5)
        there = rough.size // 2 + 1
        found = switching_voltage(rough[:there], array.sweep(cells, rough, STEP_S, i_cc)[:, :there])
        ways.append(closely(stop, float(np.median(found)), parts=_PARTS))
    cycles = [[array.sweep(cells, way, STEP_S, i_cc) for way in ways] for _ in range(_CYCLES)]
    currents = [np.stack(one) for one in zip(*cycles, strict=True)]
    lrs, hrs = (way[-2] / current[..., -2] for way, current in zip(ways, currents, strict=True))
    return _Loops(np.concatenate(ways), np.concatenate(currents, axis=-1), (lrs, hrs))


def _bipolar(array: Array, cells: IntArray) -> bool:
    """Whether the positive voltage alone switches ON, and the negative one alone OFF."""
    limits, off = array.limits, array.read(cells)
    seen = []
    for volts in (limits.v_min, limits.v_max, limits.v_max, limits.v_min):
        pulse(array, cells, volts)
        seen.append(array.read(cells) > _ON * off)
    expected = np.array([[False], [True], [True], [False]])
    return bool((np.array(seen) == expected).all())


def _both_states(bench: Bench, seed: int) -> tuple[Array, IntArray]:
    """Cells of the uniform path, the first half of them in the LRS, the others in the HRS."""
    array = formed(bench, "nonvolatile", UNIFORM, 2 * _DEVICES, seed)
    cells = np.arange(2 * _DEVICES)
    pulse(array, cells, array.limits.v_max)
    pulse(array, cells[_DEVICES:], array.limits.v_min)
    return array, cells


def _resistances(array: Array, cells: IntArray) -> FloatArray:
    """Median LRS and median HRS [ohm] of cells of :func:`_both_states`."""
    g = np.mean([array.read(cells) for _ in range(_READS)], axis=0)
    return np.median(1.0 / g.reshape(2, -1), axis=1)


def _when_hot(bench: Bench, seed: int) -> FloatArray:
    """Resistances [ohm], shape (temperatures, 2)."""
    array, cells = _both_states(bench, seed)
    found = []
    for kelvin in _KELVIN:
        array.set_temperature(float(kelvin))
        found.append(_resistances(array, cells))
    return np.array(found)


def _kept(bench: Bench, seed: int) -> FloatArray:
    """Resistances [ohm] after waiting, shape (times, 2)."""
    array, cells = _both_states(bench, seed)
    found = []
    for seconds in np.diff(_SECONDS, prepend=0.0):
        array.wait(float(seconds))
        found.append(_resistances(array, cells))
    return np.array(found)


def _from_a_line(resistance: FloatArray) -> float:
    """Largest distance from the straight line fitted, as a part of the whole change."""
    line = np.polynomial.Polynomial.fit(_KELVIN, resistance, 1)(_KELVIN)
    return float(abs(resistance - line).max() / abs(resistance[-1] - resistance[0]))


def nonvolatile(bench: Bench) -> Result:
    """100 bipolar sweeps of devices of both paths; the states when hot, and after a day."""
    cells = np.arange(_DEVICES)
    loops = {
        path.name: [
            _loops(formed(bench, "nonvolatile", path, cells.size, seed), cells)
            for seed in bench.seeds
        ]
        for path in PATHS
    }
    hot = np.array([_when_hot(bench, seed) for seed in bench.seeds])
    kept = np.array([_kept(bench, seed) for seed in bench.seeds])
    place = "seed 004, sec. 2.5"
    rows = [
        Row("a positive voltage alone sets, a negative one alone resets", "", True,
            _bipolar(formed(bench, "nonvolatile", UNIFORM, cells.size), cells), exact(),
            Kind.INPUT, f"{place} and Fig. 3k"),
    ]  # fmt: skip
    for path in PATHS:
        for state, value in ((0, path.lrs), (1, path.hrs)):
            ours, interval = bench.summarise(
                [variation(one.resistance[state]) for one in loops[path.name]]
            )
            rows.append(
                Row(f"variation of the {_STATES[state]}, {path.name}", "1", value, ours,
                    ten_percent(value), Kind.INPUT, path.nonvolatile, interval)
            )  # fmt: skip
    for state, name in enumerate(_STATES):
        falls = bool((np.diff(hot[..., state], axis=1) < 0).all())
        straight = max(_from_a_line(one) for one in hot[..., state]) <= 0.1
        lasting, interval = bench.summarise(kept[:, -1, state] / kept[:, 0, state])
        rows += [
            Row(f"{name} falls with temperature, 300 to 360 K", "", True, falls, exact(),
                Kind.FITTED, f"{place} and Fig. S5"),
            Row(f"{name} falls along a line (10 % of the fall)", "", True, straight, exact(),
                Kind.FITTED, f"{place} and Fig. S5"),
            Row(f"{name} after 1e5 s over that at first", "1", 1.0, lasting, ten_percent(1.0),
                Kind.INPUT, f"{place} and Fig. 3l", interval),
        ]  # fmt: skip
    return Result(
        tuple(rows),
        lambda figure: _plot_nonvolatile(figure, loops, hot[0], kept[0]),
        {DEVICE: INFLUENCES | _HOT},
    )


def _plot_nonvolatile(
    figure: Figure, loops: dict[str, list[_Loops]], hot: FloatArray, kept: FloatArray
) -> None:
    (curves, spreads), (heat, time) = figure.subplots(2, 2)
    one = loops[UNIFORM.name][0]
    driven = one.volts != 0
    curves.semilogy(one.volts[driven], abs(one.current[:, 0, driven]).T, color=OURS, alpha=0.15,
                    linewidth=0.7)  # fmt: skip
    curves.set(xlabel="voltage [V]", ylabel="|current| [A]",
               title=f"{len(one.current)} cycles, {UNIFORM.name}")  # fmt: skip
    for path in PATHS:
        for values, style in zip(loops[path.name][0].resistance, ("-", ":"), strict=True):
            spreads.semilogx(*probability(values[:, 0]), style, color=path.colour)
        spreads.plot([], [], color=path.colour, label=path.name)
    spreads.plot([], [], color=QUIET, label="LRS")
    spreads.plot([], [], ":", color=QUIET, label="HRS")
    spreads.set(xlabel="resistance [ohm]", ylabel="cumulative [%]", ylim=(0, 100),
                title="one device of each path")  # fmt: skip
    spreads.legend(loc="center")
    for state, (name, colour) in enumerate(zip(_STATES, (OURS, THIRD), strict=True)):
        part = hot[:, state] / hot[0, state]
        line = np.polynomial.Polynomial.fit(_KELVIN, part, 1)
        heat.plot(_KELVIN, line(_KELVIN), color=colour, linewidth=1.0)
        heat.plot(_KELVIN, part, "os"[state], color=colour, fillstyle="none", label=name)
        time.loglog(_SECONDS[1:], kept[1:, state], "os"[state] + "-", color=colour, markersize=4,
                    label=name)  # fmt: skip
    heat.set(xlabel="temperature [K]", ylabel="R / R(300 K)", title="lines: straight fits")
    heat.legend()
    time.axvline(1e5, color=SEED, linestyle="--", linewidth=1.0, label="seed: > 1e5 s")
    time.set(xlabel="time [s]", ylabel="resistance [ohm]", title=f"retention, {UNIFORM.name}")
    time.legend(loc="center left")


_PULSES = "whether sweeps and pulses switch"
INFLUENCES = {
    f"modes.{mode}.{name}": text
    for mode in ("nonvolatile_uniform", "nonvolatile_direct")
    for name, text in (
        ("lrs.conductance", "the absolute scale of the LRS"),
        ("hrs.conductance", "the absolute scale of the HRS"),
        ("lrs.device_spread", "spread of the LRS from device to device"),
        ("hrs.device_spread", "spread of the HRS from device to device"),
        ("set", _PULSES),
        ("reset", _PULSES),
        ("compliance.i_cc_max", _PULSES),
        ("conduction", "the high-resistance branch of a sweep"),
        ("read.noise", "scatter of the readings, averaged"),
    )
}
_HOT = {
    f"modes.nonvolatile_uniform.{name}": text
    for name, text in (
        ("lrs.activation", "slope of the LRS with temperature, and its curvature"),
        ("hrs.activation", "slope of the HRS with temperature, and its curvature"),
        ("temperature", "other temperatures are refused"),
    )
}

EXPERIMENTS: tuple[Definition, ...] = (
    Definition(
        "004/nonvolatile", "Non-volatile digital mode", "Fig. 3k, 3l, S5, S6, S15", nonvolatile
    ),
)
