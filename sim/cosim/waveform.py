"""The waveform of a session: V, I_cc, current and conductance of one cell, as the card saw them.

One column for each phase, with a time axis of its own: a sweep that takes a minute and
a train that takes milliseconds are both readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..figure import FOURTH, OURS, QUIET, SEED, THIRD, draw
from .session import Done, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = ("V [V]", "I_cc [A]", "I [A]", "G [S]")
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
_WIDTH, _LEAST, _HEIGHT = 2.3, 7.2, 7.0  # inches: of a column, of all, of the figure


@dataclass
class Phase:
    """Steps that share a time axis."""

    name: str
    intervals: list[Interval] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def phases(done: Sequence[Done], tile: int) -> list[Phase]:
    """The phases of a tile, in order; what was refused belongs to the phase before it."""
    found: list[Phase] = []
    for one in done:
        if one.step.tile != tile:
            continue
        if one.step.phase:
            if not found or found[-1].name != one.step.phase:
                found.append(Phase(one.step.phase))
            found[-1].intervals += one.intervals
        elif (one.step.refused or one.step.stopped) and found:
            why = one.status.name if one.step.refused else "stopped by the warden"
            found[-1].refused.append(f"{one.step.name}: {why}")
    return [phase for phase in found if phase.intervals]


def draw_waveform(
    done: Sequence[Done],
    tile: int,
    clk_hz: int,
    gap: tuple[float, float] | None,
    title: str,
    folder: Path,
    stem: str,
) -> tuple[Path, Path]:
    """Draw one tile's walk as ``stem.png`` and ``stem.svg``.

    Parameters
    ----------
    done:
        The session.
    tile, clk_hz:
        Which tile, and the clock that times are counted in.
    gap:
        Compliance currents between which the device has no mode [A].
    title, folder, stem:
        Of the figure.
    """
    columns = phases(done, tile)

    def plot(figure: Figure) -> None:
        refused = [f"after {phase.name}: {text}" for phase in columns for text in phase.refused]
        height = _HEIGHT + 0.16 * len(refused)
        figure.set_size_inches(max(_LEAST, _WIDTH * len(columns) + 0.8), height)
        axes = figure.subplots(len(ROWS), len(columns), sharex="col", sharey="row", squeeze=False)
        for number, phase in enumerate(columns):
            _column(phase, [row[number] for row in axes], clk_hz, gap, number == 0)
        for row, label in zip(axes, ROWS, strict=True):
            row[0].set_ylabel(label)
            for left, right in zip(row, row[1:], strict=False):
                _broken(left, right)
        _logarithmic(axes, columns, gap)
        if refused:
            text = "refused or stopped, with nothing driven:\n" + "\n".join(refused)
            figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=SEED)

    return draw(plot, title, folder, stem)


def _logarithmic(axes: Any, columns: Sequence[Phase], gap: tuple[float, float] | None) -> None:
    """Decades for what spans them."""
    limits = [i.i_cc for phase in columns for i in phase.intervals if i.i_cc]
    if limits:
        axes[1][0].set_yscale("log")
        low, high = min([*limits, *(gap or ())]), max([*limits, *(gap or ())])
        axes[1][0].set_ylim(low / 3, high * 3)
    else:
        axes[1][0].set_yticks([])
    axes[3][0].set_yscale("log")


def _column(
    phase: Phase, axes: Sequence[Axes], clk_hz: int, gap: tuple[float, float] | None, first: bool
) -> None:
    begun, ended = phase.intervals[0].begun, phase.intervals[-1].ended
    length = (ended - begun) / clk_hz
    scale, name = next(((s, n) for s, n in _UNITS if length >= 2 * s), _UNITS[-1])

    def at(cycles: int) -> float:
        return (cycles - begun) / clk_hz / scale

    volts, limit, current, siemens = axes
    changing = phase.name.startswith("to ")
    for axis in axes:
        axis.set_facecolor("#fbf3e6" if changing else "white")
        axis.set_xlim(-0.02 * at(ended), 1.02 * at(ended))
        axis.axhline(0, color=QUIET, linewidth=0.5) if axis in (volts, current) else None
    edges: list[float] = [0.0]
    rail: list[float] = [0.0]
    store: list[tuple[float, float]] = []
    conductance: list[tuple[float, float]] = []
    samples: list[tuple[float, float]] = []
    for i in phase.intervals:
        samples += [(at(s.time), s.amperes) for s in i.samples]
        if i.source is not None:
            store += [(at(s.time), s.volts) for s in i.samples]
        else:
            edges += [at(i.begun), at(i.begun), at(i.ended), at(i.ended)]
            rail += [0.0, i.volts, i.volts, 0.0]
        if i.i_cc is not None:
            limit.plot([at(i.begun), at(i.ended)], [i.i_cc] * 2, color=FOURTH, linewidth=2.5)
        conductance += [
            (at(time), g)
            for time, g in (
                (i.begun, i.before), *((s.time, s.siemens) for s in i.samples), (i.ended, i.after)
            )
            if g is not None
        ]  # fmt: skip
    volts.plot(edges, rail, color=OURS, linewidth=0.9)
    if store:
        volts.plot(*zip(*store, strict=True), color=THIRD, marker=".", markersize=3)
        volts.annotate(
            "store", store[len(store) // 2], xytext=(-4, 4), textcoords="offset points",
            ha="right", fontsize=7.5, color=THIRD,
        )  # fmt: skip
    if samples:
        current.plot(
            *zip(*samples, strict=True), color=THIRD, marker=".", markersize=3, linewidth=0.8
        )
    else:
        _note(current, "no samples")
    if conductance:
        siemens.plot(*zip(*conductance, strict=True), color=OURS, linewidth=1.2)
    else:
        _note(siemens, "a store, no conductance")
    if gap is not None:
        limit.axhspan(*gap, color=SEED, alpha=0.12, linewidth=0)
        if first:
            limit.annotate(
                "no mode between", (0.03, (gap[0] * gap[1]) ** 0.5),
                xycoords=("axes fraction", "data"), fontsize=7.5, color=SEED, va="center",
            )  # fmt: skip
    if all(i.i_cc is None for i in phase.intervals):
        _note(limit, "not limited")
    volts.set_title(phase.name, fontsize=8.5)
    siemens.set_xlabel(f"[{name}]")


def _note(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.06, text, transform=axis.transAxes, ha="center", fontsize=7.5, color=QUIET)


def _broken(left: Axes, right: Axes) -> None:
    """Two strokes where the time axis is broken."""
    right.spines["left"].set_visible(False)
    right.tick_params(axis="y", which="both", length=0)
    style: dict[str, Any] = {
        "marker": [(-0.5, -1), (0.5, 1)], "markersize": 6, "linestyle": "none", "color": "k",
        "markeredgewidth": 0.8, "clip_on": False,
    }  # fmt: skip
    left.plot([1], [0], transform=left.transAxes, **style)
    right.plot([0], [0], transform=right.transAxes, **style)
