"""Seed 002, the non-volatile mode at 1 mA: current-voltage curves, conduction, activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..devices.laws import BOLTZMANN_EV
from ..figure import FOURTH, OURS, QUIET, SEED, THIRD
from ..numerics import FloatArray
from .bench import Bench
from .influence import BRANCH, PULSED, READ, SCALE, SPREAD, THRESHOLD, influence
from .measure import staircase
from .record import Definition, Kind, Result, Row
from .s002_materials import (
    FILM,
    I_NONVOLATILE,
    I_VOLATILE,
    MATERIALS,
    OGB,
    REST_S,
    VOLATILE,
    Material,
    reset_cells,
    set_cells,
)
from .tolerance import exact, order_of_magnitude, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTE_2 = "seed 002, Suppl. Note 2"
_CELLS = np.arange(64)
_STEP_V, _STEP_S = 0.025, 0.1  # of a sweep; not given
_SWEEP_V = 1.0  # of a volatile one
_READ_V = 0.1
_ABRUPT = 10.0  # a current that grows by this factor within one step jumps
_STAYS = 0.5  # a conductance that is this much of what it was is kept
_ON_OFF: Final = {OGB.device: "Suppl. Table 2", FILM.device: "Suppl. Note 7"}
"""Where the ON/OFF of 1e3 at 1 mA is reported; for the DDAB-capped cell it is only in a figure."""


_AT: Final = {"read.v_read": "the voltage at which the HRS has its nominal conductance"}


# -- current-voltage curves -----------------------------------------------------------


@dataclass(frozen=True)
class _Loop:
    """Sweeps 0 -> + -> 0 and 0 -> - -> 0 of the same cells, currents (cells, n) [A].

    ``kept`` and ``again`` are conductances after a wait at 0 V, and after a second
    sweep to +, over that at the end of the first sweep; ``erased`` after the one to -.
    """

    up: FloatArray
    up_current: FloatArray
    down: FloatArray
    down_current: FloatArray
    kept: float
    again: float
    erased: float

    @property
    def on_off(self) -> float:
        """Median conductance on the way back over that on the way out, at 0.1 V."""
        at = int(np.argmin(abs(self.up - _READ_V)))
        return float(np.median(self.up_current[:, -1 - at]) / np.median(self.up_current[:, at]))

    @property
    def v_set(self) -> float:
        half = self.up.size // 2 + 1
        return float(np.median(_jumps_at(self.up[:half], self.up_current[:, :half])))

    @property
    def v_reset(self) -> float:
        half = self.down.size // 2 + 1
        return float(np.median(_falls_at(self.down[:half], self.down_current[:, :half])))


def _growth(current: FloatArray) -> FloatArray:
    """Growth of the current from each step above 0 V to the next."""
    driven = np.abs(current[:, 1:])
    return driven[:, 1:] / driven[:, :-1]


def _jumps_at(volts: FloatArray, current: FloatArray) -> FloatArray:
    """The voltage [V] of the step in which the current of each cell grows most."""
    return volts[2:][np.argmax(_growth(current), axis=-1)]


def _falls_at(volts: FloatArray, current: FloatArray) -> FloatArray:
    """The voltage [V] of the first step in which it falls; infinite if there is none."""
    falls = _growth(current) < 1.0
    return np.where(falls.any(axis=-1), volts[2:][np.argmax(falls, axis=-1)], -np.inf)


def _jump(current: FloatArray) -> float:
    """The largest growth on the way out, of the cell with the smallest one."""
    way_out = current[:, : current.shape[1] // 2 + 1]
    return float(_growth(way_out).max(axis=-1).min())


def _nonvolatile_loop(bench: Bench, material: Material, seed: int) -> _Loop:
    array = material.nonvolatile(bench, _CELLS.size, seed)
    limits = array.limits
    up, down = staircase(limits.v_max, _STEP_V), staircase(limits.v_min, _STEP_V)
    up_current = array.sweep(_CELLS, up, _STEP_S, I_NONVOLATILE)
    on = array.read(_CELLS)
    array.wait(REST_S)
    kept = array.read(_CELLS) / on
    array.sweep(_CELLS, up, _STEP_S, I_NONVOLATILE)
    again = array.read(_CELLS) / on
    down_current = array.sweep(_CELLS, down, _STEP_S, None)
    erased = array.read(_CELLS) / on
    return _Loop(
        up, up_current, down, down_current,
        float(kept.min()), float(again.min()), float(erased.max()),
    )  # fmt: skip


def _volatile_loop(bench: Bench, material: Material) -> _Loop:
    array, up = material.volatile(bench, _CELLS.size), staircase(_SWEEP_V, _STEP_V)
    up_current = array.sweep(_CELLS, up, _STEP_S, I_VOLATILE)
    array.wait(REST_S)
    at = int(np.argmin(abs(up - _READ_V)))
    kept = array.read(_CELLS) / (up_current[:, at] / up[at])  # over OFF, on the way out
    down_current = array.sweep(_CELLS, -up, _STEP_S, None)
    again = erased = 1.0
    return _Loop(up, up_current, -up, down_current, float(kept.max()), again, erased)


def bipolar(bench: Bench) -> Result:
    """Sweeps at 1 mA, next to those at 1 uA, of all three materials."""
    loops = {
        material.device: [_nonvolatile_loop(bench, material, seed) for seed in bench.seeds]
        for material in MATERIALS
    }
    volatile = {material.device: _volatile_loop(bench, material) for material in MATERIALS}
    rows: list[Row] = []
    for material in MATERIALS:
        name, found, short = material.label, loops[material.device], volatile[material.device]
        if material.device in _ON_OFF:
            ratio, spread = bench.summarise([loop.on_off for loop in found])
            rows.append(
                Row(f"{name}: ON/OFF at 0.1 V, I_cc = 1 mA", "1", 1e3, ratio, order_of_magnitude(),
                    Kind.INPUT, f"seed 002, {_ON_OFF[material.device]}", spread)
            )  # fmt: skip
        limited = max(float(loop.up_current.max()) for loop in found)
        rows += [
            Row(f"{name}: largest current, 1 mA", "A", I_NONVOLATILE, limited, exact(),
                Kind.INPUT, _NOTE_2),
            Row(f"{name}: largest current, 1 uA", "A", I_VOLATILE, float(short.up_current.max()),
                exact(), Kind.INPUT, _NOTE_2),
            _yes(f"{name}: abrupt SET at 1 mA and at 1 uA (x {_ABRUPT:g} within one step)",
                 min(_jump(loop.up_current) for loop in (*found, short)) >= _ABRUPT),
            _yes(f"{name}: the LRS at 1 mA stays at 0 V, that at 1 uA does not",
                 min(loop.kept for loop in found) > _STAYS and short.kept < 1.0 / _STAYS),
            _yes(f"{name}: the opposite polarity erases, the same one does not",
                 min(loop.again for loop in found) > _STAYS
                 and max(loop.erased for loop in found) < _STAYS),
        ]  # fmt: skip
    for event in ("SET", "RESET"):
        ratios = [
            film.v_set / ogb.v_set if event == "SET" else film.v_reset / ogb.v_reset
            for film, ogb in zip(loops[FILM.device], loops[OGB.device], strict=True)
        ]
        ours, spread = bench.summarise(ratios)
        rows.append(
            Row(f"{event} voltage, thin film over OGB-capped: similar", "1", 1.0, ours,
                ten_percent(1.0), Kind.INPUT, "seed 002, Suppl. Note 7", spread)
        )  # fmt: skip
    first = {name: found[0] for name, found in loops.items()}
    return Result(
        tuple(rows),
        lambda figure: _plot_loops(figure, first, volatile),
        {m.device: _influences(bench, m) for m in MATERIALS},
    )


def _yes(quantity: str, ours: bool, place: str = _NOTE_2) -> Row:
    return Row(quantity, "", True, ours, exact(), Kind.INPUT, place)


def _influences(bench: Bench, material: Material) -> dict[str, str]:
    """What the parameters of both modes change in a sweep."""
    device = bench.device(material.device)
    groups = (PULSED, READ, SCALE, SPREAD, THRESHOLD, BRANCH, _AT)
    return {
        **influence(device, *groups, mode=material.mode),
        **influence(device, VOLATILE, mode="volatile"),
    }


def _plot_loops(figure: Figure, loops: dict[str, _Loop], volatile: dict[str, _Loop]) -> None:
    panels = figure.subplots(1, len(MATERIALS), sharey=True)
    for axes, material in zip(panels, MATERIALS, strict=True):
        for sweeps, colour in ((loops[material.device], OURS), (volatile[material.device], THIRD)):
            for volts, current in (
                (sweeps.up, sweeps.up_current),
                (sweeps.down, sweeps.down_current),
            ):
                driven = volts != 0
                drawn = np.abs(current[:8, driven]).T
                axes.semilogy(volts[driven], drawn, color=colour, alpha=0.4, linewidth=0.8)
        for limit in (I_NONVOLATILE, I_VOLATILE):
            axes.axhline(limit, color=SEED, linestyle="--", linewidth=1.0)
        axes.set(title=material.label, xlabel="voltage [V]", ylim=(1e-11, 1e-1))
    panels[0].set_ylabel("magnitude of the current [A]")
    for label, colour, style in (
        ("non-volatile, I_cc = 1 mA", OURS, "-"),
        ("volatile, I_cc = 1 uA", THIRD, "-"),
        ("seed: I_cc", SEED, "--"),
    ):
        panels[0].plot([], [], color=colour, linestyle=style, label=label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


# -- conduction -----------------------------------------------------------------------

_LRS_V = np.geomspace(0.01, 0.2, 15)
_HRS_V = np.geomspace(0.01, 0.65, 40)
_ARRHENIUS_V = np.linspace(0.01, 0.1, 10)
_KELVIN = np.array([278.15, 293.15, 308.15, 323.15, 338.15, 353.15, 368.15])
_ACTIVATION = 0.208  # eV


def _slopes(volts: FloatArray, current: FloatArray) -> FloatArray:
    """Local slope on logarithmic axes of each cell's curve, shape of ``current``."""
    return np.gradient(np.log(current), np.log(volts), axis=-1)


