"""Stress; every family has what the protocol lists."""

import numpy as np
import pytest

from ohmloom.sim.devices import REFERENCE_K, Stress
from ohmloom.sim.devices.families import CHARGE_FAMILIES, FAMILIES, WEIGHT_FAMILIES
from ohmloom.sim.devices.family import marked, narrow, once, replaced
from ohmloom.sim.devices.schema import ModeSection

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


def test_a_law_of_one_stress_is_evaluated_once():
    seen = []

    def law(volts, seconds):
        seen.append(volts.size)
        return volts * seconds

    same = Stress.on((2, 3), 2.0, 0.5)
    assert once(law, same.volts, same.seconds).tolist() == [[1.0] * 3] * 2
    other = Stress.on((2,), [1.0, 2.0], 0.5)
    assert once(law, other.volts, other.seconds).tolist() == [0.5, 1.0]
    assert seen == [1, 2]


def test_a_flat_stress_is_the_same_in_one_row():
    flat = Stress.on((2, 2), [[1.0, 2.0], [3.0, 4.0]], 1e-3, quasi_static=True).flat()
    assert flat.volts.tolist() == [1.0, 2.0, 3.0, 4.0] and flat.quasi_static
    assert flat.seconds.tolist() == [1e-3] * 4 and flat.seconds.strides == (0,)


def test_indices_copy_nothing_where_they_need_not():
    assert marked(np.array([True, True])) == slice(None)
    assert marked(np.array([True, False])).tolist() == [True, False]


def test_narrow_gives_one_value_for_cells_that_are_the_same():
    assert narrow(np.broadcast_to(2.0, (3, 2))).tolist() == [[2.0]]
    assert narrow(np.array([2.0, 2.0])).tolist() == [2.0, 2.0]


def test_replaced_leaves_what_it_was_given():
    values = np.array([1.0, 2.0, 3.0])
    assert replaced(values, slice(None), values * 2).tolist() == [2.0, 4.0, 6.0]
    assert replaced(values, values > 1, np.array([8.0, 9.0])).tolist() == [1.0, 8.0, 9.0]
    assert values.tolist() == [1.0, 2.0, 3.0]
