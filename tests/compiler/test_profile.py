"""Profiles of the whole catalogue: what the controller takes, and what the devices take."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.profile import DeviceProfile, make_profile
from ohmloom.hw.isa import LIMIT_NEGATIVE, LIMIT_POSITIVE, unpack_sweep
from ohmloom.hw.profile import Kind, ProfileStatus, check, unpack_profile
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import ADC_MAX, Converters
from ohmloom.sim.devices import DeviceError, catalogue, load
from ohmloom.sim.devices.catalogue import build
from ohmloom.sim.devices.modes import Recipe
from ohmloom.sim.engine.recipe import Measured, measure

CARD = Converters()
CLK = 48_000_000


def profile(name: str, card: Converters = CARD, base: int = 0) -> DeviceProfile:
    return make_profile(load(name), card, CLK, base)


def recipes(found: DeviceProfile) -> list[Measured]:
    """What each way of a profile does, measured."""
    return [
        measure(
            unpack_sweep(found.records[way.param - found.base :][:6]), CARD, CLK
        )
        for way in found.profile.ways
    ]  # fmt: skip


@pytest.mark.parametrize("name", catalogue())
def test_every_device_has_a_profile_that_is_adopted(name: str) -> None:
    found = profile(name)
    assert check(found.words) is ProfileStatus.OK
    assert unpack_profile(found.words) == found.profile
    device = load(name)
    assert [Kind(m.kind).name.lower() for m in found.profile.modes] == [
        mode.kind for mode in device.modes
    ]
    usable = [way for way in device.transitions if not way.at_endurance]
    assert len(found.profile.ways) == len(usable)
    assert not found.left_out


@pytest.mark.parametrize("name", catalogue())
def test_the_programming_pulses_are_within_the_limits(name: str) -> None:
    device, found = load(name), profile(name)
    if device.weights is None:
        assert not any(mode.verify for mode in found.profile.modes)
        return
    mode = found.profile.modes[device.mode_index(device.weights.mode)]
    drive = mode.drive
    if device.pulses is not None:  # a host's, not those of PROGRAM
        assert not mode.verify
        for volts in (-device.pulses.volts, device.pulses.volts):
            assert drive.rail_low <= CARD.dac_code(volts) <= drive.rail_high
        assert device.pulses.seconds * CLK <= drive.width_max and drive.limited == 0
        return
    assert mode.verify
    for volts, width in (
        (device.v_set, device.set_width_s),
        (device.v_reset, device.reset_width_s),
    ):
        assert drive.rail_low <= CARD.dac_code(volts) <= drive.rail_high
        assert width * CLK <= drive.width_max
    gates = CARD.gate_code(device.level_i_cc)
    assert drive.gate_low <= gates.min() <= gates.max() <= drive.gate_high
    # It is not simply wide open.
    assert drive.rail_high < CARD.dac_code(1.6 * device.v_set)
    assert drive.gate_high < CARD.gate_code(2.5 * device.level_i_cc.max()) or name in (
        "bion",
        "vb3",
    )
    assert drive.limited == (LIMIT_POSITIVE if device.v_set > 0 else LIMIT_NEGATIVE)


@pytest.mark.parametrize("name", catalogue())
def test_each_recipe_leads_where_its_way_says(name: str) -> None:
    """The device model accepts what is measured of the recipe, from the way's own mode."""
    device, found = load(name), profile(name, base=40)
    for way, done in zip(found.profile.ways, recipes(found), strict=True):
        target = device.modes[way.to].name
        recipe = Recipe(i_cc=done.i_cc, volts=done.volts, rate_v_s=done.rate_v_s)
        assert device.transition(way.start, target, recipe).to == target
        assert done.rate_v_s is not None and done.rate_v_s <= 1.0
        assert way.drive.rail_low <= CARD.dac_code(done.volts) <= way.drive.rail_high


def test_a_whole_path_of_recipes_on_cells() -> None:
    device, found = load("all_in_one"), profile("all_in_one")
    array = SimulatedArray(device, 1, 1, 1, seed=1)
    by_ends = dict(zip([(w.start, w.to) for w in found.profile.ways], recipes(found), strict=True))
    for start, to in ((0, 1), (1, 4)):
        done = by_ends[start, to]
        array.set_mode(
            device.modes[to].name, i_cc=done.i_cc, volts=done.volts, rate_v_s=done.rate_v_s
        )
        assert int(array.state.mode[0, 0, 0]) == to
    assert (1, 0) not in by_ends  # nothing leads back from power to analog


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rate_v_s": 0.06}, "0.06 V/s"),
        ({"i_cc": 200e-6}, "I_cc"),
        ({"volts": 7.9}, "7.9 V"),
    ],
)
def test_another_recipe_would_not_be_taken(change: dict[str, Any], told: str) -> None:
    """What the test above relies on: the models refuse what is outside."""
    device = load("all_in_one")
    start, to = ("analog", "power") if "rate_v_s" in change else ("power", "volatile_uniform")
    with pytest.raises(DeviceError, match=told):
        device.transition(device.mode_index(start), to, Recipe(**change))


def test_the_gap_is_that_of_the_ways() -> None:
    for mode in profile("all_in_one").profile.modes:
        low, high = CARD.i_cc([mode.drive.gap_low, mode.drive.gap_high])
        below, inside = CARD.i_cc([mode.drive.gap_low - 1, mode.drive.gap_high - 1])
        assert below < 100e-6 <= low  # 100 uA itself is in the gap
        assert inside < 500e-6 <= high
    assert profile("bion").profile.modes[0].drive.gap_high == 0


