"""Stress and draws; every family has what the protocol lists."""

import numpy as np
import pytest

from ohmloom.sim.devices import REFERENCE_K, Draws, Stress
from ohmloom.sim.devices.families import CHARGE_FAMILIES, FAMILIES, WEIGHT_FAMILIES
from ohmloom.sim.devices.family import Made, as_slice, marked, once
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


def test_what_cells_were_made_with_is_drawn_once_and_the_same():
    cells, pulses = np.array([5, 9, 2]), np.zeros(3, dtype=np.uint32)
    known = Made(7, 12)
    assert np.array_equal(Draws(7, cells, pulses, known).made(3), Draws(7, cells, pulses).made(3))
    run = np.arange(4, 8)
    kept, drawn = Draws(7, run, run, known).take([1, 3]), Draws(7, run, run).take([1, 3])
    assert np.array_equal(kept.made(3), drawn.made(3))
    assert known.deviates(3) is known.deviates(3) and known.deviates(3).dtype == np.int16


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
    assert as_slice(np.array([4, 5, 6])) == slice(4, 7)
    assert isinstance(as_slice(np.array([4, 6, 5])), np.ndarray)
    assert marked(np.array([True, True])) == slice(None)
    assert marked(np.array([True, False])).tolist() == [True, False]
