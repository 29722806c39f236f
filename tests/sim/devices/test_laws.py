"""Laws that families share, at points that can be computed by hand."""

import math

import numpy as np
import pytest

from ohmloom.sim.devices import REFERENCE_K
from ohmloom.sim.devices.laws import BOLTZMANN_EV, arrhenius


def test_arrhenius_is_one_at_the_reference_and_rises_with_temperature():
    kelvin = np.array([REFERENCE_K, 373.15])
    expected = math.exp(0.2 / BOLTZMANN_EV * (1 / REFERENCE_K - 1 / 373.15))
    assert arrhenius(0.2, kelvin) == pytest.approx([1.0, expected], rel=1e-13)
    same = np.broadcast_to(373.15, (3,))
    assert arrhenius(0.2, same).tolist() == [float(arrhenius(0.2, kelvin)[1])] * 3
