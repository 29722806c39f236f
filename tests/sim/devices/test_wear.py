"""Endurance against temperature, and heating against use."""

from typing import Any

import numpy as np
import pytest

from ohmloom.sim.devices import CellState, EnduranceError, Health, Stress, load
from ohmloom.sim.devices.wear import count, endurance, refuse_worn, surface_rise

VB3 = load("vb3").mode("nonvolatile")
WEAR: Any = VB3.p.wear


def test_endurance_goes_through_the_points_of_the_source():
    kelvin = np.array([25, 60, 100, 150, 270]) + 273.15
    assert endurance(WEAR, kelvin).tolist() == [130, 110, 100, 110, 32]
    assert endurance(WEAR, (333.15 + 373.15) / 2) == pytest.approx(105)
    assert VB3.endurance(298.15) == 130


def test_cycles_are_counted_and_the_last_one_tells():
    state = CellState.blank(3).with_(cycles=np.array([128, 129, 129], dtype=np.uint32))
    stress = Stress.on((3,), 1.0, 1e-3)
    after = count(WEAR, state, stress, np.array([True, True, False]))
    assert after.cycles.tolist() == [129, 130, 129] and after.cycles.dtype == np.uint32
    assert after.health.tolist() == [Health.OK, Health.COLLAPSED, Health.OK]
    assert after.health.dtype == np.uint8


@pytest.mark.parametrize("health", [Health.OK, Health.STUCK_ON])
def test_only_switching_a_worn_cell_is_refused(health):
    used = 130 if health is Health.OK else 7
    state = CellState.blank(2).with_(
        cycles=np.array([0, used], dtype=np.uint32),
        health=np.array([0, health], dtype=np.uint8),
    )
    stress = Stress.on((2,), 1.0, 1e-3)
    refuse_worn(WEAR, state, stress, np.array([True, False]))
    with pytest.raises(EnduranceError, match=f"{used} cycles of the 130"):
        refuse_worn(WEAR, state, stress, np.array([False, True]))


@pytest.mark.parametrize(
    ("name", "cycles", "rise"),
    [
        ("cspbbr3_ogb", [50, 5000, 5655], [13, 84, 86]),
        ("cspbbr3_ddab", [50], [95]),
    ],
)
def test_heating_goes_through_the_points_of_the_source(name, cycles, rise):
    mode = load(name).mode("nonvolatile")
    assert mode.surface_rise(cycles).tolist() == rise
    between = mode.surface_rise(np.linspace(0, cycles[-1], 99))
    assert (np.diff(between) > 0).all()
    assert np.isnan(mode.surface_rise(cycles[-1] + 1))


def test_heating_that_no_source_gives_is_no_number():
    assert np.isnan(surface_rise([], [0, 10])).all()
    assert np.isnan(load("cspbbr3_film").mode("nonvolatile").surface_rise(3))
