"""What is left of a pulse behind lines with resistance: the voltages across the pulsed cells.

With transistors only the cells conduct whose row is driven and whose column's gate is on; what
leaves a column through its other cells, to rows at 0 V, is left out. So of each cell's voltage
is missing what its current, and those of cells that are pulsed meanwhile in its row or column,
drop in the lines that they share: one number of ohms for each two cells.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..numerics import FloatArray, IntArray
from .errors import ArrayError
from .lines import Wires

Law = Callable[[FloatArray], FloatArray]
"""Currents of cells [A] at voltages across them [V], both (cells,); rising."""

_STEPS = 60
_HALVINGS = 30
_CLOSE = 1e-12
"""Of the voltage: how far cells and lines may differ."""
_APART = 1e-5
"""Of the voltage: how far apart two are whose currents give a slope."""


class Drops:
    """The lines of a tile.

    Parameters
    ----------
    wires:
        What they are made of.
    rows, columns:
        Their numbers.
    """

    def __init__(self, wires: Wires, rows: int, columns: int) -> None:
        self._row = _shared(
            columns, wires.row_ohms, wires.row_ohms + wires.drive_ohms, both=wires.drive_both
        )
        # The near end of a column is below its last row.
        self._column = _shared(
            rows, wires.column_ohms, wires.column_ohms + wires.sense_ohms, both=wires.sense_both
        )[::-1, ::-1]
        self._series = wires.series_ohms

    def apart(self, law: Law, row: IntArray, column: IntArray, volts: FloatArray) -> FloatArray:
        """Voltages across cells [V] that are pulsed one after the other, shape (cells,).

        The same bits for a cell in any company.

        Parameters
        ----------
        law:
            The cells' currents.
        row, column:
            Where they are.
        volts:
            At the ends of their rows [V]; their columns are at 0 V.
        """
        ohms = self._row[column, column] + self._column[row, row] + self._series
        low, high = np.minimum(volts, 0.0), np.maximum(volts, 0.0)
        found = volts.copy()
        for _ in range(_STEPS):
            off = found + ohms * law(found) - volts
            far = np.abs(off) > _CLOSE * np.abs(volts)
            if not far.any():
                break
            low, high = np.where(off < 0, found, low), np.where(off > 0, found, high)
            step = found - off / (1.0 + ohms * _slopes(law, found, volts))
            inside = (step > low) & (step < high)
            found = np.where(far, np.where(inside, step, (low + high) / 2), found)
        return found

    def together(self, law: Law, row: IntArray, column: IntArray, volts: FloatArray) -> FloatArray:
        """The same of cells that are pulsed at the same time.

        Raises
        ------
        ArrayError
            If no voltages are found.
        """
        if row.size == 1:
            return self.apart(law, row, column, volts)
        ohms = np.where(row[:, np.newaxis] == row, self._row[np.ix_(column, column)], 0.0)
        ohms += np.where(column[:, np.newaxis] == column, self._column[np.ix_(row, row)], 0.0)
        ohms += np.diag(np.full(row.size, self._series))
        most = np.abs(volts).max()
        found, off = volts, volts + np.inf
        step, part = np.zeros(row.size), 1.0
        for _ in range(_STEPS * _HALVINGS):
            there = found - part * step
            left = there + ohms @ law(there) - volts
            if not np.abs(left).max() < np.abs(off).max():
                part /= 2
                if part < 0.5**_HALVINGS:
                    break
                continue
            found, off, part = there, left, 1.0
            if np.abs(off).max() <= _CLOSE * most:
                return found
            slopes = _slopes(law, found, volts)
            step = np.linalg.solve(np.eye(row.size) + ohms * slopes, off)
        raise ArrayError(f"voltages of pulsed cells are not found, they are {off.max():.3g} V off")


def _slopes(law: Law, at: FloatArray, volts: FloatArray) -> FloatArray:
    """Of the currents [S]."""
    apart = _APART * np.abs(volts)
    rise = law(at + apart) - law(at - apart)
    return np.divide(rise, 2 * apart, out=np.zeros_like(rise), where=apart > 0)


def _shared(cells: int, segment: float, near: float, *, both: bool) -> FloatArray:
    """What a current into a line at one cell raises it by at another one [ohm], (cells, cells).

    Parameters
    ----------
    segment, near:
        Between two cells, and from the first one to the end, or the last one if ``both`` are
        connected [ohm].
    """
    ohms = near + segment * np.arange(cells)
    least, most = np.minimum.outer(ohms, ohms), np.maximum.outer(ohms, ohms)
    whole = ohms[-1] + near
    return least * (whole - most) / whole if both else least
