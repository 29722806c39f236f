"""The figure of a replayed history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..figure import OURS, QUIET, SEED
from ..numerics import FloatArray
from .dynamic import Dynamic
from .history import History, Kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(figure: Figure, history: History, found: Dynamic) -> None:
    """Conductance against the row, of the cells with the most rows, and what is left over."""
    panels = figure.subplot_mosaic("A;B", height_ratios=(3, 1), sharex=True)
    rows = found.rows
    rows = (
        rows[history.kind[rows] == Kind.READ] if np.any(history.kind[rows] == Kind.READ) else rows
    )
    cell = history.cell[rows]
    edges = np.flatnonzero(np.diff(cell, prepend=-1))
    place = np.arange(rows.size) - np.repeat(edges, np.diff(np.append(edges, rows.size)))
    volts, scale = history.volts[rows], found.scale[cell]
    measured: FloatArray = history.amps[rows] / volts
    model: FloatArray = found.amps[rows] * scale / volts
    panels["A"].semilogy(
        place + 1, measured, ".", color=SEED, ms=3, alpha=0.6,
        label=f"measured, {np.unique(cell).size} cells",
    )  # fmt: skip
    longest = np.argmax(np.bincount(cell))
    one = cell == longest
    panels["A"].semilogy(
        place[one] + 1, found.amps[rows[one]] / volts[one], color=OURS, label="model, median cell"
    )
    panels["A"].set(ylabel="conductance [S]")
    panels["A"].legend(loc="best")
    panels["B"].axhline(0.0, color=QUIET, lw=0.8)
    panels["B"].plot(place + 1, 100.0 * np.log(measured / model), ".", color=SEED, ms=2)
    panels["B"].set(xlabel="read", ylabel="off by [%]")
