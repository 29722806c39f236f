"""Seed 001: the vanadoborate memories VB1, VB2 (write once) and VB3 (FTO / VB / Ag)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..devices import WriteOnceError, changed
from ..figure import OURS, SEED, THIRD
from ..numerics import FloatArray
from .bench import Bench
from .influence import BRANCH, HEAT, PULSED, READ, SCALE, SPREAD, THRESHOLD, influence
from .measure import (
    cycle_resistances,
    durability,
    probability,
    pulse,
    staircase,
    switching_voltage,
    write,
)
from .record import Definition, Kind, Result, Row
from .tolerance import at_least, exact, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLE_S11 = "seed 001, Table S11"
_SAMPLES = np.arange(10)
_CELLS = np.arange(256)
_STEPS, _STEP_S = 130, 0.1  # of a staircase, one way
_ZERO_C = 273.15


@dataclass(frozen=True)
class _Printed:
    """A row of Table S11; VB1 and VB2 have no RESET."""

    device: str
    v_set: float
    v_reset: float | None
    cycles: int
    on_off: float
    figure: str

    @property
    def label(self) -> str:
        return self.device.upper()


_VB1 = _Printed("vb1", 0.82, None, 120, 6.67e3, "Fig. S20a")
_VB2 = _Printed("vb2", 0.79, None, 100, 1.07e4, "Fig. S21a")
_VB3 = _Printed("vb3", 1.07, -6.94, 130, 2.62e4, "Table S11")
_ALL = (_VB1, _VB2, _VB3)


# -- Table S11 ------------------------------------------------------------------------


def table(bench: Bench) -> Result:
    """V_SET and V_RESET of ten samples by sweeps, ON/OFF of many cells by single reads."""
    rows, curves, influences = [], [], {}
    for printed in _ALL:
        voltages = [_sweeps(bench, printed, seed) for seed in bench.seeds]
        for column, (name, value) in enumerate(
            (("V_SET", printed.v_set), ("V_RESET", printed.v_reset))
        ):
            if value is None:
                continue
            found, spread = bench.summarise([item.voltages[column] for item in voltages])
            rows.append(
                Row(f"{printed.label} {name}, median of 10 samples", "V", value, found,
                    ten_percent(value), Kind.INPUT, _TABLE_S11, spread)
            )  # fmt: skip
        ratio, spread = bench.over_seeds(lambda seed, printed=printed: _ratio(bench, printed, seed))
        rows.append(
            Row(f"{printed.label} ON/OFF", "1", printed.on_off, ratio,
                ten_percent(printed.on_off), Kind.INPUT, _TABLE_S11, spread)
        )  # fmt: skip
        curves.append((printed, voltages[0]))
        influences[printed.device] = influence(
            bench.device(printed.device), PULSED, READ, SCALE, SPREAD, THRESHOLD, BRANCH
        )
    return Result(tuple(rows), lambda figure: _plot_sweeps(figure, curves), influences)


@dataclass(frozen=True)
class _Sweeps:
    """Sweeps of ten samples: SET, then RESET where there is one."""

    volts: list[FloatArray]
    current: list[FloatArray]
    voltages: tuple[float, ...]


def _sweeps(bench: Bench, printed: _Printed, seed: int) -> _Sweeps:
    array = bench.array(printed.device, 1, _SAMPLES.size, seed=seed)
    limits = array.limits
    volts, current, found = [], [], []
    for stop, i_cc in ((limits.v_max, limits.i_cc_max), (limits.v_min, None)):
        if stop == 0.0:
            continue
        volts.append(staircase(stop, abs(stop) / _STEPS))
        current.append(array.sweep(_SAMPLES, volts[-1], _STEP_S, i_cc))
        half = volts[-1].size // 2 + 1
        switched = switching_voltage(volts[-1][:half], current[-1][:, :half])
        found.append(float(np.median(switched)))
    return _Sweeps(volts, current, tuple(found))


def _ratio(bench: Bench, printed: _Printed, seed: int) -> float:
    """Median LRS conductance over median HRS conductance of 256 cells."""
    array = bench.array(printed.device, 16, 16, seed=seed)
    if printed.v_reset is not None:
        lrs, hrs = cycle_resistances(array, _CELLS, 10)
        return float(np.median(hrs) / np.median(lrs))
    made = array.read(_CELLS)
    write(array, _CELLS)
    return float(np.median(array.read(_CELLS)) / np.median(made))


def _plot_sweeps(figure: Figure, curves: list[tuple[_Printed, _Sweeps]]) -> None:
    panels = figure.subplots(1, len(curves), sharey=True, width_ratios=(1, 1, 2))
    for axes, (printed, sweeps) in zip(panels, curves, strict=True):
        for volts, current in zip(sweeps.volts, sweeps.current, strict=True):
            driven = volts != 0
            axes.semilogy(
                volts[driven], np.abs(current[:, driven]).T, color=OURS, alpha=0.3, lw=0.8
            )
        for value in (printed.v_set, printed.v_reset):
            if value is not None:
                axes.axvline(value, color=SEED, linestyle="--", linewidth=1.0)
        axes.set(title=printed.label, xlabel="voltage [V]")
    panels[0].set_ylabel("current [A]")
    panels[-1].plot([], [], color=OURS, label="model, 10 samples")
    panels[-1].plot([], [], color=SEED, linestyle="--", linewidth=1.0, label="Table S11")
    panels[-1].legend(loc="lower left")


# -- endurance ------------------------------------------------------------------------


def endurance(bench: Bench) -> Result:
    """Cycles that VB3 takes; reads that VB1 and VB2 take, and their one write."""
    rows, series, influences = [], [], {}
    for printed in (_VB1, _VB2):
        array = bench.array(printed.device)
        off = np.array([1.0 / array.read(_CELLS[:1])[0] for _ in range(printed.cycles)])
        write(array, _CELLS[:1])
        on = np.array([1.0 / array.read(_CELLS[:1])[0] for _ in range(printed.cycles)])
        source = f"seed 001, {printed.figure}"
        rows += [
            Row(f"{printed.label}: both states read {printed.cycles} times, last over first",
                "1", 1.0, float((off[-1] / on[-1]) / (off[0] / on[0])), ten_percent(1.0),
                Kind.INPUT, source),
            Row(f"{printed.label}: a second write is refused, and changes nothing", "", True,
                _second_write_refused(array), exact(), Kind.INPUT, _TABLE_S11),
        ]  # fmt: skip
        series.append((printed, on, off))
        influences[printed.device] = influence(bench.device(printed.device), PULSED, READ)
    array = bench.array("vb3")
    on, off = durability(array, _CELLS[:1], 2 * _VB3.cycles)
    rows.append(
        Row("VB3: SET pulses until one is refused", "cycle", float(_VB3.cycles), float(on.size),
            exact(), Kind.INPUT, _TABLE_S11)
    )  # fmt: skip
    series.append((_VB3, on[:, 0], off[:, 0]))
    influences["vb3"] = influence(bench.device("vb3"), PULSED)
    return Result(tuple(rows), lambda figure: _plot_endurance(figure, series), influences)


def _second_write_refused(array: Array) -> bool:
    """Whether a write and an erase of a written cell are refused and leave its state."""
    before, volts = float(array.read(_CELLS[:1])[0]), array.limits.v_max
    for again in (volts, -volts):
        try:
            pulse(array, _CELLS[:1], again)
        except WriteOnceError:
            continue
        return False
    return abs(float(array.read(_CELLS[:1])[0]) / before - 1.0) < 0.1


def _plot_endurance(figure: Figure, series: list[tuple[_Printed, FloatArray, FloatArray]]) -> None:
    panels = figure.subplots(1, len(series), sharey=True)
    for axes, (printed, on, off) in zip(panels, series, strict=True):
        axes.semilogy(np.arange(1, off.size + 1), off, ".", color=THIRD, markersize=3, label="HRS")
        axes.semilogy(np.arange(1, on.size + 1), on, ".", color=OURS, markersize=3, label="LRS")
        axes.axvline(printed.cycles, color=SEED, linestyle="--", linewidth=1.0)
        kind = "reads" if printed.v_reset is None else "SET / RESET cycles"
        axes.set(title=f"{printed.label}, {printed.cycles} {kind}", xlabel=kind)
    panels[0].set_ylabel("resistance [ohm]")
    panels[0].legend(loc="center left")


# -- temperature ----------------------------------------------------------------------

_AT_CELSIUS: tuple[tuple[float, int, float | None], ...] = (
    # temperature [C], cycles (Fig. S30), ON/OFF (Table S11)
    (25.0, 130, 2.62e4),
    (60.0, 110, None),
    (100.0, 100, None),
    (150.0, 110, None),
    (270.0, 32, 1.55e3),
)


def temperature(bench: Bench) -> Result:
    """VB3 from 25 to 270 C: the window closes, the cycles grow fewer."""
    rows, median, band, lasted = [], [], [], []
    for celsius, cycles, on_off in _AT_CELSIUS:
        kelvin = celsius + _ZERO_C
        ratios = [_ratio_at(bench, kelvin, seed) for seed in bench.seeds]
        found, spread = bench.summarise(ratios)
        if on_off is not None:
            rows.append(
                Row(f"ON/OFF at {celsius:g} C", "1", on_off, found, ten_percent(on_off),
                    Kind.INPUT if celsius == 25.0 else Kind.FITTED, _TABLE_S11, spread)
            )  # fmt: skip
        array = bench.array("vb3")
        array.set_temperature(kelvin)
        served = durability(array, _CELLS[:1], 2 * _VB3.cycles)[0].size
        where = _TABLE_S11 if celsius == 25.0 else "seed 001, Fig. S30"
        rows.append(
            Row(f"SET pulses until one is refused, at {celsius:g} C", "cycle", float(cycles),
                float(served), exact(), Kind.INPUT, where)
        )  # fmt: skip
        median.append(found)
        lasted.append(served)
        band.append((spread.low, spread.high))
    influences = {"vb3": influence(bench.device("vb3"), PULSED, READ, SCALE, SPREAD, HEAT)}
    return Result(
        tuple(rows),
        lambda figure: _plot_temperature(figure, np.array(median), np.array(band), lasted),
        influences,
    )


def _ratio_at(bench: Bench, kelvin: float, seed: int) -> float:
    array = bench.array("vb3", 16, 16, seed=seed)
    array.set_temperature(kelvin)
    lrs, hrs = cycle_resistances(array, _CELLS, 10)
    return float(np.median(hrs) / np.median(lrs))


def _plot_temperature(
    figure: Figure, median: FloatArray, band: FloatArray, served: list[int]
) -> None:
    left, right = figure.subplots(1, 2)
    celsius = np.array([item[0] for item in _AT_CELSIUS])
    left.fill_between(celsius, band[:, 0], band[:, 1], color=OURS, alpha=0.2, linewidth=0)
    left.semilogy(celsius, median, "o-", color=OURS, label="model")
    known = [(item[0], item[2]) for item in _AT_CELSIUS if item[2] is not None]
    left.semilogy(*zip(*known, strict=True), "s", color=SEED, fillstyle="none", label="Table S11")
    left.set(xlabel="temperature [C]", ylabel="ON/OFF")
    left.legend()
    cycles = [item[1] for item in _AT_CELSIUS]
    right.bar(np.arange(celsius.size), served, color=OURS, width=0.6, label="model")
    printed = "Table S11, Fig. S30"
    right.plot(cycles, "s", color=SEED, fillstyle="none", label=printed)
    right.set_xticks(np.arange(celsius.size), [f"{value:g}" for value in celsius])
    right.set(xlabel="temperature [C]", ylabel="cycles served")
    right.legend()


# -- spread ---------------------------------------------------------------------------


def states(bench: Bench) -> Result:
    """Both states of ten VB3 samples over 100 cycles, and with every assumed spread doubled."""
    device = bench.device("vb3")
    doubled = changed(
        device,
        **{
            parameter.name: 2.0 * parameter.value
            for parameter in device.parameters
            if parameter.assumed
            and parameter.name.endswith(
                ("lrs.device_spread", "lrs.cycle_spread", "hrs.device_spread", "hrs.cycle_spread")
            )
        },
    )
    rows, drawn = [], []
    for label, used in (("as assumed", bench), ("doubled", Bench(bench.seeds, {"vb3": doubled}))):
        measured = [_samples(used, seed) for seed in bench.seeds]
        margins = [float(hrs.min() / lrs.max()) for lrs, hrs in measured]
        margin, spread = bench.summarise(margins)
        rows.append(
            Row(f"worst ON/OFF of 10 samples, 100 cycles, spread {label}", "1", None, margin,
                at_least(1.0), Kind.PREDICTED, "seed 001, Fig. S18c, S19a", spread)
        )  # fmt: skip
        drawn.append((label, *measured[0]))
    influences = {"vb3": influence(device, PULSED, READ, SCALE, SPREAD)}
    return Result(tuple(rows), lambda figure: _plot_states(figure, drawn), influences)


def _samples(bench: Bench, seed: int) -> tuple[FloatArray, FloatArray]:
    array = bench.array("vb3", 1, _SAMPLES.size, seed=seed)
    return cycle_resistances(array, _SAMPLES, 100)


def _plot_states(figure: Figure, drawn: list[tuple[str, FloatArray, FloatArray]]) -> None:
    axes = figure.subplots()
    for (label, lrs, hrs), style in zip(drawn, ("-", ":"), strict=True):
        for name, readings, colour in (("LRS", lrs, OURS), ("HRS", hrs, THIRD)):
            axes.semilogx(
                *probability(readings), style, color=colour, label=f"{name}, spread {label}"
            )
    axes.set(xlabel="resistance [ohm]", ylabel="cumulative probability [%]", ylim=(0, 100))
    axes.legend(loc="center")


EXPERIMENTS = (
    Definition("001/table", "Switching voltages and ON/OFF of VB1 to VB3", "Table S11", table),
    Definition("001/endurance", "Cycles and reads", "Table S11, Fig. S20a, S21a", endurance),
    Definition("001/temperature", "VB3 when hot", "Table S11, Fig. S30", temperature),
    Definition("001/states", "Distributions of the states of VB3", "Fig. S18c, S19a", states),
)
