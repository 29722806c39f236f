"""Cells whose current is no multiple of their voltage, in lines with resistance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...numerics import FloatArray
from ..errors import ArrayError
from .network import Network
from .wires import Wires

Law = Callable[[FloatArray], FloatArray]
"""Currents of all cells [A] at voltages across them [V], both (rows, columns); rising."""

_STEPS = 50
_HALVINGS = 30
_APART = 1e-5
"""Of the highest voltage: how far apart two voltages are whose currents give a slope."""


@dataclass(frozen=True)
class Operating:
    """Voltages across cells, without what is in series [V], and currents into rows and out of
    columns [A], shapes (rows, columns), (rows,) and (columns,)."""

    cell_volts: FloatArray
    row_amperes: FloatArray
    column_amperes: FloatArray


def operate(
    law: Law,
    wires: Wires,
    row_volts: ArrayLike,
    column_volts: ArrayLike,
    *,
    tolerance: float = 1e-9,
    threads: int = 1,
) -> Operating:
    """The voltages of all cells, by Newton's method.

    Each step solves the network of the cells' slopes exactly; a step that does not bring
    cells and network closer is halved.

    Parameters
    ----------
    row_volts, column_volts:
        At the ends of the lines [V], shapes (rows,) and (columns,); NaN: in the air.
    tolerance:
        Of the largest current of a cell: how far cells and network may differ.

    Raises
    ------
    ArrayError
        If no voltages are found.
    """
    rows, columns = np.asarray(row_volts, np.float64), np.asarray(column_volts, np.float64)
    volts = np.nan_to_num(rows)[:, np.newaxis] - np.nan_to_num(columns)
    apart = _APART * (float(np.abs(volts).max()) or 1.0)
    ends: tuple[FloatArray, FloatArray] = np.zeros(rows.shape), np.zeros(columns.shape)
    network = cells = law(volts)
    off = np.inf
    for _ in range(_STEPS):
        slope = (law(volts + apart) - law(volts - apart)) / (2 * apart)
        if not (np.isfinite(slope).all() and (slope >= 0).all()):
            raise ArrayError("currents of cells that do not rise with their voltage")
        rest = cells - slope * volts
        share = 1.0 + slope * wires.series_ohms
        found = Network(slope, wires, threads=threads).solve(
            rows[:, np.newaxis], columns[:, np.newaxis], (rest / share)[..., np.newaxis]
        )
        across = found.cell_volts[..., 0]
        target = (across - wires.series_ohms * rest) / share
        goal = rest + slope * target, found.row_amperes[:, 0], found.column_amperes[:, 0]
        part = 1.0
        for _ in range(_HALVINGS):
            there = volts + part * (target - volts)
            wanted = network + part * (goal[0] - network)
            got = law(there)
            now = float(np.abs(got - wanted).max())
            if now < off:
                break
            part /= 2
        else:
            raise ArrayError(f"voltages of the cells are not found, currents are {off:.3g} A off")
        volts, network, cells, off = there, wanted, got, now
        ends = ends[0] + part * (goal[1] - ends[0]), ends[1] + part * (goal[2] - ends[1])
        if off <= tolerance * float(np.abs(cells).max()):
            return Operating(volts, *ends)
    raise ArrayError(f"voltages of the cells are not found, currents are {off:.3g} A off")
