"""Seed 002: how long the non-volatile states at 1 mA are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..figure import OURS, SEED, THIRD
from ..numerics import FloatArray
from .bench import Bench
from .influence import PULSED, READ, SCALE, SPREAD, influence
from .record import Definition, Kind, Result, Row
from .s002_materials import FILM, OGB, Material, reset_cells, set_cells
from .tolerance import order_of_magnitude, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTE_2, _NOTE_7 = (f"seed 002, Suppl. Note {n}" for n in (2, 7))
_PART = np.arange(128)  # cells in each state
_READINGS = 11
_KEEPS: Final = ((OGB, 1e5, f"{_NOTE_2} and 7"), (FILM, 1e4, _NOTE_7))


def _retained(bench: Bench, material: Material, seconds: FloatArray, seed: int) -> FloatArray:
    """Median conductance [S] of ON and of OFF cells at times after switching, (2, n)."""
    array = material.nonvolatile(bench, 2 * _PART.size, seed)
    on, off = _PART, _PART + _PART.size
    for cells in (on, off):
        set_cells(array, cells)
    reset_cells(array, off)
    found = []
    for wait in np.diff(seconds, prepend=0.0):
        array.wait(float(wait))
        found.append([float(np.median(array.read(cells))) for cells in (on, off)])
    return np.array(found).T


def retention(bench: Bench) -> Result:
    """Both states at 1 mA, read until the time for which they are described."""
    rows: list[Row] = []
    curves = {}
    influences = {}
    for material, lasts, source in _KEEPS:
        device = bench.device(material.device)
        until = device.number(f"modes.{material.mode}.wear.retention")
        seconds = np.geomspace(1.0, until, _READINGS)
        states = [_retained(bench, material, seconds, seed) for seed in bench.seeds]
        ratio, spread = bench.summarise([float(g[0, -1] / g[1, -1]) for g in states])
        open_ = np.min([g[0] / g[1] for g in states], axis=0) >= 0.5e3
        held = float(seconds[np.logical_and.accumulate(open_)].max(initial=0.0))
        rows += [
            Row(f"{material.label}: both states at 1 mA told apart until", "s", lasts, held,
                ten_percent(lasts), Kind.INPUT, source),
            Row(f"{material.label}: ON/OFF then", "1", 1e3, ratio, order_of_magnitude(),
                Kind.INPUT, source, spread),
        ]  # fmt: skip
        curves[material.label] = seconds, states[0], lasts
        influences[material.device] = influence(
            device, PULSED, READ, SCALE, SPREAD, mode=material.mode
        )
    return Result(tuple(rows), lambda figure: _plot_retention(figure, curves), influences)


def _plot_retention(
    figure: Figure, curves: dict[str, tuple[FloatArray, FloatArray, float]]
) -> None:
    axes = figure.subplots()
    for (label, (seconds, states, lasts)), colour, fill in zip(
        curves.items(), (OURS, THIRD), ("full", "none"), strict=True
    ):
        for name, values, mark in (("ON", states[0], "o-"), ("OFF", states[1], "v-")):
            axes.loglog(
                seconds, values, mark, color=colour, fillstyle=fill, label=f"{label}, {name}"
            )
        axes.axvline(lasts, color=SEED, linestyle="--", linewidth=1.0)
    axes.plot([], [], color=SEED, linestyle="--", linewidth=1.0, label="seed: retention")
    axes.set(xlabel="time at 0 V [s]", ylabel="conductance [S]", ylim=(1e-6, 1e-2))
    axes.legend(loc="center left")


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("002/retention", "Retention at 1 mA", "Fig. 8, 32", retention),
)
