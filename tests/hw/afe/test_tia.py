"""TIA ranges: time constants, what a reading is worth, and the table on the page."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from ohmloom.hw.afe import ad7606, ad7606c, tia
from ohmloom.hw.afe.adgs1414d import T_ON_PS
from ohmloom.hw.afe.array_card import ArrayCard, plane_period_cycles
from ohmloom.hw.afe.interface import PlaneStep, cycles_from_ps
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.ranges import FULL_CODES, JUMPS, RANGE_BITS, STEP, jump
from ohmloom.sim.converters import Converters

PAGE = (Path(__file__).parents[3] / "docs" / "array-card.md").read_text()


def test_the_page_has_the_table():
    assert "\n".join(tia.table()) in PAGE


def test_a_resistor_of_another_tolerance_is_not_the_page_s(monkeypatch):
    first, *rest = tia.RANGES
    monkeypatch.setattr(tia, "RANGES", (replace(first, tolerance=0.002), *rest))
    assert "\n".join(tia.table()) not in PAGE


def test_ranges_are_decades_from_2_ma_on_and_10_na_is_half_of_the_last():
    scales = [network.amperes for network in tia.RANGES]
    assert scales[0] == 2e-3
    for wide, narrow in zip(scales, scales[1:], strict=False):
        assert math.isclose(wide, STEP * narrow)
    assert scales[-1] / 2 == 10e-9 and len(scales) <= 1 << RANGE_BITS


def test_the_model_has_the_same_resistors():
    assert tuple(network.ohms for network in tia.RANGES) == Converters().tia_ohms


@pytest.mark.parametrize("tia_range", range(len(tia.RANGES)))
def test_a_full_scale_step_is_within_half_a_code_when_settled(tia_range):
    network = tia.RANGES[tia_range]
    slow = tia.tau_ps(tia_range)
    assert slow >= network.ohms * network.farads * 1e12 * (1 - 1e-9)
    fast = tia.pole_ps(ad7606c.BANDWIDTH_HZ)
    time = tia.settle_ps(tia_range) - T_ON_PS
    slow, fast = max(slow, fast), min(slow, fast)

    def left(after: float) -> float:
        return (slow * math.exp(-after / slow) - fast * math.exp(-after / fast)) / (slow - fast)

    assert 0 < left(time) < 0.5 / 2**16
    assert left(0.5 * time) > 0.5 / 2**16


@pytest.mark.parametrize("tia_range", range(len(tia.RANGES)))
def test_a_second_order_filter_has_settled_for_good(tia_range):
    """The AD7606's: TIA and Butterworth filter, whose remainder swings around zero."""
    part = ad7606.PART
    time = (tia.settle_ps(tia_range, part) - T_ON_PS) / 1e12
    w = 2 * math.pi * part.bandwidth_hz
    assert part.filter_ps == pytest.approx(1e12 * math.sqrt(2) / w, rel=1e-6)
    poles = np.polymul([tia.tau_ps(tia_range) / 1e12, 1], [1, math.sqrt(2) * w, w * w])
    moments, step = signal.step(([w * w], poles), T=np.linspace(0, 2 * time, 4001))
    left = np.abs(1 - step)
    assert left[moments >= time].max() < 0.5 / 2**16
    assert left[moments >= time / 2].max() > 0.5 / 2**16


def test_a_slow_converter_gives_as_much_noise_more():
    assert tia.noise_codes(0, ad7606.PART) > tia.noise_codes(0)


def test_the_default_range_settles_as_ever():
    assert tia.settle_ps(0) == tia.settle_ps(1) == tia.settle_ps() == 9_947_270
    for clk_hz in (48_000_000, 12_000_000):
        timing = ArrayCard(Geometry(), clk_hz).timing()
        assert timing.range_settle_ps == tuple(map(tia.settle_ps, range(len(tia.RANGES))))
        assert timing.settle_ps == timing.range_settle_ps[0]
        for tia_range, duration in enumerate(timing.range_settle_ps):
            period = plane_period_cycles(Geometry(), clk_hz, tia_range)
            assert period[PlaneStep.SETTLE] == cycles_from_ps(duration, clk_hz)


def test_limits_add_up():
    found = tia.uncertainty(3, average=4, source_ohms=5e6)
    assert found.gain == pytest.approx(0.01 + tia.ADC_GAIN)
    volts = 100e-6 * 2 + (10e-12 + 50e-12) * 5e6
    assert found.offset == pytest.approx(volts / (10 / 32768) + 12 + 2)
    assert found.noise == pytest.approx(tia.noise_codes(3) / 4)
    assert found.codes(-1000) == pytest.approx(10.8 + found.offset + 4 * found.noise + 0.5)
    better = tia.uncertainty(3, average=4, calibrated=True)
    assert better.codes(20000) < found.codes(20000) / 10
    # The resistor's own noise rules in no range: R_f and bandwidth go against each other.
    for tia_range in range(len(tia.RANGES)):
        assert ad7606c.NOISE_CODES < tia.noise_codes(tia_range) < 1


@pytest.mark.parametrize("hops", [0, 1, 2, 3])
def test_a_jump_lands_below_full_scale_and_no_longer_one_would(hops):
    highest = 32767 if hops == 0 else JUMPS[hops - 1]
    assert jump(highest) == jump(-highest) == hops
    if hops:
        assert highest * STEP**hops < FULL_CODES
        assert jump(highest + 1) == hops - 1
        assert (highest + 10) * STEP**hops > FULL_CODES
