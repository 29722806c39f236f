"""The wait before a conversion follows the range, two cycles after it has changed."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Const, Elaboratable

from ohmloom.hw.afe.interface import FrontEndTiming
from ohmloom.hw.settle import settle_cycles

CLK_HZ = 1_000_000_000


def timing(*ranges: int) -> FrontEndTiming:
    return FrontEndTiming(
        settle_ps=4000, dac_settle_ps=1, switch_ps=1, pulse_min_ps=1, range_settle_ps=ranges
    )


class Lookup(Elaboratable):
    def __init__(self, *ranges: int) -> None:
        self.timing = timing(*ranges)
        self.range, self.cycles = Signal(3), Signal(40)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.cycles.eq(settle_cycles(m, self.timing, CLK_HZ, self.range))
        return m


@pytest.mark.parametrize("ranges", [(), (4000,), (4000, 3999, 3001)])
def test_ranges_that_take_the_same_are_a_constant(ranges):
    m = Module()
    found = settle_cycles(m, timing(*ranges), CLK_HZ, Signal(3))
    assert isinstance(found, Const) and found.value == 4


def test_the_wait_is_that_of_the_range_and_the_longest_of_one_that_is_not_there(simulate):
    dut = Lookup(4000, 9500, 700_000)

    async def bench(ctx):
        assert ctx.get(dut.cycles) == 700  # before anything is known
        for tia_range, cycles in ((0, 4), (1, 10), (2, 700), (0, 4), (3, 700), (7, 700)):
            ctx.set(dut.range, tia_range)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.cycles) == cycles

    simulate(dut, bench)