def test_a_mode_is_not_driven_at_a_voltage_that_ends_it() -> None:
    analog = profile("all_in_one").profile.modes[0].drive
    assert CARD.dac_volts(analog.rail_high) < 8.0
    assert CARD.dac_volts(analog.rail_high + 1) >= 8.0
    assert CARD.dac_volts(analog.rail_low) > -8.0
    # Without ways out of it, a mode has its whole window.
    ohm = profile("ohm").profile.modes[0].drive
    assert (ohm.rail_low, ohm.rail_high) == (0, 0xFFFF)


def test_what_each_kind_of_mode_may() -> None:
    modes = dict(
        zip([m.name for m in load("all_in_one").modes], profile("all_in_one").profile.modes,
            strict=True)
    )  # fmt: skip
    assert modes["power"].source and not modes["analog"].source
    assert modes["power"].drive.rail_low == 0x8000  # never below 0 V
    assert modes["analog"].drive.limited == 0
    assert modes["volatile_uniform"].drive.limited == LIMIT_POSITIVE
    assert CARD.i_cc(modes["volatile_uniform"].drive.gate_high) <= 1e-5
    irreversible = [w.irreversible for w in profile("all_in_one").profile.ways]
    assert irreversible == [True, False, False, False, False]


@pytest.mark.parametrize("name", ["vb1", "vb2"])
def test_a_cell_that_can_be_written_once_is_told_by_its_read(name: str) -> None:
    device = load(name)
    p: Any = device.modes[0].p
    mode = profile(name).profile.modes[0]
    assert mode.write_once and not mode.verify
    ohms = next(
        ohms
        for ohms in sorted(CARD.tia_ohms, reverse=True)
        if p.lrs.conductance.value * p.read.v_read.value * ohms / CARD.adc_lsb <= ADC_MAX
    )
    off, on = (
        s.conductance.value * p.read.v_read.value * ohms / CARD.adc_lsb for s in (p.hrs, p.lrs)
    )
    assert 1.5 * off < mode.unwritten < on / 1.5
    assert not profile("vb3").profile.modes[0].write_once


def test_a_way_beyond_the_rails_is_left_out_and_said() -> None:
    small = replace(CARD, dac_volts_span=5.0)
    found = profile("all_in_one", small)
    assert [(w.start, w.to) for w in found.profile.ways] == [(0, 1)]
    assert len(found.left_out) == 4
    assert "power to volatile_uniform is left out: it needs 8.4 V" in found.left_out[0]
    assert check(found.words) is ProfileStatus.OK
    assert found.profile.modes[0].drive.rail_high == 0xFFFF  # its window ends at the rails


def test_a_device_that_the_rails_cannot_program_is_refused() -> None:
    with pytest.raises(TargetError, match=r"vb3 cannot be programmed .*-8\.2 V"):
        profile("vb3", replace(CARD, dac_volts_span=5.0))


def test_an_i_cc_that_the_card_cannot_set_leaves_the_way_out() -> None:
    weak = replace(CARD, gate_k=1e-6)  # 81 uA at most
    found = profile("all_in_one", weak)
    assert [(w.start, w.to) for w in found.profile.ways] == [(0, 1), (1, 2), (0, 3)]
    assert all("sets no I_cc in its window" in text for text in found.left_out)


@pytest.mark.parametrize(("modes", "ways"), [(9, 0), (4, 8)])
def test_more_than_a_profile_holds_is_refused(modes: int, ways: int) -> None:
    document = copy.deepcopy(load("cspbbr3_film").document())
    volatile = document["modes"]["volatile"]
    document["modes"] = {f"m{n}": volatile for n in range(modes)}
    document["transitions"] = [
        {"from": f"m{n % 4}", "to": f"m{(n + 1 + n // 4) % 4}", "assumed": "a test"}
        for n in range(ways)
    ]
    said = "9 modes, a profile holds 8" if modes == 9 else "8 ways .*, a profile holds 7"
    with pytest.raises(TargetError, match=said):
        make_profile(build(document, "a test"), CARD, CLK)


def test_what_is_assumed_is_said_with_its_way() -> None:
    assumed = profile("all_in_one").assumed
    assert any(text.startswith("analog to power: up to the largest voltage") for text in assumed)
    assert any(text.startswith("power: pulses of up to 18000 s") for text in assumed)
    # What the entry says is not among it.
    assert not any("analog to power: 1 V/s" in text for text in assumed)


def test_without_ways_the_modes_stay() -> None:
    found = profile("all_in_one").without_ways()
    assert found.profile.modes == profile("all_in_one").profile.modes
    assert not found.profile.ways and not found.records
    assert check(found.words) is ProfileStatus.OK


@pytest.mark.parametrize("clk_hz", [12_000_000, 48_000_000, 1_000_000_000])
def test_times_follow_the_clock(clk_hz: int) -> None:
    found = make_profile(load("all_in_one"), CARD, clk_hz)
    for way, told in zip(found.profile.ways, found.ways, strict=True):
        stairs = unpack_sweep(found.records[way.param :][:6])
        rate = stairs.step * CARD.dac_lsb * clk_hz / stairs.interval
        assert rate == pytest.approx(told.rate_v_s)
        assert rate <= 0.05 if told.to == "power" else rate <= 1.0
        assert way.drive.width_max == stairs.width
        assert np.isclose(stairs.width / stairs.interval, 0.5, atol=1e-5)
