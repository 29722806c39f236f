"""Cells behind lines with resistance: effective codes, of products and of single reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.sim.array import ArrayError, Lines, SimulatedArray
from ohmloom.sim.array.lines import Network, Wires
from ohmloom.sim.array.wired import Wired
from ohmloom.sim.devices import load

OGB = load("cspbbr3_ogb")
WIRES = Wires(4.0, 3.0, 20.0, 5.0)
ROWS, COLUMNS = 8, 12
TILE = 1


def made(wires: Wires | None = WIRES, *, passive: bool = False) -> SimulatedArray:
    """An array whose cells are on all conductances that SETs give."""
    array = SimulatedArray(OGB, 2, ROWS, COLUMNS, seed=5, wires=wires, passive=passive)
    cells = np.arange(array.g.size)
    array.pulse(cells, OGB.v_reset, OGB.reset_width_s, None)
    i_cc = np.random.default_rng(3).uniform(30e-6, 250e-6, cells.size)
    array.pulse(cells, OGB.v_set, OGB.set_width_s, i_cc)
    return array


def amperes(array: SimulatedArray, volts: np.ndarray, on: np.ndarray | None = None) -> np.ndarray:
    """Column currents of row voltages (rows, n) at 0 V, by the network of all lines."""
    g = array.g[TILE] if on is None else array.g[TILE] * on
    return Network(g, WIRES).solve(volts).column_amperes


def test_products_are_the_currents_of_the_network():
    array = made()
    volts = np.random.default_rng(1).integers(0, 2, (ROWS, 20)) * 0.1
    volts[:3, :10] = 0.0  # a group of rows: the others are at 0 V
    wanted = amperes(array, volts).T
    assert not np.allclose(wanted, volts.T @ array.g[TILE], rtol=0.02)
    total, _ = array.column_totals(TILE, (volts.T > 0).astype(np.int64))
    assert np.abs(0.1 * OGB.g_lsb * total - wanted).max() <= 0.1 * OGB.g_lsb * ROWS / 2
    operands = array.operands(Lines(TILE, 3, 5, range(0, 12, 2), range(1, 12, 2)))
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    assert np.array_equal(operands.total, array.g_code[TILE, 3:][:, order])


def test_an_mvm_is_the_same_with_its_noise():
    volts = np.random.default_rng(1).uniform(-0.1, 0.1, (200, ROWS))
    found = made().mvm(TILE, volts)
    wanted = amperes(made(), volts.T).T
    assert not np.allclose(found.mean(axis=0), (volts @ made().g[TILE]).mean(axis=0), rtol=0.01)
    spread = np.sqrt((volts**2) @ (OGB.read_noise * made().g[TILE]) ** 2)
    assert np.abs((found - wanted).mean(axis=0)).max() < 4 * spread.max() / np.sqrt(200)


@pytest.mark.parametrize("passive", [False, True])
def test_a_single_read_is_of_one_row_and_the_columns_that_are_on(passive):
    array, columns = made(passive=passive), [2, 3, 7]
    on = np.full(COLUMNS, passive)
    on[columns] = True
    volts = np.zeros((ROWS, 1))
    volts[5] = 1.0
    cells = array.tile_cells(TILE)[5, columns]
    wanted = amperes(array, volts, on)[columns, 0]
    total, variance, _ = array.verify_totals(cells)
    assert np.array_equal(total, OGB.g_codes(wanted))
    assert np.array_equal(variance, OGB.var_codes(wanted))
    summed, _ = array.column_totals(TILE, np.eye(ROWS, dtype=int)[5:6], gated=on)
    assert np.array_equal(summed[0, columns], total)
    # With all gates on, it is less or as much: other columns load the row.
    whole = array.g_code[TILE, 5, columns]
    assert (whole < total).all() != passive and np.array_equal(whole, total) == passive


def test_reads_of_several_rows_and_tiles_are_those_of_each_row():
    together, apart = made(), made()
    cells = np.array([3, 100, 5, ROWS * COLUMNS + 3, 17, 101, 4])
    found = together.verify_totals(cells)
    for row in ([0, 2, 6], [1, 3, 5], [4]):
        some = apart.verify_totals(cells[row])
        assert all(np.array_equal(f[row], s) for f, s in zip(found, some, strict=True))
    siemens = made().read(cells)
    assert np.allclose(siemens, found[0] * OGB.g_lsb, rtol=7 * OGB.read_noise)


def test_codes_follow_every_change_and_only_then_are_solved_for(monkeypatch):
    array = made()
    solved: list[Any] = []
    seen = Wired._seen
    monkeypatch.setattr(Wired, "_seen", lambda *args: (solved.append(0), seen(*args))[1])
    before = array.g_code.copy()
    array.column_totals(TILE, np.ones((1, ROWS), dtype=int))
    assert np.array_equal(array.g_code, before) and len(solved) == 2  # one for each tile
    array.pulse([ROWS * COLUMNS + 7], OGB.v_reset, OGB.reset_width_s, None)
    after = array.g_code.copy()
    assert len(solved) == 3
    assert np.array_equal(after[0], before[0])
    assert after[1, 0, 7] < before[1, 0, 7]
    assert (after[1, :, 6] != before[1, :, 6]).any()  # a neighbour of the cell
    array.stick([0], 1e-3)
    assert array.g_code[0, 0, 0] > before[0, 0, 0]
    array.pulse([0], OGB.v_set, OGB.set_width_s, 1e-4)
    assert np.array_equal(array.var_code[0], array.device.var_codes(np.minimum(
        Network(array.g[0], WIRES).transfer(), array.g[0]
    )))  # fmt: skip


def test_a_tile_is_taken_over_with_its_codes():
    array, other = made(), SimulatedArray(OGB, 2, ROWS, COLUMNS, 5, wires=WIRES)
    assert not other.tile_state_equal(array, TILE)
    other.copy_tile(array, TILE)
    assert other.tile_state_equal(array, TILE)
    assert np.array_equal(other.g_code[TILE], array.g_code[TILE])
    other.set_codes((TILE, 2, 3), 77)
    assert other.g_code[TILE, 2, 3] == 77 and not other.tile_state_equal(array, TILE)
    with pytest.raises(ArrayError, match="arrays whose lines differ do not match"):
        made(None).copy_tile(array, TILE)


def test_lines_of_almost_no_resistance_change_no_code():
    ideal, almost = made(None), made(Wires(1e-6, 1e-6))
    assert np.array_equal(ideal.g_code, almost.g_code)
    assert np.array_equal(ideal.var_code, almost.var_code)
    cells = np.arange(ideal.g.size)
    for one, two in zip(ideal.verify_totals(cells), almost.verify_totals(cells), strict=True):
        assert np.array_equal(one, two)


conductances = st.one_of(st.just(0.0), st.floats(1e-9, 1e-2))


@given(
    g=st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda shape: st.lists(
            conductances, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]
        ).map(lambda values: np.array(values).reshape(shape))
    ),
    ohms=st.floats(1e-3, 1e4),
    both=st.booleans(),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_effective_conductances_are_never_below_nothing(g, ohms, both, data):
    on = np.array(data.draw(st.lists(st.booleans(), min_size=g.shape[1], max_size=g.shape[1])))
    wires = Wires(ohms, 2 * ohms, drive_both=both, sense_both=not both)
    raw = Network(g * on, wires).transfer()
    assert raw.min() >= -1e-12 * g.max(initial=0.0)
    found = Wired(wires, passive=False).tile(0, g, on)
    assert (found >= 0).all() and not found[:, ~on].any()
    assert np.allclose(found, raw, rtol=1e-9, atol=1e-12 * g.max(initial=0.0))


def test_the_share_of_noise_is_never_too_small_and_too_large_by_little():
    def seen(g: np.ndarray, row: int, column: int, change: float) -> float:
        g = g.copy()
        g[row, column] *= change
        return float(Wired(WIRES, passive=False).tile(0, g)[row, column])

    g = np.random.default_rng(2).uniform(1e-5, 3e-4, (ROWS, COLUMNS))
    for row, column in [(0, 0), (0, 11), (3, 5), (7, 0), (7, 11)]:
        own, there = g[row, column], seen(g, row, column, 1.0)
        slope = (seen(g, row, column, 1.0 + 1e-6) - there) / (1e-6 * own)
        sneaking = seen(g, row, column, 0.0)
        path = (column + 1) * WIRES.row_ohms + (ROWS - row) * WIRES.column_ohms + 25.0
        taken = min(there, own) / own
        assert slope < taken < (slope * (1.0 + own * path) + sneaking / own) * (1 + 1e-6)
        assert taken < 1.03 * slope
