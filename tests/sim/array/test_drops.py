"""Voltages of pulsed cells behind lines with resistance, against the network of all lines."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.sim.array import ArrayError, SimulatedArray
from ohmloom.sim.array.drops import Drops, Law
from ohmloom.sim.array.lines import Network, Wires, operate
from ohmloom.sim.devices import load

OGB = load("cspbbr3_ogb")
ROWS, COLUMNS = 5, 7
LINES = [
    Wires(30.0, 20.0),
    Wires(30.0, 20.0, 50.0, 70.0, series_ohms=200.0),
    Wires(30.0, 20.0, 50.0, 70.0, drive_both=True),
    Wires(30.0, 20.0, 50.0, 70.0, sense_both=True),
]
G = np.random.default_rng(1).uniform(1e-5, 1e-3, (ROWS, COLUMNS))
CELLS = {
    "a row's": (np.full(4, 3), np.array([0, 2, 5, 6])),
    "a column's": (np.array([0, 1, 4]), np.full(3, 2)),
    "one": (np.array([1]), np.array([5])),
}


def ends(rows: np.ndarray, volts: float) -> np.ndarray:
    """Voltages at the ends of rows, of which some are driven."""
    return np.where(np.isin(np.arange(ROWS), rows), volts, 0.0)


@pytest.mark.parametrize("wires", LINES)
@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
def test_cells_that_are_pulsed_together_are_the_network(cells, wires):
    only = np.zeros(G.shape)
    only[cells] = G[cells]
    whole = Network(only, wires).solve(ends(cells[0], -1.5)[:, np.newaxis]).cell_volts[..., 0]
    wanted = whole[cells] / (1.0 + wires.series_ohms * G[cells])
    given = np.full(len(cells[0]), -1.5)
    found = Drops(wires, ROWS, COLUMNS).together(lambda v: G[cells] * v, cells[0], cells[1], given)
    assert np.allclose(found, wanted, rtol=1e-9)
    assert (found > -1.5).all() and (found < -0.5).all()


@pytest.mark.parametrize("limit", [np.inf, 2e-4])
def test_currents_that_bend_are_found(limit):
    cells, wires = CELLS["a row's"], LINES[1]

    def bent(g: np.ndarray, volts: np.ndarray) -> np.ndarray:
        return np.clip(g * np.sinh(2 * volts) / 2, -limit, limit)

    only = np.zeros(G.shape)
    only[cells] = G[cells]
    given = np.full(4, 1.0)
    found = Drops(wires, ROWS, COLUMNS).together(
        lambda v: bent(G[cells], v), cells[0], cells[1], given
    )
    if np.isinf(limit):
        wanted = operate(lambda v: bent(only, v), wires, ends(cells[0], 1.0), np.zeros(COLUMNS))
        assert np.allclose(found, wanted.cell_volts[cells], rtol=1e-6)
    currents = bent(G[cells], found)
    assert np.isinf(limit) or (currents == limit).any()
    flowing = Network(np.zeros(G.shape) + 1e-30, wires).solve(
        ends(cells[0], 1.0)[:, np.newaxis], sources=_at(cells, currents)[..., np.newaxis]
    )
    left = flowing.cell_volts[..., 0][cells] - wires.series_ohms * currents
    assert np.allclose(found, left, rtol=1e-9)


def _at(cells: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> np.ndarray:
    tile = np.zeros(G.shape)
    tile[cells] = values
    return tile


@pytest.mark.parametrize("wires", LINES)
def test_one_after_the_other_each_is_alone_and_has_the_same_bits(wires):
    row, column = (part.reshape(-1) for part in np.indices(G.shape))
    volts = np.random.default_rng(2).uniform(-2, 2, row.size)
    volts[3] = 0.0
    drops = Drops(wires, ROWS, COLUMNS)

    def law(some: slice) -> Law:
        g, most = G.reshape(-1)[some], 3e-4
        return lambda v: np.clip(g * np.sinh(3 * v), -most, most)

    every = drops.apart(law(slice(None)), row, column, volts)
    for n in range(row.size):
        one = slice(n, n + 1)
        for solve in (drops.apart, drops.together):
            alone = solve(law(one), row[one], column[one], volts[one])
            assert alone[0] == every[n]
    assert (np.abs(every) <= np.abs(volts)).all() and every[3] == 0


def test_currents_that_no_voltages_give_are_refused():
    cells = CELLS["a row's"]
    drops = Drops(Wires(1e4, 1e4), ROWS, COLUMNS)
    with pytest.raises(ArrayError, match="voltages of pulsed cells are not found"):
        drops.together(
            lambda v: np.where(v > 0, 1e-3, -1e-3) * 1e3, cells[0], cells[1], np.full(4, 1.0)
        )


def tile(wires: Wires | None, *, passive: bool = False) -> SimulatedArray:
    """All cells are SET."""
    array = SimulatedArray(OGB, 2, 8, 32, seed=1, wires=wires, passive=passive)
    array.pulse(np.arange(array.g.size), 1.0, 1e-3, 2e-4)
    return array


def test_far_cells_of_a_row_that_is_reset_together_stay():
    wires = Wires(2.0, 2.0)
    row = tile(wires).tile_cells(1)[3]
    alone, together, ideal, passive = (
        tile(wires),
        tile(wires),
        tile(None),
        tile(wires, passive=True),
    )
    alone.pulse(row, OGB.v_reset, OGB.reset_width_s, None)
    for array in (together, ideal, passive):
        array.pulse(row, OGB.v_reset, OGB.reset_width_s, None, together=True)
    off = [np.flatnonzero(a.g.reshape(-1)[row] < 1e-4).tolist() for a in (alone, ideal, passive)]
    assert off == [[*range(32)]] * 3
    near = np.flatnonzero(together.g.reshape(-1)[row] < 1e-4)
    assert 0 < near.size < 32 and near.tolist() == [*range(near.size)]


def test_a_set_is_hardly_less():
    """A cell that is off takes little, however far it is."""
    wires = Wires(2.0, 2.0)
    found, ideal = tile(wires), tile(None)
    for array in (found, ideal):
        cells = array.tile_cells(0).reshape(-1)
        array.pulse(cells, OGB.v_reset, OGB.reset_width_s, None)
        array.pulse(cells, OGB.v_set, OGB.set_width_s, 1e-4)
    assert np.array_equal(found.g[0], ideal.g[0])


def test_cells_of_two_tiles_are_not_pulsed_together():
    array = tile(LINES[0])
    with pytest.raises(ArrayError, match="several tiles are not pulsed together"):
        array.pulse([0, 300], 1.0, 1e-3, 1e-4, together=True)
    assert (array.pulses == 1).all()
