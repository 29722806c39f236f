"""The analog card by itself: codes when settled, wrong codes too early, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.afe import ad7606
from ohmloom.hw.afe.array_card import settle_ps
from ohmloom.hw.afe.interface import cycles_from_ps
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Dac
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.bench import lags
from ohmloom.sim.cosim.card import AnalogCard, CardFault, ConversionTag, Lags
from ohmloom.sim.devices import load

CLK = 48_000_000
GEOMETRY = Geometry(rows=8, columns=8, tiles=1)
CARD = Converters()
SETTLED = cycles_from_ps(settle_ps(), CLK)
INFERENCE = ConversionTag(True, 5, 17)
SINGLE = ConversionTag(False, 0, 0)


def mask(size: int, *lines: int) -> np.ndarray:
    bits = np.zeros(size, bool)
    bits[list(lines)] = True
    return bits


@pytest.fixture
def card() -> AnalogCard:
    """All cells at the top level, read rail up, everything sensed, long settled."""
    return with_lags(lags(CLK))


def with_lags(analog: Lags) -> AnalogCard:
    device = load("cspbbr3_ogb")
    array = SimulatedArray(device, 1, 8, 8, seed=1)
    cells = np.arange(64)
    array.pulse(cells, device.v_set, device.set_width_s, float(device.level_i_cc[-1]))
    card = AnalogCard(array, CARD, GEOMETRY, CLK, analog)
    card.set_dac(0, Dac.RAIL_A, CARD.read_code(device.v_read))
    card.set_dac(0, Dac.GATE_ON, CARD.gate_on_code)
    every = np.ones(8, bool)
    card.set_lines(0, column_tia=every, gate_on=every)
    card.set_gate_a(0, True)
    return card


def test_settled_codes_are_the_array_s(card):
    card.set_lines(10_000, row_a=np.ones(8, bool))
    codes = card.convert(10_000 + SETTLED, INFERENCE)
    total, _ = card.array.column_totals(0, np.ones((1, 8), np.int64))
    gain = CARD.gain(card.array.device.g_lsb, card.array.device.v_read, 0)
    assert codes == pytest.approx(total[0] * gain.mantissa / 2.0**gain.shift, rel=0.02)


def test_a_sample_taken_too_early_is_wrong(card):
    card.set_lines(10_000, row_a=np.ones(8, bool))
    early = card.convert(10_000 + SETTLED // 2, INFERENCE)
    settled = card.convert(10_000 + SETTLED, INFERENCE)
    later = card.convert(10_000 + 3 * SETTLED, INFERENCE)
    assert (early < settled).all()
    assert np.array_equal(settled, later)


def test_the_ad7606_s_filter_takes_twelve_times_as_long():
    card = with_lags(lags(CLK, ad7606.PART))
    settled = cycles_from_ps(settle_ps(0, ad7606.PART), CLK)
    assert 12 * SETTLED < settled < 13 * SETTLED
    card.set_lines(10_000, row_a=np.ones(8, bool))
    codes = [card.convert(10_000 + t, INFERENCE) for t in (SETTLED, settled // 2, settled)]
    later = card.convert(10_000 + 3 * settled, INFERENCE)
    assert np.array_equal(codes[2], later)
    assert (codes[0] < later // 2).all() and not np.array_equal(codes[1], later)
    # Second order: it comes out flat, and goes beyond its end before it settles.
    flat, peak = (
        card._input.remainder(t, card._input.tau) for t in (SETTLED // 20, settled * 4 // 12)
    )
    assert flat > 0.99 and -0.05 < peak < -0.01


def test_the_last_plane_still_shows_too_early(card):
    card.set_lines(10_000, row_a=np.ones(8, bool))
    card.set_lines(20_000, row_a=mask(8, 0))
    assert (card.convert(20_000 + SETTLED // 2, INFERENCE) > card.convert(30_000, INFERENCE)).all()


def test_an_inference_s_noise_is_named_and_a_read_s_counted(card):
    card.set_lines(0, row_a=mask(8, 2))
    assert np.array_equal(card.convert(9000, INFERENCE), card.convert(9000, INFERENCE))
    assert not np.array_equal(
        card.convert(9000, INFERENCE), card.convert(9000, ConversionTag(True, 6, 17))
    )
    card.set_lines(9000, column_tia=mask(8, 3), column_ground=~mask(8, 3))
    first, second = card.convert(20_000, SINGLE), card.convert(20_000, SINGLE)
    assert card.array.reads[0, 2, 3] == 2
    assert first[3] != second[3] and not first[np.arange(8) != 3].any()


def test_a_pulse_is_timed_by_its_gate(card):
    device = card.array.device
    card.set_gate_a(0, False)
    card.set_dac(0, Dac.RAIL_B, CARD.dac_code(device.v_reset))
    card.set_lines(0, row_b=mask(8, 1), column_tia=mask(8), column_ground=np.ones(8, bool))
    before = card.array.g.copy()
    width = int(device.reset_width_s * CLK)
    card.set_gate_b(50_000, True)
    card.set_gate_b(50_000 + width // 4, False)
    assert np.array_equal(card.array.g, before), "a pulse that is too short does not switch"
    card.set_gate_b(100_000, True)
    card.set_gate_b(100_000 + width, False)
    changed = (card.array.g != before)[0]
    assert changed[1].all() and not changed[np.arange(8) != 1].any()
    assert card.pulses == 16


def test_a_rail_that_has_not_settled_gives_its_present_voltage(card):
    device = card.array.device
    card.set_lines(0, row_b=mask(8, 1), column_tia=mask(8), column_ground=np.ones(8, bool))
    before = card.array.g.copy()
    card.set_dac(50_000, Dac.RAIL_B, CARD.dac_code(device.v_reset))
    card.set_gate_b(50_001, True)
    card.set_gate_b(50_001 + int(device.reset_width_s * CLK), False)
    assert np.array_equal(card.array.g, before)


@pytest.mark.parametrize(
    "lines",
    [
        {"row_a": mask(8, 1), "row_b": mask(8, 1)},
        {"row_a": mask(8, 1), "row_ground": mask(8, 1)},
        {"gate_program": mask(8, 1), "gate_on": mask(8, 1)},
    ],
)
def test_two_sources_on_one_line_are_a_fault(card, lines):
    with pytest.raises(CardFault, match="at once"):
        card.set_lines(0, **lines)


def test_moving_anything_during_a_pulse_is_a_fault(card):
    card.set_gate_b(0, True)
    with pytest.raises(CardFault, match="switch moved"):
        card.set_lines(5, row_b=mask(8, 1))
    with pytest.raises(CardFault, match="DAC moved"):
        card.set_dac(5, Dac.RAIL_B, 0x9000)


def test_a_single_read_is_of_a_single_cell(card):
    card.set_lines(0, row_a=mask(8, 1, 2))
    with pytest.raises(CardFault, match="single read"):
        card.convert(9000, SINGLE)


def test_temperature_sensors_stand_for_the_columns_whose_multiplexer_is_on_them(card):
    card.set_lines(0, row_a=mask(8, 2))
    card.set_gate_a(0, True)
    card.set_lines(0, gate_on=mask(8, 3))
    currents = card.convert(900_000, SINGLE)
    card.set_sensor(900_000, 0xF0)
    sensed = card.convert(1_800_000, SINGLE)
    assert currents[3] > 0 and not currents[4:].any()
    assert abs(sensed[3] - currents[3]) < 0.1 * currents[3] and not sensed[:3].any()
    assert np.all(np.abs(sensed[4:] - CARD.temperature_codes(0)) <= 4)
    # The filter of the input has to settle both ways.
    card.set_sensor(1_800_000, 0)
    assert np.all(card.convert(1_800_010, SINGLE)[4:] > 100)
    assert not card.convert(2_700_000, SINGLE)[4:].any()
    card.set_sensor(2_700_000, 0xFF)
    assert np.all(card.convert(2_700_010, SINGLE)[4:] < CARD.temperature_codes(0) - 100)
    # Without a voltage on the rail too.
    card.set_dac(2_700_000, Dac.RAIL_A, 0x8000)
    assert np.all(np.abs(card.convert(4_000_000, SINGLE) - CARD.temperature_codes(0)) <= 4)


@pytest.mark.parametrize("what", ["pulse", "source", "inference"])
def test_temperature_sensors_are_for_single_reads(card, what):
    card.set_sensor(0, 0xFF)
    if what == "pulse":
        card.set_gate_b(10, True)
    if what == "source":
        card.set_source(10, True)
    tag = replace(SINGLE, inference=what == "inference")
    with pytest.raises(CardFault, match="by a READ alone"):
        card.convert(9000, tag)
    if what == "pulse":
        with pytest.raises(CardFault, match="the converters were set while"):
            card.set_sensor(20, 0)


def test_a_tile_that_does_not_exist_is_a_fault(card):
    with pytest.raises(CardFault, match="tile 3"):
        card.set_tile(0, 3)
