"""Stress and draws; every family has what the protocol lists."""

import numpy as np
import pytest

from ohmloom.sim.devices import REFERENCE_K, Draws, Stress
from ohmloom.sim.devices.families import CHARGE_FAMILIES, FAMILIES, WEIGHT_FAMILIES
from ohmloom.sim.devices.schema import ModeSection
from ohmloom.sim.numerics import Domain, draw_normal

FUNCTIONS = ("pristine", "enter", "refuse", "drive", "relax", "current", "window")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_what_the_protocol_lists(name):
    family = FAMILIES[name]
    assert all(callable(getattr(family, function)) for function in FUNCTIONS)
    assert issubclass(family.Parameters, ModeSection)
    assert isinstance(family.RELAXES, bool)


def test_special_families_are_families():
    for special, functions in (
        (WEIGHT_FAMILIES, ("programming",)),
        (CHARGE_FAMILIES, ("charge", "voltage")),
    ):
        for name, family in special.items():
            assert FAMILIES[name] is family
            assert all(callable(getattr(family, function)) for function in functions)


def test_stress_broadcasts_and_has_no_limit_unless_given():
    stress = Stress.on((2, 3), [1.0, 2.0, 3.0], 1e-3)
    assert stress.volts.shape == stress.seconds.shape == stress.i_cc.shape == (2, 3)
    assert np.isinf(stress.i_cc).all() and (stress.temperature_k == REFERENCE_K).all()
    some = Stress.on((3,), [1.0, 2.0, 3.0], 1e-3, 1e-4, 300.0, quasi_static=True).take([2, 0])
    assert some.volts.tolist() == [3.0, 1.0] and some.quasi_static
    assert some.i_cc.tolist() == [1e-4] * 2 and some.temperature_k.tolist() == [300.0] * 2


def test_draws_are_the_named_ones():
    cells, pulses = np.array([5, 9]), np.array([0, 3])
    draws = Draws(7, cells, pulses)
    assert np.array_equal(draws.pulse(2) * 4096, draw_normal(7, Domain.PULSE, cells, pulses, 2))
    assert np.array_equal(draws.made(1) * 4096, draw_normal(7, Domain.DEVICE, cells, 0, 1))
    assert draws.take([1]).pulse(0) == draws.pulse(0)[1]
