"""Levels are whole codes."""

import numpy as np
import pytest

from ohmloom.sim.devices import DeviceError, load
from ohmloom.sim.devices.levels import level_codes
from ohmloom.sim.devices.schema import Codes

P = load("cspbbr3_ogb").mode("nonvolatile").p


def codes(g_lsb):
    return Codes.model_validate({"g_lsb": {"value": g_lsb, "unit": "S", "assumed": "test"}})


@pytest.mark.parametrize("g_lsb", [6.103515625e-8, 1e-6, 7e-6])
def test_equal_steps_inside_the_window(g_lsb):
    assert P.levels is not None
    found = level_codes(P.levels, codes(g_lsb))
    assert found.size == 32 and found.dtype == np.int64
    assert len(set(np.diff(found).tolist())) == 1
    assert found[0] * g_lsb >= 0.1e-3 and found[-1] * g_lsb <= 0.35e-3


def test_codes_that_are_too_coarse():
    assert P.levels is not None
    with pytest.raises(DeviceError, match="too coarse for 32 levels"):
        level_codes(P.levels, codes(1e-5))
