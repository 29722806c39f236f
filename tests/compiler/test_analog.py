"""TIA range, level table and pulse widths."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.compiler.analog import (
    GATE_ERROR,
    RAIL_AMPERES,
    cells_together,
    check_windows,
    device_line,
    endurance_cycles,
    level_words,
    plan_analog,
    plan_reads,
    pulse_cycles,
    stuck_codes,
)
from ohmloom.compiler.errors import TargetError
from ohmloom.hw.isa import unpack_level
from ohmloom.sim.converters import ADC_MAX, Converters
from ohmloom.sim.devices import Device, build, catalogue, changed, load

CARD = Converters()
DEVICES = [name for name in catalogue() if load(name).weights is not None]
LIMITED = [name for name in DEVICES if load(name).pulses is None]
"""Those that a compliance current puts on levels."""


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("rows", [1, 5, 32, 64, 255])
def test_driven_rows_stay_inside_the_range(name, rows):
    device = load(name)
    plan = plan_analog(device, CARD, rows, None)
    top = int(device.level_codes[-1]) + device.verify_window * device.level_step
    assert min(rows, plan.row_limit) * top * float(plan.gain) <= ADC_MAX
    assert (plan.row_limit + 1) * top * float(plan.gain) > ADC_MAX


def test_smallest_range_that_fits():
    device = load("cspbbr3_ogb")
    scales = [CARD.tia_ohms[plan_analog(device, CARD, rows, None).tia_range] for rows in (1, 5, 32)]
    assert scales == [50e3, 50e3, 5e3]


def test_more_rows_than_any_range_takes_means_row_groups():
    device = load("cspbbr3_ogb")
    plan = plan_analog(device, CARD, 255, None)
    assert plan.tia_range == 0 and 50 < plan.row_limit < 60


def test_range_by_choice():
    device = load("cspbbr3_ogb")
    assert plan_analog(device, CARD, 32, 1).row_limit == 5
    with pytest.raises(TargetError, match="TIA range 6 does not exist, 0 to 5"):
        plan_analog(device, CARD, 32, 6)


def test_a_cell_that_exceeds_the_range_alone():
    with pytest.raises(TargetError, match="draws 3.5e-05 A at 0.1 V, TIA range 2 takes 2e-05 A"):
        plan_analog(load("cspbbr3_ogb"), CARD, 1, 2)


@pytest.mark.parametrize("name", [*LIMITED, "ideal:2", "ideal:256"])
def test_windows_hold_their_level_and_no_other(name):
    device = load(name)
    gain = plan_analog(device, CARD, 32, None).gain
    table = [unpack_level(word) for word in level_words(device, CARD, gain)]
    for level, (gate, low, high) in enumerate(table):
        assert low <= round(float(device.level_codes[level]) * float(gain)) <= high
        assert abs(CARD.i_cc(gate) / device.level_i_cc[level] - 1) < 0.004
    for (_, _, high), (_, low, _) in zip(table, table[1:], strict=False):
        assert high < low
    # Windows as wide as half the spacing leave no code between them.
    assert device.verify_window == 0.5
    for (_, _, high), (_, low, _) in zip(table, table[1:], strict=False):
        assert low == high + 1


def test_windows_of_cells_that_pulses_put_on_levels():
    """No current is limited, and windows of a quarter leave every other code between them."""
    device = load("all_in_one")
    gain = plan_reads(device, CARD, None).gain
    table = [unpack_level(word) for word in level_words(device, CARD, gain)]
    spacing = device.level_step * float(gain)
    for code, (gate, low, high) in zip(device.level_codes, table, strict=True):
        assert gate == 0 and low <= round(float(code) * float(gain)) <= high
        assert abs(high - low - spacing / 2) < 2


@pytest.mark.parametrize("name", DEVICES)
def test_single_cells_are_read_in_the_finest_range_of_all(name):
    device = load(name)
    plan = plan_reads(device, CARD, None)
    assert plan.row_limit >= 1
    finer = plan.tia_range + 1
    if finer < len(CARD.tia_ohms):
        with pytest.raises(TargetError, match="on its top level draws"):
            plan_reads(device, CARD, finer)
    if name in LIMITED:  # large currents: it is one of those of networks
        assert plan == plan_analog(device, CARD, 1, None)
    else:
        assert (plan.tia_range, plan_analog(device, CARD, 32, None).tia_range) == (3, 2)


def test_levels_closer_than_the_converter_can_tell():
    device = changed(load("ideal:256"), **{"modes.nonvolatile.verify.half_window": 0.05})
    gain = plan_analog(device, CARD, 32, None).gain
    with pytest.raises(TargetError, match="1.6 ADC codes apart"):
        level_words(device, CARD, gain)


@pytest.mark.parametrize(("name", "least"), [("cspbbr3_ogb", 9), ("all_in_one", 9), ("vb3", 8)])
def test_windows_that_the_converter_has_no_code_in(name, least):
    device = load(name)
    words = level_words(device, CARD, plan_reads(device, CARD, None).gain)
    check_windows(device, Converters(adc_bits=least), words)
    if least > 8:
        with pytest.raises(TargetError, match=r"level \d+ is verified by .* 8 bits give none"):
            check_windows(device, Converters(adc_bits=least - 1), words)


def averaging(conversions: int) -> Device:
    document = load("cspbbr3_ogb").document()
    verify = document["modes"]["nonvolatile"]["verify"]
    verify["conversions"] = {"value": conversions, "unit": "1", "assumed": "test"}
    return build(document, "mine")


def test_a_still_cell_is_told_from_a_moving_one_by_averaged_reads():
    gain = plan_analog(averaging(256), CARD, 32, None).gain
    codes = stuck_codes(averaging(256), gain)
    assert codes / float(gain) < averaging(256).level_step
    assert codes == pytest.approx(8 * 0.01 * 16383 / 16 * float(gain), abs=2)
    assert stuck_codes(averaging(1), gain) == 0  # nothing could be said


@given(st.integers(1, 10**10), st.integers(1, 10**9))
def test_pulses_last_at_least_their_width(width_ns, clk_hz):
    cycles = pulse_cycles(width_ns * 1e-9, clk_hz)
    # One picosecond for the float that the width is given in.
    assert cycles * 10**9 >= (width_ns - 0.001) * clk_hz
    assert (cycles - 1) * 10**9 < (width_ns + 0.001) * clk_hz


@pytest.mark.parametrize("clk_hz", [12_000_000, 48_000_000])
def test_a_millisecond_is_exact(clk_hz):
    assert pulse_cycles(1e-3, clk_hz) == clk_hz // 1000


LINED = [name for name in DEVICES if name in ("cspbbr3_ogb", "ideal")]


@pytest.mark.parametrize("name", LINED)
@pytest.mark.parametrize("tia_range", [0, 1])
def test_the_lines_gate_codes_are_the_cards_within_one(name, tia_range):
    """Every target of the window: at most one gate code from the exact one, rounding included."""
    device = load(name)
    gain = plan_analog(device, CARD, 1, tia_range).gain
    line = device_line(device, CARD, gain, 0.009)
    codes = device.level_codes * float(gain)
    targets = np.arange(math.ceil(codes[0]), math.floor(codes[-1]) + 1)
    i_cc = np.interp(targets, codes, device.level_i_cc)
    exact = np.interp(i_cc, CARD.i_cc(np.arange(1 << 16)), np.arange(1 << 16))
    found = np.array([line.gate_code(target) for target in targets.tolist()])
    assert np.abs(found - exact).max() <= GATE_ERROR
    # What that is worth: a tenth of a percent of the window.
    window = device.level_i_cc[-1] - device.level_i_cc[0]
    assert np.abs(CARD.i_cc(found) - i_cc).max() < 1e-3 * window
    assert line.half == math.floor(0.009 * float(codes[-1] - codes[0]))
    # Beyond the window it stays at the line's ends.
    ends = [line.gate_code(int(t)) for t in (targets[0] - 500, targets[-1] + 500)]
    assert ends == [found[0], found[-1]]


def test_the_line_meets_the_level_table():
    device = load("cspbbr3_ogb")
    gain = plan_analog(device, CARD, 1, None).gain
    line = device_line(device, CARD, gain, 0.009)
    for code, word in zip(device.level_codes, level_words(device, CARD, gain), strict=True):
        gate, _, _ = unpack_level(word)
        assert abs(line.gate_code(round(float(code) * float(gain))) - gate) <= 1


@pytest.mark.parametrize("name", [name for name in LIMITED if name not in LINED])
def test_a_window_that_sixteen_pieces_do_not_describe(name):
    device = load(name)
    gain = plan_analog(device, CARD, 1, 0).gain
    with pytest.raises(TargetError, match="gate codes, accepted is 1"):
        device_line(device, CARD, gain, 0.009)


def test_levels_that_lie_on_no_line():
    device = load("cspbbr3_ogb")
    bent = replace(device.compliance, level_i_cc=device.level_i_cc * np.linspace(1, 1.01, 32))
    device.weights = replace(device.programmable, writing=bent)
    gain = plan_analog(device, CARD, 1, None).gain
    with pytest.raises(TargetError, match="lie on no line"):
        device_line(device, CARD, gain, 0.009)


def test_endurance_and_cells_together_are_the_devices():
    assert endurance_cycles(load("cspbbr3_ogb")) == 5655
    assert cells_together(load("cspbbr3_ogb"), 32) == 32
    assert cells_together(load("cspbbr3_ogb"), 8) == 8
    for name in LIMITED:
        device = load(name)
        each = abs(device.v_reset) * device.g_lsb * 16383
        cells = cells_together(device, 255)
        assert cells == 1 or cells * each <= RAIL_AMPERES < (cells + 1) * each or cells == 255
