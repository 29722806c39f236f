"""Drift: the power law, one interval or two, fresh after a pulse, and none without a section."""

from typing import Any

import numpy as np
import pytest

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.devices import CellState, Device, DeviceError, build, load
from ohmloom.sim.devices.drift import faded
from ohmloom.sim.devices.schema import Drift

LAW: dict[str, Any] = {
    "time": {"value": 1.0, "unit": "s", "assumed": "test"},
    "lrs_exponent": {"value": 0.05, "unit": "1", "assumed": "test"},
    "hrs_exponent": {"value": 0.01, "unit": "1", "assumed": "test"},
}
DRIFT = Drift.model_validate(LAW)


def cells() -> CellState:
    return CellState.blank(2).with_(g=np.array([1e-3, 1e-6]), w=np.array([1.0, 0.0]))


def test_it_is_a_power_of_the_time_since_the_pulse():
    after = faded(DRIFT, cells(), np.full(2, 999.0))
    assert after.g == pytest.approx([1e-3 * 1000**-0.05, 1e-6 * 1000**-0.01], rel=1e-12)
    assert after.s.tolist() == [999.0, 999.0]


def test_two_intervals_are_one():
    once = faded(DRIFT, cells(), np.full(2, 500.0))
    twice = faded(DRIFT, faded(DRIFT, cells(), np.full(2, 20.0)), np.full(2, 480.0))
    assert twice.g == pytest.approx(once.g, rel=1e-14)


def test_without_it_nothing_fades():
    state = cells()
    assert faded(None, state, np.full(2, 1e9)) is state


def drifting(name: str) -> Device:
    document = load(name).document()
    document["modes"]["nonvolatile"]["drift"] = LAW
    return build(document, name)


@pytest.mark.parametrize("name", ["cspbbr3_ogb", "vb3"])
def test_an_array_drifts_and_a_pulse_makes_it_young(name):
    array, cell = SimulatedArray(drifting(name), 1, 1, 1, seed=1), [0]
    limits = array.limits
    array.pulse(cell, limits.v_max, 10 * limits.width_min_s, limits.i_cc_max)
    fresh = array.read(cell)[0]
    made = array.g[0, 0, 0]
    array.wait(1e4)
    assert array.read(cell)[0] == pytest.approx(fresh * 1e4**-0.05, rel=0.05)
    array.pulse(cell, 0.0, limits.width_min_s, None)  # too weak to do anything
    assert array.g[0, 0, 0] == pytest.approx(made * (1e4 + 1) ** -0.05, rel=1e-6)
    array.pulse(cell, limits.v_min, 10 * limits.width_min_s, None)
    array.pulse(cell, limits.v_max, 10 * limits.width_min_s, limits.i_cc_max)
    assert array.state.s[0, 0, 0] == 0
    assert array.g[0, 0, 0] == pytest.approx(made, rel=0.5)


@pytest.mark.parametrize("name", ["cspbbr3_ogb", "vb3"])
def test_a_sweep_that_only_lets_time_pass_is_no_pulse(name):
    array = SimulatedArray(drifting(name), 1, 1, 3, seed=1)
    before = array.g.copy()
    array.sweep([0, 2], np.linspace(0, 0.05, 11), 1.0, 1e-4)
    assert (array.g[0, 0, [0, 2]] < before[0, 0, [0, 2]]).all() and not array.pulses.any()


def test_codes_follow():
    array = SimulatedArray(drifting("cspbbr3_ogb"), 1, 2, 2, seed=1)
    array.pulse(np.arange(4), 1.0, 1e-3, 1e-4)
    before = array.column_totals(0, [[1, 1]])[0]
    array.wait(1e6)
    assert (array.column_totals(0, [[1, 1]])[0] < 0.6 * before).all()


def test_cells_that_relax_by_a_law_of_their_own_have_none():
    document = load("ohm").document()
    document["modes"]["analog"]["drift"] = LAW
    with pytest.raises(DeviceError, match="modes.analog.drift: ionic cells relax by laws of their"):
        build(document, "mine")
