"""Routines on the model: they are written against the protocol."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.boards.bench.routines import (
    Pulse,
    endurance,
    reset_pulse,
    retention,
    set_pulse,
    staircase,
)
from ohmloom.sim.array import ArrayError, SimulatedArray
from ohmloom.sim.devices import EnduranceError, load

CELLS = np.arange(4)


def array(name: str = "cspbbr3_ogb") -> SimulatedArray:
    return SimulatedArray(load(name), 1, 8, 8, 1)


def test_pulses_that_are_not_given_are_the_most() -> None:
    mine = array()
    assert set_pulse(mine, None, None, None) == Pulse(1.0, 5e-3, 2.5e-4)
    assert set_pulse(mine, 0.9, 1e-3, 1e-4) == Pulse(0.9, 1e-3, 1e-4)
    assert reset_pulse(mine, None, None) == Pulse(-1.5, 5e-3)
    assert set_pulse(array("ohm"), None, None, None).i_cc is None


def test_endurance_cycles_between_two_states() -> None:
    mine = array()
    found = list(
        endurance(mine, CELLS, set_pulse(mine, None, None, None), reset_pulse(mine, None, None), 3)
    )
    assert [cycle for cycle, _, _ in found] == [1, 2, 3]
    assert all((lrs > 10 * hrs).all() for _, lrs, hrs in found)
    assert (mine.pulses.reshape(-1)[CELLS] == 6).all()


def test_endurance_ends_with_the_cells() -> None:
    mine = array()
    mine.state.cycles[0, 0, 2] = 5654
    rounds = endurance(
        mine, CELLS, set_pulse(mine, None, None, None), reset_pulse(mine, None, None), 3
    )
    done = []
    with pytest.raises(EnduranceError, match="it lasts"):
        done += [found for _, *found in rounds]


def test_retention_reads_at_growing_times() -> None:
    mine = array("ohm")
    for _ in range(20):
        set_pulse(mine, 10.0, 0.05, None).on(mine, CELLS)
    begun = mine.elapsed_s
    found = list(retention(mine, CELLS, 0.1, 100.0, 4))
    assert [time for time, _ in found] == pytest.approx([0, 0.1, 1, 10, 100])
    assert mine.elapsed_s - begun == pytest.approx(100)
    assert all(siemens.shape == CELLS.shape for _, siemens in found)
    assert found[-1][1].mean() < found[0][1].mean()  # it relaxes


def test_staircases() -> None:
    assert staircase(-0.2, 0.1, both=True).tolist() == pytest.approx([0, -0.1, -0.2, -0.1, 0])
    assert staircase(0.2, 0.1, both=False).tolist() == pytest.approx([0, 0.1, 0.2])
    for stop, step in ((1.0, 0.0), (0.01, 0.1)):
        with pytest.raises(ArrayError, match="there is no step"):
            staircase(stop, step, both=False)
