from __future__ import annotations

import numpy as np
import pytest

from ohmloom.sim.experiments import Bench
from ohmloom.sim.experiments.measure import (
    cycle_resistances,
    durability,
    probability,
    staircase,
    switching_voltage,
)


def test_staircase() -> None:
    assert staircase(-0.2, 0.1).tolist() == [0.0, -0.1, -0.2, -0.1, 0.0]


def test_switching_voltage() -> None:
    volts = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    conductance = np.array([[1.0, 1.0, 1.1, 5.0, 5.0], [9.0, 9.0, 3.0, 3.0, 3.0], np.ones(5)])
    found = switching_voltage(volts, conductance * volts)
    assert found.tolist() == [0.3, 0.2, np.inf]


def test_probability() -> None:
    values, percent = probability([[3.0, 1.0], [2.0, 4.0]])
    assert values.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert percent.tolist() == [12.5, 37.5, 62.5, 87.5]


def test_cycles_and_their_end() -> None:
    bench, cells = Bench(), np.arange(3)
    lrs, hrs = cycle_resistances(bench.array("vb3", 1, 3), cells, 4)
    assert lrs.shape == hrs.shape == (4, 3) and lrs.max() < hrs.min()
    limit = bench.device("vb3").number("modes.nonvolatile.wear.endurance")
    sets, _ = durability(bench.array("vb3", 1, 3), cells, 1000)
    assert sets.shape == (limit, 3)
    assert durability(bench.array("vb3"), cells[:1], 5)[1].shape == (5, 1)


def test_cells_do_not_depend_on_their_company() -> None:
    bench = Bench()
    together = cycle_resistances(bench.array("bion", 1, 3), np.arange(3), 2)[0]
    alone = cycle_resistances(bench.array("bion", 1, 3), np.array([2]), 2)[0]
    assert together[:, 2] == pytest.approx(alone[:, 0], rel=0, abs=0)
