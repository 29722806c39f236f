"""The lag behind the ADC inputs, against the closed form."""

import math

import numpy as np
import pytest

from ohmloom.sim.cosim.settling import Settling


def test_a_step_relaxes_exponentially():
    lag = Settling(2, tau=10.0)
    lag.set_target(0.0, np.array([100.0, -50.0]))
    assert lag.residual(30.0) == pytest.approx([-100 * math.exp(-3), 50 * math.exp(-3)])


def test_looking_changes_nothing():
    seen, unseen = Settling(1, tau=7.0), Settling(1, tau=7.0)
    for lag in (seen, unseen):
        lag.set_target(0.0, np.array([10.0]))
    for time in range(1, 20):
        seen.residual(float(time))
    assert seen.residual(20.0) == pytest.approx(unseen.residual(20.0), rel=1e-12)


def test_nothing_moves_during_the_dead_time():
    lag = Settling(1, tau=1.0, delay=5.0)
    lag.set_target(0.0, np.array([8.0]))
    assert lag.residual(5.0) == pytest.approx([-8.0])
    assert lag.residual(6.0) == pytest.approx([-8.0 * math.exp(-1)])


def test_a_second_step_starts_from_where_the_first_has_come():
    lag = Settling(1, tau=4.0)
    lag.set_target(0.0, np.array([1.0]))
    lag.set_target(4.0, np.array([0.0]))
    assert lag.residual(8.0) == pytest.approx([(1 - math.exp(-1)) * math.exp(-1)])