def _resistances(bench: Bench, seed: int) -> FloatArray:
    """Median HRS resistance [ohm] of the OGB cells at each temperature, from 0.01 to 0.1 V."""
    array = OGB.nonvolatile(bench, _CELLS.size, seed)
    found = []
    for kelvin in _KELVIN:
        array.set_temperature(float(kelvin))
        current = array.sweep(_CELLS, _ARRHENIUS_V, _STEP_S, I_NONVOLATILE)
        found.append(float(np.median(_ARRHENIUS_V / current)))
    return np.array(found)


def _energy(resistance: FloatArray) -> float:
    """Ea [eV] of ln R = ln R0 + Ea / kT."""
    inverse = 1.0 / (BOLTZMANN_EV * _KELVIN)
    return float(np.polynomial.Polynomial.fit(inverse, np.log(resistance), 1).convert().coef[1])


def conduction(bench: Bench) -> Result:
    """Slopes of both states on logarithmic axes, and the activation energy of the HRS."""
    rows: list[Row] = []
    curves: dict[str, tuple[FloatArray, FloatArray]] = {}
    for material in MATERIALS:
        array = material.nonvolatile(bench, _CELLS.size)
        reset_cells(array, _CELLS)
        hrs = array.sweep(_CELLS, _HRS_V, _STEP_S, I_NONVOLATILE)
        set_cells(array, _CELLS)
        lrs = array.sweep(_CELLS, _LRS_V, _STEP_S, I_NONVOLATILE)
        slope = np.median(_slopes(_HRS_V, hrs), axis=0)
        rows += [
            Row(f"{material.label}: slope of the LRS on logarithmic axes", "1", 1.0,
                float(np.median(_slopes(_LRS_V, lrs))), ten_percent(1.0), Kind.INPUT,
                f"{_NOTE_2}, Fig. 18a"),
            _yes(f"{material.label}: the HRS has several slopes (they differ by more than 0.5)",
                 bool(slope.max() - slope.min() > 0.5), f"{_NOTE_2}, Fig. 18b"),
            _yes(f"{material.label}: the steepest of them is above 2 (trap-controlled)",
                 bool(slope.max() > 2.0), f"{_NOTE_2}, Fig. 18b"),
        ]  # fmt: skip
        curves[material.label] = np.median(lrs, axis=0), np.median(hrs, axis=0)
    resistances = [_resistances(bench, seed) for seed in bench.seeds]
    energy, spread = bench.summarise([_energy(found) for found in resistances])
    rows += [
        Row("OGB-capped: activation energy of the HRS, 0.01 to 0.1 V", "eV", _ACTIVATION, energy,
            ten_percent(_ACTIVATION), Kind.INPUT, f"{_NOTE_2}, Fig. 18c", spread),
        _yes("OGB-capped: the HRS falls as it gets warmer (assumed: the printed sign, "
             "R = R0 exp(-Ea/kT), makes it rise)",
             bool((np.diff(resistances[0]) < 0).all()), f"{_NOTE_2}, Fig. 18c"),
    ]  # fmt: skip
    influences = {}
    for material in MATERIALS:
        device = bench.device(material.device)
        influences[material.device] = influence(
            device, PULSED, SCALE, SPREAD, _SLOPES, mode=material.mode
        )
    return Result(
        tuple(rows), lambda figure: _plot_conduction(figure, curves, resistances[0]), influences
    )


