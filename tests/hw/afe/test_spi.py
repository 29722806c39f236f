"""The serial clock: exact cycles of every phase, and the hold before the last edge."""

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.afe.spi import SerialClock, SerialTiming


def run(timing, bits, idle_level=0, hold=0):
    """Per cycle, from the start strobe on: ``(select, sclk, active, held)``; then cycles used."""
    dut = SerialClock(timing, 64, idle_level)
    seen = []

    async def bench(ctx):
        ctx.set(dut.start, 1)
        ctx.set(dut.bits, bits)
        ctx.set(dut.hold, 1)
        waited = 0
        while True:
            held = ctx.get(dut.held)
            ctx.set(dut.hold, waited < hold)
            waited += held
            seen.append(tuple(ctx.get(s) for s in (dut.select, dut.sclk, dut.active)) + (held,))
            await ctx.tick()
            ctx.set(dut.start, 0)
            if ctx.get(dut.idle):
                return
            assert len(seen) < 2000, "the frame never ended"

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return seen


phases = st.integers(1, 4)


@settings(max_examples=25, deadline=None)
@given(half=phases, lead=phases, gap=phases, bits=st.integers(1, 64), idle=st.integers(0, 1))
def test_a_frame_takes_the_cycles_of_its_formula(half, lead, gap, bits, idle):
    timing = SerialTiming(half, lead, gap)
    seen = run(timing, bits, idle)
    assert len(seen) == timing.frame_cycles(bits)
    assert [t for t, s in enumerate(seen) if s[2]] == [timing.edge_cycle(i) for i in range(bits)]
    selected = [t for t, s in enumerate(seen) if s[0]]
    assert selected == list(range(1, 1 + lead + 2 * half * bits))
    clock = [s[1] ^ idle for s in seen]
    assert sum(clock) == half * bits
    assert clock[1 : 1 + lead] == [0] * lead


@pytest.mark.parametrize("hold", [0, 1, 7])
def test_the_last_edge_waits_while_held(hold):
    timing = SerialTiming(half=1, lead=1, gap=1)
    seen = run(timing, 24, hold=hold)
    assert len(seen) == timing.frame_cycles(24) + hold
    assert sum(s[3] for s in seen) == hold + 1
    assert sum(s[2] for s in seen) == 24


@settings(max_examples=200, deadline=None)
@given(
    clk_hz=st.integers(1_000_000, 400_000_000),
    sclk_hz=st.integers(1_000_000, 60_000_000),
    limits=st.tuples(*[st.integers(0, 200_000)] * 3),
)
def test_timing_keeps_every_limit(clk_hz, sclk_hz, limits):
    half_ps, lead_ps, gap_ps = limits
    timing = SerialTiming.of_part(clk_hz, sclk_hz, half_ps, lead_ps, gap_ps)
    assert 2 * timing.half * sclk_hz >= clk_hz
    for cycles, limit in ((timing.half, half_ps), (timing.lead, lead_ps), (timing.gap, gap_ps)):
        assert cycles >= 1 and cycles * 10**12 >= limit * clk_hz
    fastest = max(2 * sclk_hz * half_ps, 10**12)
    assert timing.half == 1 or (timing.half - 1) * 10**12 * 2 * sclk_hz < clk_hz * fastest
