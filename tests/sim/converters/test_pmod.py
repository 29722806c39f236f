"""The pmod front end's transfer functions: what its parts do to codes, and who fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.afe import pmod as card
from ohmloom.sim.converters import ConverterError, Converters
from ohmloom.sim.converters import pmod as converters
from ohmloom.sim.converters.pmod import PmodConverters, for_device
from ohmloom.sim.devices import load

PMOD = PmodConverters(limit_amperes=(1e-5, 3e-5, 9e-5))
LSB = 2.5 / 4096


def test_the_rules_are_the_front_end_s():
    for name in ("CLIP_CODES", "LIMITS", "LIMIT_BASE"):
        assert getattr(converters, name) == getattr(card, name)
    assert converters.GATE_ON_CODE == card.ZERO_CODE + card.GATE_CODES


@given(st.integers(0, 0xFFFF))
def test_rail_codes_lose_their_lowest_four_bits(code):
    assert PMOD.dac_volts(code) == ((code >> 4) - 2048) * LSB
    assert PMOD.dac_code(PMOD.dac_volts(code)) == code & 0xFFF0


@given(st.floats(-1.25, 1.2493))
def test_the_nearest_code_is_chosen_and_a_read_never_exceeds(volts):
    assert abs(PMOD.dac_volts(PMOD.dac_code(volts)) - volts) <= LSB / 2 * (1 + 1e-9)
    if volts >= 0:
        read = PMOD.dac_volts(PMOD.read_code(volts))
        assert volts - LSB * (1 + 1e-9) <= read <= volts


@pytest.mark.parametrize("volts", [-1.2501, 1.2499, 2.0, -10.0])
def test_volts_beyond_mid_rail_are_refused(volts):
    with pytest.raises(ConverterError, match="outside the DAC's -1.25"):
        PMOD.dac_code(volts)


def test_mid_scale_is_zero():
    assert PMOD.dac_code(0.0) == card.ZERO_CODE and PMOD.dac_volts(card.ZERO_CODE) == 0.0


@settings(deadline=None)
@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=8))
def test_conversions_are_the_card_s_at_12_bits(totals):
    gain = PMOD.gain(6.1e-8, 0.1, 0)
    codes, saturated = PMOD.convert(totals, 0, 0, gain, 0)
    exact = np.array(totals) * float(gain) / 16
    inside = ~saturated
    assert (codes[inside] % 16 == 0).all()
    assert (np.abs(codes[inside] / 16 - exact[inside]) <= 0.5).all()
    assert set(codes[saturated].tolist()) <= {-32768, 32767}
    edge = 2048 - card.CLIP_CODES
    assert np.array_equal(saturated, (np.rint(exact) < -edge) | (np.rint(exact) >= edge))
    assert np.array_equal(PMOD.raw(codes)[inside], np.rint(exact[inside]) + 2048)


def test_noise_is_rounded_with_the_sum():
    """Not first the sum and then the noise: one rounding, as in the array card's engine."""
    gain = PMOD.gain(6.1e-8, 0.1, 0)
    total, sigma, z = 777, 10, 3 << 12
    code, _ = PMOD.convert(total, sigma**2, z, gain, 0)
    assert int(code) == 16 * round((total + sigma * 3) * float(gain) / 16)


def test_each_resistor_has_a_code_and_other_currents_are_refused():
    codes = PMOD.gate_code(np.array([1e-5, 3.1e-5, 9e-5]))
    assert codes.tolist() == [0x9000, 0xA000, 0xB000]
    assert PMOD.i_cc(codes).tolist() == list(PMOD.limit_amperes)
    assert PMOD.i_cc([0x8000, 0x8FFF, 0xC000, 0, 0x9FFF]).tolist() == [0, 0, 0, 0, 1e-5]
    with pytest.raises(ConverterError, match="I_cc = 2e-05 A, the resistors are for 1e-05 A"):
        PMOD.gate_code([1e-5, 2e-5])
    with pytest.raises(ConverterError, match="no resistor"):
        PmodConverters().gate_code(1e-5)


@pytest.mark.parametrize("limits", [(2e-5, 1e-5), (1e-5, 1e-5), (0.0,), (1e-5, 2e-5, 3e-5, 4e-5)])
def test_resistors_that_cannot_be_are_refused(limits):
    with pytest.raises(ConverterError, match="limit_amperes"):
        PmodConverters(limit_amperes=limits)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cspbbr3_ogb", ["RESET at -1.5 V, it gives -1.25 to 1.249 V", "32 compliance currents"]),
        ("bion", ["SET at 1.3 V", "RESET at -2 V", "A in a column of 4 rows, its TIA takes"]),
        ("vb3", ["RESET at -8.2 V"]),
    ],
)
def test_devices_that_need_more_are_refused_by_name_with_the_numbers(name, words):
    with pytest.raises(ConverterError) as refused:
        for_device(load(name), 4)
    for word in [f"{name} does not fit the pmod front end", *words]:
        assert word in str(refused.value)


def test_the_page_quotes_the_refusal():
    page = (Path(__file__).parents[3] / "docs" / "pmod.md").read_text()
    quoted = " ".join(line[2:] for line in page.splitlines() if line.startswith("> "))
    with pytest.raises(ConverterError) as refused:
        for_device(load("cspbbr3_ogb"), 4)
    assert str(refused.value) == quoted


def test_full_scale_is_below_the_card_s():
    """The converter clips before the TIA: 1.1 V of the 1.25 V that it can swing."""
    assert PMOD.adc_volts_span == pytest.approx(1.1)
    assert PMOD.adc_volts_span < PMOD.dac_volts_span < Converters().dac_volts_span
