"""Automatic range: every current ends in the most sensitive range that takes it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ohmloom.hw.autorange import AutoRange
from ohmloom.hw.ranges import STEP

RANGES = 6
LOW, HIGH = -(1 << 15), (1 << 15) - 1


def code_of(current: float, tia_range: int, offset: int) -> int:
    """Code of a current, in units of the last range's codes."""
    code = round(current / STEP ** (RANGES - 1 - tia_range)) + offset
    return min(max(code, LOW), HIGH)


@pytest.fixture(scope="module")
def read(simulate):
    """``read(dut settings, code_of_range)`` -> [(range, probe, moved)] of the reads made."""

    def run(seen, enable=1, base=2, ranges=RANGES):
        dut = AutoRange(ranges)
        story = []

        async def bench(ctx):
            ctx.set(dut.enable, enable)
            ctx.set(dut.base, base)
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            again = True
            while again:
                tia_range = ctx.get(dut.range)
                code = seen(tia_range, len(story))
                ctx.set(dut.code, code)
                ctx.set(dut.railed, code in (LOW, HIGH))
                story.append((tia_range, ctx.get(dut.probe), code))
                ctx.set(dut.take, 1)
                await ctx.tick()
                ctx.set(dut.take, 0)
                await ctx.tick()
                again = ctx.get(dut.again)
                moved = ctx.get(dut.moved)
                assert moved == (ctx.get(dut.range) != tia_range)
                assert again or not moved

        simulate(dut, bench)
        return story

    return run


CURRENTS = st.one_of(st.floats(-2e9, 2e9), st.floats(-40000, 40000), st.integers(-5, 5).map(float))


@settings(max_examples=60, deadline=None)
@given(current=CURRENTS, offset=st.integers(-20, 20))
@example(current=3.3e9, offset=0)
@example(current=-3.3e9, offset=0)
@example(current=0.0, offset=20)
@example(current=29491.0, offset=0)
@example(current=29600.0, offset=-20)
def test_a_current_ends_in_the_range_that_fits(read, current, offset):
    story = read(lambda tia_range, _: code_of(current, tia_range, offset))
    *probes, (tia_range, probe, code) = story
    assert not probe and len(story) <= 2 * RANGES
    assert story[0][:2] == (0, 1)
    ranges = [place for place, *_ in story]
    # Upwards only, but for one step back at the very end.
    ups = ranges[:-1] if len(ranges) > 1 and ranges[-1] < ranges[-2] else ranges
    assert ups == sorted(ups)
    assert tia_range == 0 or code not in (LOW, HIGH)
    if tia_range < RANGES - 1:
        following = code_of(current, tia_range + 1, offset)
        assert abs(following) > 29000 or following in (LOW, HIGH)
    assert [flag for _, flag, _ in probes].count(0) <= 1


def test_offset_that_hides_a_rail_costs_one_step_back(read):
    """Seen as 21 codes in range 0 and 41 in truth: too much for range 3."""
    story = read(lambda tia_range, _: code_of(41e5, tia_range, -20))
    assert [(tia_range, probe) for tia_range, probe, _ in story] == [(0, 1), (3, 1), (2, 0)]


def test_a_read_that_meets_a_rail_after_its_probe_did_not_steps_back_once(read):
    def noisy(tia_range, n):
        return HIGH if n else code_of(20e4, tia_range, 0)

    story = read(noisy)
    assert [(tia_range, probe) for tia_range, probe, _ in story] == [(0, 1), (3, 1), (2, 0)]
    # The last range of a read is never left, rail or not.
    assert story[-1][2] == HIGH


def test_without_it_the_range_is_the_register_s_and_one_read_is_enough(read):
    for code in (0, HIGH):
        assert read(lambda *_, code=code: code, enable=0, base=4) == [(4, 0, code)]


def test_a_front_end_of_one_range_has_nothing_to_choose(read):
    story = read(lambda *_: 3, ranges=1)
    assert story == [(0, 1, 3), (0, 0, 3)]


def test_the_rule_without_a_step_back_is_found(read, monkeypatch):
    """A planted fault: jumps that go one range too far are seen by the property above."""
    monkeypatch.setattr("ohmloom.hw.autorange.JUMPS", (29491, 2949, 294))
    story = read(lambda tia_range, _: code_of(2.9e9, tia_range, 0))
    assert len(story) > 2  # it has to come back from a rail
    assert [tia_range for tia_range, *_ in story] == [0, 1, 0]


@pytest.mark.parametrize("ranges", [0, 9])
def test_more_ranges_than_pins_are_refused(ranges):
    with pytest.raises(ValueError, match="TIA ranges, accepted are 1 to 8"):
        AutoRange(ranges)
