"""Charges in amperes and seconds: rounding said, and limits kept inside what was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ohmloom.hw.afe import array_card
from ohmloom.hw.charge import SOURCE_OHMS, ChargeError, constant_current, source_code
from ohmloom.hw.isa import pack_pulse, unpack_pulse
from ohmloom.hw.stairs import Pace
from ohmloom.sim.converters import Converters

CLK = 48_000_000
PACE = Pace(gap=600, settle=480, spacing=150)
CARD = Converters()


def test_the_source_is_the_same_everywhere():
    assert SOURCE_OHMS == array_card.SOURCE_OHMS == CARD.source_ohms


@pytest.mark.parametrize(
    ("amperes", "index"),
    [(10e-6 * 32767 / 32768, 0), (-10e-6, 0), (1.1e-6, 0), (1e-6, 0), (0.99e-6, 1),
     (50e-9, 2), (5e-9, 3), (-1e-9, 3), (0.0, 3)],
)  # fmt: skip
def test_a_current_is_made_in_the_finest_range_that_reaches_it(amperes, index):
    code, found = source_code(amperes)
    assert found == index
    made = CARD.source_amperes(code, found)
    assert abs(made - amperes) <= CARD.dac_lsb / SOURCE_OHMS[index] / 2
    charge = constant_current(amperes, 1.0, CLK, PACE)
    assert charge.amperes == pytest.approx(made, rel=1e-15)
    assert (charge.train.rail, charge.train.source_range) == (code, index)
    if amperes:
        assert charge.error == pytest.approx(made / amperes - 1, abs=1e-12)


@pytest.mark.parametrize("amperes", [10.1e-6, -10.1e-6, 10e-6, 1e-13])
def test_a_current_that_no_range_makes_is_refused(amperes):
    with pytest.raises(ChargeError, match="beyond the current source|less than half a step"):
        constant_current(amperes, 1.0, CLK, PACE)


def test_samples_are_equally_spaced_and_the_last_is_at_the_end():
    charge = constant_current(
        5e-9, 900.0, CLK, PACE, samples=200, rest_seconds=60.0, rest_samples=3,
        low_volts=0.1, high_volts=3.5, average=1,
    )  # fmt: skip
    train = charge.train
    assert unpack_pulse(pack_pulse(train)) == train
    assert train.delay + 399 * train.spacing == train.width - 2 == 900 * CLK - 2
    assert train.after_delay + 5 * train.after_spacing == 60 * CLK
    assert charge.step_seconds == 4.5 and charge.rest_seconds == 60.0
    assert train.react == 154


def test_limits_are_kept_inside():
    charge = constant_current(1e-6, 1.0, CLK, PACE, samples=9, low_volts=0.1, high_volts=3.5)
    assert 0.1 <= charge.low_volts < 0.1 + CARD.adc_lsb
    assert 3.5 - CARD.adc_lsb < charge.high_volts <= 3.5
    codes = CARD.voltage_codes([charge.low_volts, charge.high_volts]).tolist()
    assert codes == [charge.train.v_low, charge.train.v_high]
    free = constant_current(1e-6, 1.0, CLK, PACE).train
    assert (free.v_low, free.v_high) == (-32768, 32767)


def test_as_many_samples_as_there_is_time_for():
    dense = PACE.settle + 2 + 9 * 155
    seconds = dense / CLK
    train = constant_current(1e-6, seconds, CLK, PACE, samples=2).train
    assert train.delay >= PACE.settle
    for samples in (9, 12, 13):
        with pytest.raises(ChargeError, match="the front end needs 480"):
            constant_current(1e-6, seconds * (1 - 1e-3) - 480 / CLK, CLK, PACE, samples=samples)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": 0.0}, "0 cycles"),
        ({"seconds": 23_000.0}, "accepted are 1..2"),
        ({"low_volts": 2.0, "high_volts": 1.0, "samples": 5}, "ascending order"),
        ({"high_volts": 10.1, "samples": 5}, "within"),
        ({"high_volts": 1.0}, "never seen"),
        ({"rest_samples": 5, "rest_seconds": 1e-6}, "samples in the rest"),
    ],
)
def test_what_cannot_be_made_is_refused(changes, said):
    wanted = {"amperes": 1e-6, "seconds": 1.0, "clk_hz": CLK, "pace": PACE} | changes
    with pytest.raises(ChargeError, match=said):
        constant_current(**wanted)


def test_a_short_rest_needs_the_settling_and_two_cycles_more():
    rest = (PACE.settle + 2) / CLK
    train = constant_current(0.0, 1e-3, CLK, PACE, rest_seconds=rest, rest_samples=1).train
    assert train.after_delay == PACE.settle + 2
    with pytest.raises(ChargeError):
        constant_current(0.0, 1e-3, CLK, PACE, rest_seconds=rest - 1 / CLK, rest_samples=1)
    assert replace(train, after=0).rail == 0x8000
