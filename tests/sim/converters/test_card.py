"""Transfer functions of the array card, against exact rationals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.sim.converters import ADC_MAX, ADC_MIN, ConverterError, Converters, Gain
from ohmloom.sim.converters.pmod import PmodConverters
from ohmloom.sim.devices import load

CARD = Converters()


@given(st.integers(0, 0xFFFF))
def test_dac_codes_and_volts_invert_each_other(code):
    volts = CARD.dac_volts(code)
    assert Fraction(volts) == Fraction(20, 1 << 16) * (code - 0x8000)
    assert CARD.dac_code(volts) == code


@given(st.floats(0.0, 9.9))
def test_a_read_code_is_at_or_just_under_the_voltage(volts):
    given_volts = CARD.dac_volts(CARD.read_code(volts))
    assert volts - CARD.dac_lsb < given_volts <= volts


def test_a_negative_read_voltage_is_refused():
    with pytest.raises(ConverterError, match="negative"):
        CARD.read_code(-0.1)


@given(st.floats(-10, 9.999))
def test_a_dac_code_is_the_nearest(volts):
    assert abs(CARD.dac_volts(CARD.dac_code(volts)) - volts) <= CARD.dac_lsb / 2 * (1 + 1e-9)


@pytest.mark.parametrize("volts", [10.0, -10.01, math.nan, math.inf])
def test_a_voltage_beyond_the_dac_is_refused(volts):
    with pytest.raises(ConverterError, match="outside"):
        CARD.dac_code(volts)


@pytest.mark.parametrize("code", [-1, 1 << 16])
def test_a_code_of_more_than_16_bits_is_refused(code):
    with pytest.raises(ConverterError, match="0..65535"):
        CARD.dac_volts(code)
    with pytest.raises(ConverterError, match="0..65535"):
        CARD.i_cc(code)


def test_the_gate_law_is_monotone_and_covers_its_range():
    currents = CARD.i_cc(np.arange(1 << 16))
    assert (np.diff(currents) >= 0).all()
    assert currents[0x8000] == 0.0
    assert currents[-1] > 1e-3
    wanted = np.geomspace(10e-6, 1e-3, 200)
    assert np.abs(CARD.i_cc(CARD.gate_code(wanted)) / wanted - 1).max() < 0.002


@given(st.floats(1e-6, 2e-2))
def test_a_gate_code_is_the_nearest(i_cc):
    code = int(CARD.gate_code(i_cc))
    here = abs(float(CARD.i_cc(code)) - i_cc)
    for neighbour in (code - 1, min(code + 1, 0xFFFF)):
        assert here <= abs(float(CARD.i_cc(neighbour)) - i_cc)


@pytest.mark.parametrize("i_cc", [0.0, -1e-6, 0.1, math.nan])
def test_a_current_that_no_gate_gives_is_refused(i_cc):
    with pytest.raises(ConverterError, match="I_cc"):
        CARD.gate_code(i_cc)


def test_a_gate_that_is_on_passes_more_than_any_compliance_current():
    assert float(CARD.i_cc(CARD.gate_on_code)) > 1e-3


@pytest.mark.parametrize("tia_range", [0, 1, 2])
def test_gain_is_codes_per_code(tia_range):
    device = load("cspbbr3_ogb")
    gain = CARD.gain(device.g_lsb, device.v_read, tia_range)
    volts = CARD.dac_volts(CARD.read_code(device.v_read))
    exact = volts * device.g_lsb * CARD.tia_ohms[tia_range] / (10 / 32768)
    assert 1 << 15 <= gain.mantissa < 1 << 16
    assert float(gain) == pytest.approx(exact, rel=2**-16)
    assert gain == CARD.gain(device.g_lsb, volts, tia_range)  # the rail's own voltage


def test_a_mantissa_that_rounds_up_to_a_power_of_two_stays_16_bits():
    card = Converters(tia_ohms=(1.0,))
    volts = card.dac_volts(card.read_code(1.0))
    gain = card.gain((1 - 2**-20) * card.adc_lsb / volts, 1.0, 0)
    assert gain == Gain(1 << 15, 15)


@pytest.mark.parametrize(
    ("v_read", "tia_range", "said"),
    [(0.1, 6, "does not exist"), (0.0, 0, "above 0"), (-0.1, 0, "above 0"), (1e-5, 0, "above 0")],
)
def test_a_gain_that_cannot_be_is_refused(v_read, tia_range, said):
    with pytest.raises(ConverterError, match=said):
        CARD.gain(6.1e-8, v_read, tia_range)
    with pytest.raises(ConverterError, match="below 32768"):
        CARD.gain(1.0, 1.0, 0)


@given(
    st.integers(0, 255 * 16383),
    st.integers(0, 255 * 65535),
    st.integers(-26214, 26214),
    st.integers(1 << 15, (1 << 16) - 1),
    st.integers(0, 40),
    st.integers(0, 8),
)
def test_a_conversion_is_the_formula_of_the_document(total, variance, z, mantissa, shift, exponent):
    noise = (z * math.isqrt(variance) * mantissa) >> (12 + exponent)
    exact = round(Fraction(total * mantissa + noise, 1 << shift))
    code, saturated = CARD.convert(total, variance, z, Gain(mantissa, shift), exponent)
    assert int(code) == min(max(exact, -32768), 32767)
    assert bool(saturated) == (not -32768 < exact < 32767)


def test_codes_at_either_rail_are_saturated():
    gain = Gain(1 << 15, 15)
    totals = np.array([32766, 32767, 32768, -32767, -32768, -40000, 0])
    codes, saturated = CARD.convert(totals, 0, 0, gain, 0)
    assert codes.tolist() == [32766, ADC_MAX, ADC_MAX, -32767, ADC_MIN, ADC_MIN, 0]
    assert saturated.tolist() == [False, True, True, False, True, True, False]


def test_full_scale_of_the_first_range_is_2_ma():
    # 2 mA through 5 kohm is the ADC's 10 V.
    g_lsb, v_read = 1e-6, CARD.dac_volts(CARD.read_code(0.1))
    gain = CARD.gain(g_lsb, v_read, 0)
    code, _ = CARD.convert(round(1e-3 / v_read / g_lsb), 0, 0, gain, 0)
    assert int(code) == pytest.approx(16384, rel=1e-3)


def test_the_source_and_the_buffer_have_the_rail_s_and_the_adc_s_codes():
    assert CARD.source_amperes(0x8000, 3) == 0.0
    for n, full in enumerate((10e-6, 1e-6, 100e-9, 10e-9)):
        assert CARD.source_amperes(0, n) == pytest.approx(-full, rel=1e-12)
        assert CARD.source_amperes(0x8001, n) == pytest.approx(full / 32768, rel=1e-12)
    lsb = CARD.adc_lsb
    volts = np.array([0.5, 1.5, -0.5, -2.5]) * lsb
    assert CARD.voltage_codes([*volts, 11.0, -11.0]).tolist() == [0, 2, 0, -2, 32767, -32768]
    with pytest.raises(ConverterError, match="range 4 of the current source does not exist"):
        CARD.source_amperes(0x9000, 4)
    with pytest.raises(ConverterError, match="there are 0"):
        PmodConverters().source_amperes(0x9000, 0)


def test_converters_that_count_conductance_codes_round_nothing():
    device = load("ideal:256")
    card = Converters.counting(device.g_lsb, device.v_read)
    assert card.gain(device.g_lsb, device.v_read, 0) == Gain(1 << 15, 15)
    total = np.array([0, 1, 5719, 32767])
    codes, saturated = card.convert(total, 0, 0, Gain(1 << 15, 15), 0)
    assert np.array_equal(codes, total)
    assert np.array_equal(saturated, [False, False, False, True])
