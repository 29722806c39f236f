"""Seed 002: a cell that goes to and fro between its modes, and one that does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..devices import ComplianceError, TransitionError
from ..figure import OURS, QUIET, SEED, THIRD
from ..numerics import FloatArray
from .bench import Bench
from .influence import PULSED, READ, SCALE, SPREAD, influence
from .record import Definition, Kind, Result, Row
from .s002_materials import (
    FILM,
    I_NONVOLATILE,
    I_VOLATILE,
    OGB,
    REST_S,
    VOLATILE,
    Material,
    is_refused,
    leaves_alone,
    reset_cells,
    set_cells,
    stimulate,
)
from .tolerance import exact, ten_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NOTE_2, _NOTE_4, _NOTE_5, _NOTE_7 = (f"seed 002, Suppl. Note {n}" for n in (2, 4, 5, 7))
_CELLS = np.arange(64)
_CURRENTS = np.array([40e-6, 80e-6, 120e-6, 160e-6, 200e-6, 240e-6])
"""Compliance currents of the non-volatile states between which the cell is volatile [A]."""
_GAP = 20e-6  # neither volatile nor on the line [A]
_SLOPE = 3.338  # S/A
_KEEP_S = 100.0  # a wait through which a non-volatile state is to last
_WAITED, _ON = 0.9, 100.0  # part of G that is left where it is kept; growth of G by a switching ON


@dataclass
class _Record:
    """Readings of cells one after the other: conductances [S], (cells,), and what was done."""

    readings: list[FloatArray] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)

    def read(self, array: Array, mode: str) -> FloatArray:
        """One reading, noted; ``mode`` is for the figure."""
        self.readings.append(array.read(_CELLS))
        self.modes.append(mode)
        return self.readings[-1]

    def volatile(self, array: Array) -> tuple[bool, bool]:
        """One stimulus of volatile cells: whether all went ON, and whether all let go."""
        rest = self.read(array, "volatile")
        stimulate(array, _CELLS)
        on = self.read(array, "volatile") / rest
        array.wait(REST_S)
        off = self.read(array, "volatile") / rest
        return bool((on > _ON).all()), bool((off < 2.0).all())

    def nonvolatile(self, array: Array, i_cc: float) -> tuple[FloatArray, bool]:
        """A SET: the conductances, and whether all cells kept them through a wait."""
        reset_cells(array, _CELLS)
        self.read(array, "non-volatile")
        set_cells(array, _CELLS, i_cc)
        on = self.read(array, "non-volatile")
        array.wait(_KEEP_S)
        return on, bool((self.read(array, "non-volatile") > _WAITED * on).all())


# -- to and fro -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Phases:
    """What became of the phases: conductances of the non-volatile ones, and how many did it."""

    record: _Record
    states: FloatArray
    kept: int
    switched: int
    let_go: int

    @property
    def slope(self) -> float:
        """Of the straight line through the states against I_cc [S/A]."""
        line = np.polynomial.Polynomial.fit(_CURRENTS, self.states, 1).convert()
        return float(line.coef[1])


def _phases(bench: Bench, seed: int) -> _Phases:
    """Every non-volatile state once, on the line and at 1 mA; after each a volatile phase."""
    array = bench.array(OGB.device, 1, _CELLS.size, seed)
    record, states = _Record(), []
    kept = switched = let_go = 0
    array.set_mode("volatile", i_cc=I_VOLATILE)
    for i_cc in (*_CURRENTS.tolist(), I_NONVOLATILE):
        array.set_mode(OGB.mode if i_cc == I_NONVOLATILE else "nonvolatile", i_cc=i_cc)
        on, keeps = record.nonvolatile(array, i_cc)
        states.append(float(on.mean()))
        array.set_mode("volatile", i_cc=I_VOLATILE)
        goes_on, goes_off = record.volatile(array)
        kept, switched, let_go = kept + keeps, switched + goes_on, let_go + goes_off
    return _Phases(record, np.array(states[: _CURRENTS.size]), kept, switched, let_go)


def _gap_refused(bench: Bench) -> bool:
    """Whether I_cc between the modes is refused by name in both of them, and changes nothing."""
    array = bench.array(OGB.device, 1, _CELLS.size)
    set_cells(array, _CELLS, float(_CURRENTS[0]))
    seen: list[bool] = []

    def try_from(other: str) -> None:
        volts, width_s = array.limits.v_max, 2.0 * array.limits.width_min_s
        seen.append(is_refused(TransitionError, lambda: array.set_mode(other, i_cc=_GAP)))
        seen.append(is_refused(ComplianceError, lambda: array.pulse(_CELLS, volts, width_s, _GAP)))

    for other in ("volatile", "nonvolatile"):
        seen.append(leaves_alone(array, _CELLS, lambda other=other: try_from(other)))
        array.set_mode("volatile", i_cc=I_VOLATILE)
    return all(seen)


def reconfigure(bench: Bench) -> Result:
    """Non-volatile states one after the other, the cell volatile after each."""
    found = [_phases(bench, seed) for seed in bench.seeds]
    count = _CURRENTS.size + 1
    slope, spread = bench.summarise([p.slope for p in found])
    figure_29 = f"{_NOTE_5}, Fig. 29"
    rows = (
        Row("non-volatile states that are kept, each set after a volatile phase", "1",
            float(count), float(min(p.kept for p in found)), exact(), Kind.INPUT, figure_29),
        Row("volatile phases after them in which a stimulus switches the cells ON", "1",
            float(count), float(min(p.switched for p in found)), exact(), Kind.INPUT, figure_29),
        Row("of these, phases in which the cells let go by themselves", "1",
            float(count), float(min(p.let_go for p in found)), exact(), Kind.INPUT, figure_29),
        Row("slope of G against I_cc, with a volatile phase before each state", "S/A", _SLOPE,
            slope, ten_percent(_SLOPE), Kind.INPUT, _NOTE_4, spread),
        Row("20 uA, between the modes, is refused by name in both, and changes nothing", "", True,
            _gap_refused(bench), exact(), Kind.INPUT,
            f"{_NOTE_2} has 1 uA and 1 mA; the limits between are assumed"),
    )  # fmt: skip
    device = bench.device(OGB.device)
    influences = {
        **{f"modes.nonvolatile.{name}": text for name, text in _LINE.items()},
        **influence(device, PULSED, READ, SCALE, SPREAD, mode=OGB.mode),
        **influence(device, VOLATILE, mode="volatile"),
        "transitions": "which I_cc leads to which mode, and the gap between them",
    }
    return Result(
        rows, lambda figure: _plot_phases(figure, found[0].record), {OGB.device: influences}
    )


_LINE = {
    "line.sigma_slope": "spread of the non-volatile states",
    "line.sigma_offset": "spread of the non-volatile states",
    "line.i_cc_min": "the upper end of the gap",
    "line.i_cc_max": "which states are on the line",
    "hrs": "the state before a SET",
    "pulses": "whether the pulses of the experiment switch the cell",
    "read.noise": "scatter of the readings",
    "codes.g_lsb": "the grid on which a conductance is read",
}


def _plot_phases(figure: Figure, record: _Record) -> None:
    axes = figure.subplots()
    _draw(axes, record)
    for n, i_cc in enumerate(_CURRENTS):
        line = _SLOPE * i_cc - 1.294e-5
        axes.plot((6 * n + 0.5, 6 * n + 2.5), (line, line), color=SEED, linewidth=1.2,
                  label="seed: 3.338 I_cc - 1.294e-5" if n == 0 else None)  # fmt: skip
        axes.annotate(f"{i_cc * 1e6:.0f} uA", (6 * n + 1.5, line), xytext=(0, 8),
                      textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    axes.annotate("1 mA", (6 * _CURRENTS.size + 1.5, record.readings[-4].mean()), xytext=(0, 6),
                  textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    axes.set(xlabel="reading: RESET, SET, waited; at rest, stimulated, waited; and so on",
             ylabel="conductance [S]", ylim=(1e-9, 0.1))  # fmt: skip
    axes.legend(loc="upper center", ncols=3)


def _draw(axes: Axes, record: _Record) -> None:
    """All readings of a record, each cell a point, coloured by mode."""
    numbers = np.arange(len(record.modes))
    values, modes = np.array(record.readings), np.array(record.modes)
    axes.semilogy(numbers, np.median(values, axis=1), color=QUIET, linewidth=0.6)
    for mode, colour in (("non-volatile", OURS), ("volatile", THIRD)):
        here = modes == mode
        drawn = axes.semilogy(numbers[here], values[here][:, :16], ".", color=colour, markersize=4)
        drawn[0].set_label(mode)


# -- the thin film --------------------------------------------------------------------


@dataclass(frozen=True)
class _Tried:
    """A cell that was volatile, became non-volatile, and was asked to be volatile again."""

    record: _Record
    volatile_before: bool
    refused: bool
    unchanged: bool
    still_nonvolatile: bool
    volatile_again: bool


def _asked_back(bench: Bench, material: Material) -> _Tried:
    array, record = material.volatile(bench, _CELLS.size), _Record()
    before = all(record.volatile(array))
    array.set_mode(material.mode, i_cc=I_NONVOLATILE)
    record.nonvolatile(array, I_NONVOLATILE)
    answers: list[bool] = []

    def ask() -> None:
        answers.append(
            is_refused(TransitionError, lambda: array.set_mode("volatile", _CELLS, i_cc=I_VOLATILE))
        )

    unchanged = leaves_alone(array, _CELLS, ask)
    if answers[0]:
        reset_cells(array, _CELLS)
        unchanged &= leaves_alone(array, _CELLS, lambda: stimulate(array, _CELLS))
        _, kept = record.nonvolatile(array, I_NONVOLATILE)
        return _Tried(record, before, True, unchanged, kept, False)
    again = all(record.volatile(array))
    return _Tried(record, before, False, unchanged, False, again)


def film(bench: Bench) -> Result:
    """The thin film and the nanocrystals, asked to be volatile after they were non-volatile."""
    tried = {material.label: _asked_back(bench, material) for material in (FILM, OGB)}
    thin, crystals = tried[FILM.label], tried[OGB.label]
    source = f"{_NOTE_7}, Fig. 33"
    answers = (
        ("thin film: volatile before its first SET at 1 mA", thin.volatile_before),
        ("thin film: the way back is refused by name, and changes nothing",
         thin.refused and thin.unchanged),
        ("thin film: it goes on as a non-volatile cell", thin.still_nonvolatile),
        ("OGB-capped: volatile, non-volatile, and volatile again",
         crystals.volatile_before and crystals.volatile_again),
    )  # fmt: skip
    rows = tuple(
        Row(quantity, "", True, ours, exact(), Kind.INPUT, source) for quantity, ours in answers
    )
    influences = {}
    for material in (FILM, OGB):
        device = bench.device(material.device)
        influences[material.device] = {
            **influence(device, PULSED, READ, SCALE, SPREAD, mode=material.mode),
            **influence(device, VOLATILE, mode="volatile"),
            "transitions": "which I_cc leads to which mode",
        }
    return Result(rows, lambda figure: _plot_film(figure, tried), influences)


def _plot_film(figure: Figure, tried: dict[str, _Tried]) -> None:
    panels = figure.subplots(1, len(tried), sharey=True)
    for axes, (label, found) in zip(panels, tried.items(), strict=True):
        _draw(axes, found.record)
        axes.axvline(5.5, color=SEED, linestyle="--", linewidth=1.0)
        text = "refused" if found.refused else "done"
        axes.annotate(f"asked back: {text}", (5.5, 3e-2), xytext=(-4, 0), color=SEED,
                      textcoords="offset points", ha="right")  # fmt: skip
        axes.set(title=label, xlabel="reading", ylim=(1e-9, 0.1))
    panels[0].set_ylabel("conductance [S]")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("002/reconfigure", "To and fro between the modes", "Fig. 29", reconfigure),
    Definition("002/film", "The way back from non-volatile", "Fig. 33", film),
)
