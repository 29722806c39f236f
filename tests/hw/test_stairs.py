"""Sweeps in volts per second: exact rates, whole steps, and what cannot be made."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ohmloom.hw.isa import pack_sweep
from ohmloom.hw.stairs import Pace, StairsError, gap_cycles, ramp

CLK_HZ = 48_000_000
PACE = Pace(gap=gap_cycles(load=50, shift=60, drive=576), settle=478, spacing=175)
LSB = 10 / 32768


def test_the_gap_is_the_formula_of_the_gateware():
    assert gap_cycles(load=6, shift=7, drive=12) == 24
    assert gap_cycles(load=6, shift=90, drive=12) == 105
    assert gap_cycles(load=6, shift=7, drive=3) == gap_cycles(load=6, shift=7, drive=7) == 19


def test_fifty_millivolts_a_second_is_exact_to_a_cycle():
    found = ramp(0.0, 1.0, 0.05, CLK_HZ, PACE)
    assert found.stairs.step == 1
    assert found.stairs.interval == round(LSB * CLK_HZ / 0.05) == 292_969
    assert abs(found.error) <= 0.5 / found.stairs.interval
    assert found.rate_v_s == pytest.approx(0.05, rel=2e-6)
    assert found.stop_volts == pytest.approx(1.0, abs=LSB / 2)
    assert len(found.stairs.codes()) == 2 * 3277 + 1


def test_a_rate_that_divides_has_no_error():
    found = ramp(-1.0, 1.0, LSB * 100, CLK_HZ, PACE, step_volts=LSB * 3)
    assert (found.stairs.interval, found.error) == (3 * CLK_HZ // 100, 0.0)


def test_the_finest_step_that_there_is_time_for_is_taken():
    found = ramp(0, 5, 100.0, CLK_HZ, PACE)
    shortest = PACE.gap + PACE.settle + 2
    assert found.stairs.interval >= shortest
    finer = (found.stairs.step - 1) * LSB * CLK_HZ / 100.0
    assert found.stairs.step > 1 and round(finer) < shortest


def test_conversions_come_at_the_end_of_a_step():
    stairs = ramp(0, 0.1, 0.05, CLK_HZ, PACE, average=3).stairs
    assert stairs.delay + 7 * stairs.spacing == stairs.width - 2
    assert stairs.interval - stairs.width == PACE.gap


@given(
    st.floats(-9.9, 9.9), st.floats(-9.9, 9.9), st.floats(1e-3, 50.0), st.integers(1, 2000),
    st.integers(0, 6), st.booleans(), st.sampled_from([12_000_000, 25_000_000, CLK_HZ]),
)  # fmt: skip
def test_what_is_made_is_near_what_was_asked(start, stop, rate, codes, average, both, clk_hz):
    asked = {"step_volts": codes * LSB, "both": both, "average": average}
    try:
        found = ramp(start, stop, rate, clk_hz, PACE, **asked)
    except StairsError:
        assert codes * LSB * clk_hz / rate < PACE.gap + PACE.settle + 63 * PACE.spacing + 4
        return
    stairs = found.stairs
    assert pack_sweep(stairs)
    assert stairs.step == codes and stairs.delay >= PACE.settle
    assert abs(found.start_volts - start) <= LSB / 2 + 1e-12
    assert abs(found.stop_volts - stop) < LSB * (codes + 0.5) + 1e-9
    assert abs(found.error) <= 0.51 / stairs.interval
    made = stairs.step * LSB * clk_hz / stairs.interval
    assert found.rate_v_s == pytest.approx(made, rel=1e-12)


@given(st.floats(0.01, 1000.0))
def test_without_a_step_one_is_found_or_refused(rate):
    assume(rate * (PACE.gap + PACE.settle + 3) < 9.0 * CLK_HZ)
    found = ramp(0, 9, rate, CLK_HZ, PACE)
    assert found.stairs.interval >= PACE.gap + PACE.settle + 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((0, 10.1, 0.05), "10.1 V is outside the rail's"),
        ((0, 1, 0.0), "0 V/s at 48000000 Hz"),
        ((0, 1, -1.0), "numbers above 0"),
        ((0, 1, 1e9), "the front end needs"),
        ((0, 1, 1e-12), "does not fit 40 bits"),
    ],
)
def test_what_cannot_be_made_is_refused(asked, said):
    with pytest.raises(StairsError, match=said):
        ramp(*asked, CLK_HZ, PACE)


def test_a_step_without_time_is_refused():
    with pytest.raises(StairsError, match="leaves 1465 cycles a step .* needs 2"):
        ramp(0, 1, 10.0, CLK_HZ, PACE, step_volts=LSB, average=3)
