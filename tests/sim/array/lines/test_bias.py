"""Reads and writes of one cell of a passive tile."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.sim.array import ArrayError
from ohmloom.sim.array.lines import Bias, Network, Wires, line_volts

SHAPE, V, CELL = (8, 6), 0.1, (2, 4)


def selected(bias: Bias, g: np.ndarray) -> tuple[float, np.ndarray]:
    """Current out of the selected column, and the voltages of all cells, in short lines."""
    rows, columns = line_volts(bias, SHAPE, *CELL, V)
    found = Network(g, Wires(1e-6, 1e-6)).solve(rows[:, None], columns[:, None])
    return float(found.column_amperes[CELL[1], 0]), found.cell_volts[..., 0]


def test_voltages_of_cells_that_are_not_selected() -> None:
    g = np.full(SHAPE, 1e-6)
    row, column = CELL
    for bias, in_row, in_column, elsewhere in (
        (Bias.GROUNDED, V, 0, 0),
        (Bias.HALF, V / 2, V / 2, 0),
        (Bias.THIRD, V / 3, V / 3, -V / 3),
    ):
        _, volts = selected(bias, g)
        assert volts[row, column] == pytest.approx(V)
        assert np.delete(volts[row], column) == pytest.approx(in_row, abs=1e-9)
        assert np.delete(volts[:, column], row) == pytest.approx(in_column, abs=1e-9)
        others = np.delete(np.delete(volts, row, axis=0), column, axis=1)
        assert others == pytest.approx(elsewhere, abs=1e-9)


def test_currents_sneak_through_three_cells() -> None:
    g = np.full(SHAPE, 1e-6)
    current, _ = selected(Bias.FLOATING, g)
    rows, columns = SHAPE
    # In series: cells of the selected row, those of no selected line, those of its column.
    sneak = 1e-6 / (1 / (columns - 1) + 1 / ((rows - 1) * (columns - 1)) + 1 / (rows - 1))
    assert current == pytest.approx(V * (1e-6 + sneak))
    grounded, _ = selected(Bias.GROUNDED, g)
    assert grounded == pytest.approx(V * 1e-6)


def test_a_cell_that_is_not_there_is_refused() -> None:
    with pytest.raises(ArrayError, match=r"cell \(8, 0\) is outside a tile of 8 x 6"):
        line_volts(Bias.HALF, SHAPE, 8, 0, V)
