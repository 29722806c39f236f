"""The meter against hand calculations; the array itself does the same as without it."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.sim.array import MeteredArray, SimulatedArray
from ohmloom.sim.devices import load

IDEAL, OGB = load("ideal"), load("cspbbr3_ogb")
G = 2e-4


@pytest.fixture
def array() -> MeteredArray:
    """Two tiles of resistors of 5 kohm."""
    made = MeteredArray(IDEAL, 2, 8, 4, seed=3)
    made.stick(np.arange(made.g.size), G)
    return made


def test_products_of_resistors_take_what_ohm_says(array: MeteredArray) -> None:
    array.drives(1, 1, np.full(3, 5.0))  # three rows of four columns, five times
    assert array.driven.sum() == 15 and array.driven[1, 1] == 5
    joules = array.product_joules(0.1, 1e-5)
    assert not joules[0].any() and not joules[1, [0, 4, 5, 6, 7]].any()
    np.testing.assert_allclose(joules[1, 1:4], 0.1**2 * G * 1e-5 * 5 * 4, rtol=1e-12)
    np.testing.assert_allclose(array.product_joules(0.2, 1e-5), 4 * joules, rtol=1e-12)
    np.testing.assert_allclose(array.product_joules(0.1, [[7.0], [3e-5]]), 3 * joules, rtol=1e-12)


def test_pulses_of_resistors_take_what_ohm_says(array: MeteredArray) -> None:
    array.pulse([3, 5], -1.5, 1e-3, None)
    array.pulse([5], -1.5, 2e-3, None)
    wanted = np.zeros(array.g.size)
    wanted[3], wanted[5] = 1.5**2 * G * 1e-3, 1.5**2 * G * 3e-3
    np.testing.assert_allclose(array.pulse_joules.reshape(-1), wanted, rtol=1e-12)


def test_a_compliance_current_limits_what_a_pulse_takes(array: MeteredArray) -> None:
    array.pulse([0, 1], 1.0, 1e-3, [1e-4, 2.5e-4])  # of 0.2 mA
    np.testing.assert_allclose(array.pulse_joules.reshape(-1)[:2], [1e-7, 2e-7], rtol=1e-12)


def test_a_set_counts_the_current_that_it_ends_with() -> None:
    array = MeteredArray(OGB, 1, 1, 1, seed=1)
    array.pulse([0], OGB.v_set, OGB.set_width_s, 1e-4)
    assert array.pulse_joules[0, 0, 0] == pytest.approx(OGB.v_set * 1e-4 * OGB.set_width_s)
    before = float(array.g[0, 0, 0])
    array.pulse([0], OGB.v_reset, OGB.reset_width_s, None)
    reset = OGB.v_reset**2 * before * OGB.reset_width_s
    assert array.pulse_joules[0, 0, 0] == pytest.approx(1e-7 * OGB.v_set + reset)
    assert array.g[0, 0, 0] < before / 10  # it is off, and not what the energy was counted with


def test_it_does_what_an_array_without_a_meter_does() -> None:
    plain, metered = (kind(OGB, 1, 8, 8, seed=7) for kind in (SimulatedArray, MeteredArray))
    for array in (plain, metered):
        array.pulse(np.arange(64), OGB.v_reset, OGB.reset_width_s, None)
        array.pulse(np.arange(32), OGB.v_set, OGB.set_width_s, np.linspace(4e-5, 2e-4, 32))
    assert metered.tile_state_equal(plain, 0)
    assert metered.elapsed_s == plain.elapsed_s
