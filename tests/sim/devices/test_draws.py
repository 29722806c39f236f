"""Draws have their names' deviates, whatever they are asked with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.sim.devices import Draws
from ohmloom.sim.devices.draws import Z_MAX, Z_UNIT, Made, as_slice, decades
from ohmloom.sim.numerics import Domain, draw_normal, draw_normal_pair, normal_table


def test_decades():
    assert decades(np.array([-1.0, 0.0, 2.0])) == pytest.approx([0.1, 1.0, 100.0], rel=1e-14)


def test_draws_are_the_named_ones():
    cells, pulses = np.array([5, 9]), np.array([0, 3])
    draws = Draws(7, cells, pulses)
    for number in range(4):
        word = draw_normal_pair(7, Domain.PULSE, cells, pulses, number // 2)[number % 2]
        assert np.array_equal(Draws(7, cells, pulses).pulse(number) * 4096, word)
        assert np.array_equal(draws.pulse(number) * 4096, word)  # the first from the second's
    assert np.array_equal(draws.made(1) * 4096, draw_normal(7, Domain.DEVICE, cells, 0, 1))
    assert draws.take([1]).pulse(0) == draws.pulse(0)[1]


@given(st.floats(1e-6, 0.5) | st.just(0.0))
def test_a_spread_and_a_factor_are_those_of_the_deviate(spread):
    cells = np.arange(500)
    draws = Draws(7, cells, np.zeros(500, dtype=np.uint32))
    assert np.array_equal(draws.pulse(1, spread), spread * draws.pulse(1))
    assert np.array_equal(draws.made(0, spread), spread * draws.made(0))
    assert np.array_equal(draws.pulse_factor(1, spread), decades(spread * draws.pulse(1)))
    assert np.array_equal(draws.made_factor(0, spread), decades(spread * draws.made(0)))


def test_no_deviate_is_beyond_the_table_of_factors():
    assert np.abs(normal_table()).max() * Z_UNIT <= Z_MAX


def test_what_cells_were_made_with_is_drawn_once_and_the_same():
    cells, pulses = np.array([5, 9, 2]), np.zeros(3, dtype=np.uint32)
    known = Made(7, 12)
    assert np.array_equal(Draws(7, cells, pulses, known).made(3), Draws(7, cells, pulses).made(3))
    run = np.arange(4, 8)
    for index in (None, slice(4, 8)):
        kept = Draws(7, run, run, known, index)
        drawn = Draws(7, run, run)
        assert np.array_equal(kept.made(3), drawn.made(3))
        assert np.array_equal(kept.take([1, 3]).made(3), drawn.take([1, 3]).made(3))
    assert known.deviates(3) is known.deviates(3) and known.deviates(3).dtype == np.int16


def test_a_slice_is_found_in_any_length():
    assert as_slice(np.array([4, 5, 6])) == slice(4, 7)
    assert isinstance(as_slice(np.array([4, 6, 5])), np.ndarray)
    run = np.arange(7, 100_007)
    assert as_slice(run) == slice(7, 100_007)
    run[[70_000, 70_001]] = run[[70_001, 70_000]]  # the ends are as if
    assert isinstance(as_slice(run), np.ndarray)
