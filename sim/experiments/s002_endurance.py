"""Seed 002: cycles that the three cells last in both modes, and heat at their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..array import Array
from ..devices import REFERENCE_K, EnduranceError, changed
from ..figure import FOURTH, OURS, SEED, THIRD
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .influence import PULSED, READ, SCALE, SPREAD, Group, influence
from .record import Definition, Kind, Result, Row
from .s002_materials import (
    DDAB,
    FILM,
    MATERIALS,
    OGB,
    REST_S,
    VOLATILE,
    Material,
    is_refused,
    leaves_alone,
    probe,
    reset_cells,
    set_cells,
    stimulate,
)
from .tolerance import exact, order_of_magnitude, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTE_2, _NOTE_6, _NOTE_7 = (f"seed 002, Suppl. Note {n}" for n in (2, 6, 7))
_CELLS = np.arange(8)
_MARKS = 60  # cycles at which both states are read, evenly on a logarithmic axis
_VOLATILE_CYCLES = 1000
"""Cycles that are really done in a mode that lasts 2e6 of them."""
_SCALE = 10_000
"""The volatile endurance is cut by this for a device that is cycled to its end."""
_KEPT = 100.0  # a volatile cell whose conductance is this many times that at rest stays ON


@dataclass(frozen=True)
class _Life:
    """Cells that were cycled until a pulse was refused.

    Attributes
    ----------
    sets, resets:
        Pulses that were done.
    cycles, on, off:
        Numbers of the cycles at which the states were read, (n,), and conductances
        after SET and after RESET [S], (n, cells). Where the last RESET was refused,
        ``off`` is one shorter.
    """

    sets: int
    resets: int
    cycles: IntArray
    on: FloatArray
    off: FloatArray

    @property
    def on_off(self) -> float:
        """Median conductance after SET over that after RESET."""
        return float(np.median(self.on) / np.median(self.off))


# -- non-volatile endurance -----------------------------------------------------------


def _cycle(array: Array, cells: IntArray, most: int) -> _Life:
    """SET and RESET at 1 mA until one is refused for wear, ``most`` cycles at most."""
    marks = set(np.unique(np.geomspace(1, most, _MARKS).astype(int)).tolist())
    sets, resets = 0, 0
    cycles: list[int] = []
    on: list[FloatArray] = []
    off: list[FloatArray] = []
    try:
        while sets < most:
            set_cells(array, cells)
            sets += 1
            if sets in marks:
                cycles.append(sets)
                on.append(array.read(cells))
            reset_cells(array, cells)
            resets += 1
            if sets in marks:
                off.append(array.read(cells))
    except EnduranceError:
        pass  # what the cells have done until then is the result
    return _Life(sets, resets, np.array(cycles), np.array(on), np.array(off))


def _worn_refuses(array: Array, cells: IntArray) -> bool:
    """Whether a worn cell refuses SET and RESET by name, and stays as it is."""

    def both_refused() -> None:
        for act in (reset_cells, set_cells):
            refused.append(is_refused(EnduranceError, lambda act=act: act(array, cells)))

    refused: list[bool] = []
    return leaves_alone(array, cells, both_refused) and all(refused)


# -- volatile endurance ---------------------------------------------------------------


def _volatile_cycle(array: Array, cells: IntArray, most: int) -> _Life:
    """Pulses of 1 V at 1 uA with rests, until one is refused or leaves the cells ON."""
    marks = set(np.unique(np.geomspace(1, most, _MARKS).astype(int)).tolist())
    rest, pulses = float(np.median(array.read(cells))), 0
    cycles: list[int] = []
    on: list[FloatArray] = []
    off: list[FloatArray] = []
    stays = False
    try:
        while pulses < most and not stays:
            stimulate(array, cells)
            pulses += 1
            after = array.read(cells)
            array.wait(REST_S)
            rested = array.read(cells)
            stays = bool((rested > _KEPT * rest).all())
            if pulses in marks or stays:
                cycles.append(pulses)
                on.append(after)
                off.append(rested)
    except EnduranceError:
        pass  # what the cells have done until then is the result
    return _Life(pulses, pulses, np.array(cycles), np.array(on), np.array(off))


def _scaled(bench: Bench, material: Material) -> tuple[int, bool]:
    """A device with a part of the volatile endurance, cycled to its end.

    Returns its cycles times that part, and whether a further stimulus is refused by
    name and changes nothing.
    """
    name = "modes.volatile.wear.endurance"
    device = bench.device(material.device)
    short = changed(device, **{name: max(1.0, round(device.number(name) / _SCALE))})
    array = material.volatile(Bench(bench.seeds, {material.device: short}), _CELLS.size)
    life, refused = _volatile_cycle(array, _CELLS, _VOLATILE_CYCLES), []

    def once_more() -> None:
        refused.append(is_refused(EnduranceError, lambda: stimulate(array, _CELLS)))

    return _SCALE * life.sets, leaves_alone(array, _CELLS, once_more) and all(refused)


# -- both -----------------------------------------------------------------------------

_LASTS: Final = {
    OGB.device: (5655, f"{_NOTE_2} and 6"),
    DDAB.device: (50, _NOTE_6),
    FILM.device: (1174, _NOTE_7),
}
"""Non-volatile cycles, and where they are reported."""
_VOLATILE_LASTS: Final = {OGB.device: 2e6, DDAB.device: 10.0, FILM.device: 2e6}
"""Volatile ones."""


def endurance(bench: Bench) -> Result:
    """Cycling at 1 mA to the end of all three cells, and at 1 uA."""
    rows: list[Row] = []
    lives, volatile = {}, {}
    for material in MATERIALS:
        name, (cycles, source) = material.label, _LASTS[material.device]
        array = material.nonvolatile(bench, _CELLS.size)
        life = lives[material.device] = _cycle(array, _CELLS, 2 * cycles)
        rows += [
            Row(f"{name}: SETs at 1 mA until a pulse is refused", "cycle", float(cycles),
                float(life.sets), exact(), Kind.INPUT, source),
            _yes(f"{name}: then SET and RESET are refused, and change nothing",
                 _worn_refuses(array, _CELLS), source),
        ]  # fmt: skip
        if material is DDAB:
            stuck = probe(array, _CELLS) > 0.5 * np.median(life.on)
            rows.append(
                _yes(f"{name}: it ends in the ON state, non-erasable",
                     bool(stuck.all()) and life.resets == life.sets - 1, _NOTE_6)
            )  # fmt: skip
        else:
            rows.append(
                Row(f"{name}: ON/OFF at 1 mA over all cycles, 8 cells", "1", 1e3, life.on_off,
                    order_of_magnitude(), Kind.INPUT,
                    "seed 002, Suppl. Table 2" if material is OGB else f"{_NOTE_7}, Fig. 32")
            )  # fmt: skip
        short = material.volatile(bench, _CELLS.size)
        found = volatile[material.device] = _volatile_cycle(short, _CELLS, _VOLATILE_CYCLES)
        if material is DDAB:
            rows.append(
                Row(f"{name}: cycles at 1 uA until it stays ON", "cycle",
                    _VOLATILE_LASTS[material.device], float(found.sets), exact(), Kind.INPUT,
                    _NOTE_6)
            )  # fmt: skip
        else:
            rows += _lasting(bench, material, found)
    influences = {}
    for material in MATERIALS:
        device = bench.device(material.device)
        at_1_ma = influence(device, PULSED, READ, SCALE, SPREAD, mode=material.mode)
        influences[material.device] = {**at_1_ma, **influence(device, VOLATILE, mode="volatile")}
    influences[DDAB.device]["modes.nonvolatile_1ua.lrs"] = "how far ON it stays after 1 uA"
    return Result(tuple(rows), lambda figure: _plot_endurance(figure, lives, volatile), influences)


def _yes(quantity: str, ours: bool, source: str) -> Row:
    return Row(quantity, "", True, ours, exact(), Kind.INPUT, source)


def _lasting(bench: Bench, material: Material, found: _Life) -> list[Row]:
    """Rows of a cell whose volatile mode lasts longer than it is cycled here."""
    limit = bench.device(material.device).mode("volatile").endurance(REFERENCE_K)
    ratio = np.median(found.on / found.off, axis=1)
    name, cycles = material.label, _VOLATILE_LASTS[material.device]
    source = _NOTE_6 if material is OGB else _NOTE_7
    taken, refused = _scaled(bench, material)
    return [
        Row(f"{name}: cycles at 1 uA that the entry has", "cycle", cycles, limit, exact(),
            Kind.INPUT, source),
        Row(f"{name}: those that a device with a {_SCALE}th of them takes, times {_SCALE}",
            "cycle", cycles, float(taken), exact(), Kind.INPUT, source),
        _yes(f"{name}: then a stimulus of that device is refused, and changes nothing", refused,
             source),
        _yes(f"{name}: {_VOLATILE_CYCLES} cycles at 1 uA leave the ON/OFF as it was (10 %)",
             found.sets == _VOLATILE_CYCLES and abs(float(ratio[-1] / ratio[0]) - 1.0) < 0.1,
             source),
    ]  # fmt: skip


def _plot_endurance(figure: Figure, lives: dict[str, _Life], volatile: dict[str, _Life]) -> None:
    panels = figure.subplots(2, len(MATERIALS), sharex="col", sharey="row")
    for (top, bottom), material in zip(panels.T, MATERIALS, strict=True):
        limits = (float(_LASTS[material.device][0]), _VOLATILE_LASTS[material.device])
        for axes, series, limit in zip((top, bottom), (lives, volatile), limits, strict=True):
            life = series[material.device]
            for states, colour, label in ((life.on, OURS, "ON"), (life.off, THIRD, "OFF")):
                middle = np.median(states, axis=1)
                axes.loglog(life.cycles[: middle.size], middle, ".", color=colour, label=label)
            axes.axvline(limit, color=SEED, linestyle="--", linewidth=1.0, label="seed: endurance")
        top.set_title(material.label)
        bottom.set_xlabel("cycle")
    panels[0, 0].set_ylabel("G at 1 mA [S]")
    panels[1, 0].set_ylabel("G at 1 uA [S]")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


# -- heat -----------------------------------------------------------------------------

_HEAT: Final = (
    # cycle, rise [K], where
    (OGB, 50, 13.0, f"{_NOTE_6}, Fig. 31"),
    (OGB, 5000, 84.0, f"{_NOTE_6}, Fig. 30"),
    (OGB, None, 86.0, f"{_NOTE_6}, Fig. 31"),
    (DDAB, None, 95.0, f"{_NOTE_6}, Fig. 31"),
)
"""Rise of the surface temperature in a RESET; None is the last cycle."""


def heating(bench: Bench) -> Result:
    """Rise of the surface temperature at the cycles where it was recorded."""
    rows, points = [], []
    for material, at, rise, source in _HEAT:
        mode = bench.device(material.device).mode(material.mode)
        cycle = mode.endurance(REFERENCE_K) if at is None else float(at)
        when = "at the end of its endurance" if at is None else f"in cycle {at}"
        ours = float(mode.surface_rise(cycle))
        rows.append(
            Row(f"{material.label}: surface warmer by, {when}", "K", rise, ours,
                ten_percent(rise), Kind.INPUT, source)
        )  # fmt: skip
        points.append((cycle, rise))
    curves = {
        material.label: (cycles, mode.surface_rise(cycles))
        for material in (OGB, DDAB)
        for mode in (bench.device(material.device).mode(material.mode),)
        for cycles in (np.geomspace(1, mode.endurance(REFERENCE_K), 200),)
    }
    texts = {
        material.device: influence(bench.device(material.device), _FIRST, mode=material.mode)
        for material in (OGB, DDAB)
    }
    return Result(tuple(rows), lambda figure: _plot_heat(figure, curves, points), texts)


_FIRST: Final[Group] = {
    "heating.0": "the line from a new cell to the first recording, in the figure"
}


def _plot_heat(
    figure: Figure,
    curves: dict[str, tuple[FloatArray, FloatArray]],
    points: list[tuple[float, float]],
) -> None:
    axes = figure.subplots()
    for (label, curve), colour in zip(curves.items(), (OURS, FOURTH), strict=True):
        axes.semilogx(*curve, color=colour, label=label)
    axes.plot(*zip(*points, strict=True), "s", color=SEED, fillstyle="none", label="seed")
    axes.set(xlabel="cycle at 1 mA", ylabel="rise of the surface temperature [K]", ylim=(0, 110))
    axes.legend(loc="center left")


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("002/endurance", "Cycles at 1 mA and at 1 uA", "Fig. 3, 7, 32", endurance),
    Definition("002/heating", "Heat at the end of life", "Fig. 30, 31", heating),
)
