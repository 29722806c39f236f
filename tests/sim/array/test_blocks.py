"""Batches in blocks: nothing left out, runs as slices, and no trace of where the cuts are."""

import numpy as np
import pytest

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.array import blocks as module
from ohmloom.sim.array.blocks import blocks
from ohmloom.sim.devices import ComplianceError, load


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "SIZE", 7)


def test_blocks_cover_a_batch_in_order(small):
    cells = np.r_[np.arange(10, 24), 3, 1]
    found = list(blocks(cells))
    assert np.concatenate([block.cells for block in found]).tolist() == cells.tolist()
    assert all(np.array_equal(cells[block.where], block.cells) for block in found)
    assert [block.index for block in found[:2]] == [slice(10, 17), slice(17, 24)]
    assert isinstance(found[2].index, np.ndarray) and found[2].index.tolist() == [3, 1]
    assert list(blocks(np.empty(0, dtype=np.int64))) == []


def _run(device: str, mode: str) -> list[np.ndarray]:
    array = SimulatedArray(load(device), 1, 5, 8, seed=4)
    if mode != array.device.modes[0].name:
        array.set_mode(mode)
    limits = array.limits
    i_cc = limits.i_cc_max if np.isfinite(limits.i_cc_max) else None
    grid = np.arange(40).reshape(5, 8)
    for volts in (limits.v_min, limits.v_max):
        array.pulse(grid, np.linspace(0.9, 1, 8) * volts, 2 * limits.width_min_s, i_cc)
        array.wait(1e-3)
    swept = array.sweep(grid[::-1], np.linspace(0, 0.3 * limits.v_max, 4), 1e-3, i_cc)
    return [swept, array.read(grid), array.state.g, array.state.pulses, array.state.time]


@pytest.mark.parametrize(
    ("device", "mode"),
    [("cspbbr3_ogb", "nonvolatile"), ("cspbbr3_ogb", "volatile"), ("vb3", "nonvolatile"),
     ("ohm", "analog")],
)  # fmt: skip
def test_the_cuts_leave_no_trace(device, mode, monkeypatch):
    whole = _run(device, mode)
    monkeypatch.setattr(module, "SIZE", 7)
    for one, cut in zip(whole, _run(device, mode), strict=True):
        assert np.array_equal(one, cut)


def test_a_pulse_refused_in_the_last_block_changes_no_cell_of_the_first(small):
    array = SimulatedArray(load("cspbbr3_ogb"), 1, 4, 5, seed=1)
    before, i_cc = array.g.copy(), np.full(20, 1e-4)
    i_cc[19] = 15e-6  # between the volatile limit and the line
    with pytest.raises(ComplianceError):
        array.pulse(np.arange(20), 1.0, 1e-3, i_cc)
    assert np.array_equal(array.g, before) and not array.pulses.any()
    assert array.elapsed_s == 0