_SLOPES: Final = {
    "conduction": "the slopes of the HRS",
    **_AT,
    "temperature": "temperatures outside are refused",
}


def _plot_conduction(
    figure: Figure, curves: dict[str, tuple[FloatArray, FloatArray]], resistance: FloatArray
) -> None:
    left, middle, right = figure.subplots(1, 3)
    for (label, (lrs, hrs)), colour, style in zip(
        curves.items(), (OURS, THIRD, FOURTH), ("-", "--", ":"), strict=True
    ):
        left.loglog(_LRS_V, lrs, style, color=colour, label=label)
        left.loglog(_HRS_V, hrs, style, color=colour)
        middle.semilogx(_LRS_V, _slopes(_LRS_V, lrs), style, color=colour)
        middle.semilogx(_HRS_V, _slopes(_HRS_V, hrs), style, color=colour)
    left.text(0.02, 2.5e-4, "LRS", color=QUIET)
    left.text(0.02, 1.2e-8, "HRS", color=QUIET)
    left.set(xlabel="voltage [V]", ylabel="current [A]", ylim=(5e-9, 0.5))
    left.legend(loc="upper left")
    middle.axhline(1.0, color=SEED, linestyle="--", linewidth=1.0, label="seed: LRS, slope 1")
    middle.axhline(2.0, color=QUIET, linewidth=0.8, label="2: without traps")
    middle.text(0.25, 2.6, "HRS", color=QUIET, ha="right")
    middle.set(xlabel="voltage [V]", ylabel="slope on logarithmic axes", ylim=(0.5, 4.0))
    middle.legend(loc="upper left")
    inverse = 1.0 / (BOLTZMANN_EV * _KELVIN)
    right.plot(inverse, np.log(resistance), "o", color=OURS, label="model, 0.01 to 0.1 V")
    right.plot(
        inverse, np.log(resistance[0]) + _ACTIVATION * (inverse - inverse[0]),
        color=SEED, linewidth=1.0, label="seed: slope 0.208 eV",
    )  # fmt: skip
    right.set(
        title="HRS, OGB-capped", xlabel="1 / kT [1/eV]", ylabel="ln (R / ohm)", ylim=(10.5, None)
    )
    right.legend(loc="lower right", handlelength=1.0)


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("002/bipolar", "Current-voltage curves at 1 mA and 1 uA", "Fig. 3, 7, 32", bipolar),
    Definition("002/conduction", "Conduction and activation", "Fig. 18", conduction),
)
