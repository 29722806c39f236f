"""The lags behind the ADC inputs, against the closed form and a numerical solution."""

import math

import numpy as np
import pytest
from scipy import signal

from ohmloom.sim.cosim.settling import Filtered, Settling


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


def test_a_filter_without_a_lag_is_butterworth_s():
    tau = 5.0
    filtered = Filtered(1, 1e-9, tau)
    filtered.set_target(0.0, np.array([1.0]))
    for time in (0.5, 3.0, 11.0, 40.0):
        swing = math.sqrt(2) * math.sin(time / tau + math.pi / 4)
        wanted = -math.exp(-time / tau) * swing
        assert filtered.residual(time) == pytest.approx([wanted], rel=1e-6)
        assert filtered.remainder(time, 1e-9) == pytest.approx(-wanted, rel=1e-6)


@pytest.mark.parametrize("tau", [0.1, 2.5, 5.0, 7.0, 80.0])
def test_a_lag_before_a_filter_is_their_cascade(tau):
    """Steps up and down before either has settled, against a solver."""
    width, filter_tau = 20.0, 5.0
    w = math.sqrt(2) / filter_tau
    moments = np.linspace(0, 60, 6001)
    driven = np.where(moments < width, 1.0, -0.5)
    poles = np.polymul([tau, 1], [1, math.sqrt(2) * w, w * w])
    _, wanted, _ = signal.lsim(([w * w], poles), driven, moments, interp=False)
    filtered = Filtered(1, tau, filter_tau)
    filtered.set_target(0.0, np.array([1.0]))
    for time in range(1, 60):
        if time == width:
            filtered.set_target(width, np.array([-0.5]))
        assert filtered.residual(time) + filtered.target == pytest.approx(
            [wanted[100 * time]], abs=1e-6
        )


def test_looking_changes_nothing_behind_a_filter():
    seen, unseen = Filtered(1, 7.0, 4.0), Filtered(1, 7.0, 4.0)
    for lag in (seen, unseen):
        lag.set_target(0.0, np.array([10.0]))
    for time in range(1, 20):
        seen.residual(float(time))
    assert seen.residual(20.0) == pytest.approx(unseen.residual(20.0), rel=1e-9)


def test_what_is_left_of_a_step_is_the_same_either_way():
    for lag in (Settling(1, 3.0), Filtered(1, 3.0, 4.0)):
        lag.set_target(0.0, np.array([1.0]))
        assert lag.residual(6.0) == pytest.approx([-lag.remainder(6.0, 3.0)])
        assert lag.remainder(0.0, 3.0) == pytest.approx(1.0)
