"""Pulses on the lines of a passive array: who gets what, and when it is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.sim.array import HALF_SELECT_MAX, ArrayError, SimulatedArray, pulse_lines
from ohmloom.sim.array.lines import Network, Wires
from ohmloom.sim.devices import load

VOLTS, WIDTH_S, I_CC = 1.2, 0.6e-3, 60e-6


def passive() -> SimulatedArray:
    return SimulatedArray(load("vb3"), 2, 4, 4, seed=5)


def lines(row: float, column: float, others: float) -> tuple[np.ndarray, np.ndarray]:
    """Cell (1, 2) is selected."""
    rows, columns = np.zeros(4), np.full(4, others)
    rows[1], columns[2] = row, column
    return rows, columns


def test_every_cell_gets_the_difference_of_its_lines():
    array, alone = passive(), passive()
    count = pulse_lines(array, 1, *lines(0.8, -0.4, 0.4), WIDTH_S, I_CC)
    volts = np.full((4, 4), -0.4)
    volts[1], volts[:, 2], volts[1, 2] = 0.4, 0.4, 1.2
    alone.pulse(alone.tile_cells(1), volts, WIDTH_S, np.full((4, 4), I_CC))
    assert count == 16
    assert array.tile_state_equal(alone, 1)
    assert array.elapsed_s == WIDTH_S


def test_half_of_the_voltage_switches_nothing_and_the_rest_gets_none():
    array = passive()
    before = array.g.copy()
    assert pulse_lines(array, 0, *lines(0.6, -0.6, 0.0), WIDTH_S, I_CC) == 7
    changed = np.argwhere(array.g != before)
    assert changed.tolist() == [[0, 1, 2]]
    assert array.pulses[0].sum() == 7 and not array.pulses[1].any()


def test_cells_of_the_row_that_take_too_much_of_the_limit_are_refused():
    array = passive()
    # The whole row conducts.
    array.pulse(array.tile_cells(0)[1], VOLTS, WIDTH_S, I_CC)
    before = array.state.copy()
    with pytest.raises(ArrayError, match=r"row 1 that are not selected take .* 5% of I_cc"):
        pulse_lines(array, 0, *lines(0.6, -0.6, 0.0), WIDTH_S, I_CC)
    assert np.array_equal(array.state.pulses, before.pulses)
    assert np.array_equal(array.g, before.g)


def test_the_share_is_of_what_the_other_cells_take():
    array = passive()
    others = array.currents(array.tile_cells(0)[1, [0, 1, 3]], 0.6).sum()
    limit = float(others) / HALF_SELECT_MAX
    with pytest.raises(ArrayError, match="not selected"):
        pulse_lines(array, 0, *lines(0.6, -0.6, 0.0), WIDTH_S, limit * 0.999)
    pulse_lines(array, 0, *lines(0.6, -0.6, 0.0), WIDTH_S, limit * 1.001)


@pytest.mark.parametrize(
    ("device", "volts", "refused"), [("cspbbr3_ogb", 1.0, True), ("vb3", 1.2, False)]
)
def test_a_row_of_eight_cells_that_are_off(device, volts, refused):
    array = SimulatedArray(load(device), 1, 8, 8, seed=5)
    rows, columns = np.zeros(8), np.zeros(8)
    rows[1], columns[2] = volts / 2, -volts / 2
    if refused:
        with pytest.raises(ArrayError, match="not selected"):
            pulse_lines(array, 0, rows, columns, WIDTH_S, 62.5e-6)
    else:
        assert pulse_lines(array, 0, rows, columns, WIDTH_S, 62.5e-6) == 15


def test_in_lines_with_resistance_cells_have_what_the_network_gives_them(monkeypatch):
    wires, limit = Wires(400.0, 300.0, 1000.0), 0.01
    array, alone = (
        SimulatedArray(load("vb3"), 2, 4, 4, seed=5, wires=wires, passive=True) for _ in range(2)
    )
    for each in (array, alone):  # some conduct: their columns carry what sneaks
        each.pulse(each.tile_cells(1)[2:, 1:3].reshape(-1), VOLTS, WIDTH_S, I_CC)
    cells, (rows, columns) = alone.tile_cells(1), lines(0.8, -0.4, 0.4)
    straight = rows[:, np.newaxis] - columns
    volts = straight.copy()
    for _ in range(60):  # chords of the cells' currents, until their voltages stay
        chord = alone.currents(cells, volts) / volts
        network = Network(chord, wires)
        volts = network.solve(rows[:, np.newaxis], columns[:, np.newaxis]).cell_volts[..., 0]
    assert np.abs(volts - straight).max() > 0.01
    seen: list[np.ndarray] = []

    def pulse(some: np.ndarray, across: np.ndarray, width_s: float, i_cc: np.ndarray) -> None:
        seen.append(across)
        SimulatedArray.pulse(array, some, across, width_s, i_cc)

    monkeypatch.setattr(array, "pulse", pulse)
    assert pulse_lines(array, 1, rows, columns, WIDTH_S, limit) == 16
    assert np.allclose(seen[0], volts.reshape(-1), rtol=1e-6, atol=1e-9)
    alone.pulse(cells.reshape(-1), seen[0], WIDTH_S, np.full(16, limit))
    assert array.tile_state_equal(alone, 1)


def test_what_other_cells_take_is_what_flows_in_the_lines():
    """Of a row that conducts, lines of a high resistance leave little."""
    taken = {}
    for ohms in (1e-3, 3e4):
        wires = Wires(ohms, ohms)
        array = SimulatedArray(load("vb3"), 2, 4, 4, seed=5, wires=wires, passive=True)
        array.pulse(array.tile_cells(0)[1], VOLTS, WIDTH_S, I_CC)
        with pytest.raises(ArrayError, match="row 1 that are not selected take") as refused:
            pulse_lines(array, 0, *lines(0.6, -0.6, 0.0), WIDTH_S, 1e-9)
        taken[ohms] = float(str(refused.value).split("take ")[1].split(" A")[0])
    assert taken[3e4] < 0.5 * taken[1e-3]
