from __future__ import annotations

import numpy as np

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.cosim.metered import G_LSB, MeteredCells
from ohmloom.sim.devices import load

CELLS = np.arange(8, 16)


def cells(name: str) -> tuple[SimulatedArray, MeteredCells]:
    array = SimulatedArray(load(name), 2, 8, 8, 1)
    return array, MeteredCells(array)


def test_single_reads_are_the_arrays_own() -> None:
    array, mine = cells("bion")
    array.pulse(CELLS[:4], 1.3, 5e-3, 5e-3)
    total, variance, z = mine.verify_totals(CELLS)
    there = SimulatedArray(load("bion"), 2, 8, 8, 1)
    there.pulse(CELLS[:4], 1.3, 5e-3, 5e-3)
    found = (total + np.sqrt(variance) * z / 4096) * G_LSB
    # States four decades apart, each to a part in a million.
    assert total[:4].min() > 1e4 * total[4:].max()
    assert np.allclose(found, there.read(CELLS), rtol=1e-5)
    assert (array.reads == there.reads).all()


def test_columns_are_sums_of_single_reads() -> None:
    _, mine = cells("vb1")  # a device that holds no weights
    bits = np.zeros((2, 8), dtype=np.int64)
    bits[0, [1, 3]] = bits[1, 7] = 1
    total, variance = mine.column_totals(1, bits)
    rows = [mine.verify_totals(64 + 8 * row + np.arange(8)) for row in (1, 3, 7)]
    assert (total[0] == rows[0][0] + rows[1][0]).all() and (total[1] == rows[2][0]).all()
    assert (variance[0] == rows[0][1] + rows[1][1]).all()


def test_all_else_is_the_arrays() -> None:
    array, mine = cells("ohm")
    mine.pulse(CELLS, 5.0, 0.01, None)
    mine.wait(1.0)
    assert array.elapsed_s == mine.elapsed_s and (array.pulses.reshape(-1)[CELLS] == 1).all()
    assert mine.device.modes is array.device.modes
