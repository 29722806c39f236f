"""Cells whose current bends: what is found has to be a network of its own chords."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.sim.array import ArrayError
from ohmloom.sim.array.lines import Bias, Network, Wires, line_volts, operate

G = np.random.default_rng(4).uniform(1e-6, 1e-4, (20, 33))


def bent(volts: np.ndarray) -> np.ndarray:
    return G * np.sinh(8 * volts) / 8


@pytest.mark.parametrize("series", [0.0, 500.0])
def test_it_is_the_network_of_its_chords(series: float) -> None:
    wires = Wires(2.0, 3.0, 5.0, 1.0, series_ohms=series)
    rows, columns = np.linspace(0.1, 0.5, 20), np.linspace(0.0, 0.05, 33)
    found = operate(bent, wires, rows, columns)
    chords = Network(bent(found.cell_volts) / found.cell_volts, wires)
    wanted = chords.solve(rows[:, None], columns[:, None])
    assert found.column_amperes == pytest.approx(wanted.column_amperes[:, 0], rel=1e-7)
    assert found.row_amperes == pytest.approx(wanted.row_amperes[:, 0], rel=1e-7, abs=1e-12)
    across = found.cell_volts + series * bent(found.cell_volts)
    assert across == pytest.approx(wanted.cell_volts[..., 0], rel=1e-7)
    # Far from what cells that do not bend would do.
    straight = Network(G, wires).solve(rows[:, None], columns[:, None])
    assert not np.allclose(found.column_amperes, straight.column_amperes[:, 0], rtol=0.1)


def test_cells_that_do_not_bend_take_one_step() -> None:
    wires = Wires(1.0, 1.0)
    calls: list[int] = []

    def law(volts: np.ndarray) -> np.ndarray:
        calls.append(1)
        return G * volts

    found = operate(law, wires, np.full(20, 0.1), np.zeros(33))
    wanted = Network(G, wires).solve(0.1)
    assert found.column_amperes == pytest.approx(wanted.column_amperes[:, 0], rel=1e-9)
    assert len(calls) == 4  # at the start, for the slopes, and where they lead


def test_steep_cells_with_lines_in_the_air() -> None:
    rows, columns = line_volts(Bias.FLOATING, G.shape, 3, 7, 2.0)
    found = operate(lambda v: 1e-9 * np.sinh(12 * v), Wires(50.0, 50.0), rows, columns)
    assert found.row_amperes[3] == pytest.approx(found.column_amperes[7], rel=1e-6)
    assert found.row_amperes[4] == 0


def test_currents_that_fall_are_refused() -> None:
    with pytest.raises(ArrayError, match="do not rise"):
        operate(lambda v: -G * v, Wires(1.0, 1.0), np.full(20, 0.1), np.zeros(33))
