"""Codes of half-selected pulses: exact in the cell, and never more than half elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.compiler.profile import make_profile
from ohmloom.hw.isa import selected_code
from ohmloom.hw.profile import Kind, unpack_profile
from ohmloom.sim.array.lines import Bias, line_volts
from ohmloom.sim.converters import ConverterError, Converters, half_select
from ohmloom.sim.devices import load
from ohmloom.sim.devices.catalogue import catalogue

CARD = Converters()


@given(st.floats(-9.999, 9.999), st.sampled_from([Bias.HALF, Bias.THIRD]))
def test_the_cell_gets_the_voltage_and_no_other_more_than_half(volts, bias):
    codes = half_select(CARD, volts, bias)
    assert selected_code(codes.rail, codes.program, codes.on) == CARD.dac_code(volts)
    rail, program, on = (CARD.dac_volts(code) for code in (codes.rail, codes.program, codes.on))
    rows, columns = line_volts(bias, (3, 4), 1, 2, volts)
    wanted = np.zeros((3, 4)) - np.where(np.arange(4) == 2, program, on)
    wanted[1] += rail
    assert np.abs(rows[:, np.newaxis] - columns - wanted).max() <= 2 * CARD.dac_lsb


@given(st.floats(-9.999, 9.999))
def test_a_third_is_a_third_everywhere(volts):
    codes = half_select(CARD, volts, Bias.THIRD)
    third = abs(CARD.dac_code(volts) - 0x8000) / 3
    zero = (codes.rail - codes.on, codes.program - 0x8000, codes.on - 0x8000)
    assert all(abs(abs(code) - third) < 1 for code in zero)
    assert codes.others


def test_half_leaves_the_other_lines_at_zero():
    codes = half_select(CARD, 1.0, Bias.HALF)
    assert (codes.on, codes.others) == (0x8000, False)
    assert codes.rail - 0x8000 == pytest.approx(0x8000 - codes.program, abs=1)


def test_a_voltage_beyond_the_rail_is_refused():
    with pytest.raises(ConverterError, match="outside"):
        half_select(CARD, 10.5, Bias.HALF)


@pytest.mark.parametrize("bias", [Bias.GROUNDED, Bias.FLOATING])
def test_other_biases_are_none_of_a_card(bias):
    with pytest.raises(ConverterError, match=f"lines that are {bias.value}"):
        half_select(CARD, 1.0, bias)


def test_the_limiter_is_inside_the_windows_that_its_docstring_names():
    outside = set()
    for name in catalogue():
        device = load(name)
        words = make_profile(device, CARD, 48_000_000).words
        for mode, record in zip(device.modes, unpack_profile(words).modes, strict=True):
            drive, code = record.drive, CARD.limiter_code
            fits = drive.gate_low <= code <= drive.gate_high
            if drive.limited and not (fits and not drive.gap_low <= code < drive.gap_high):
                outside.add((name, mode.name, record.kind))
    assert {mode for _, mode, kind in outside if kind is not Kind.VOLATILE} == {"nonvolatile_1ua"}
    assert any(kind is Kind.VOLATILE for *_, kind in outside)
