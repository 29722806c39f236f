"""The AD7606's driver against its model: exact cycles, every code, timings that are caught."""

import random
from dataclasses import replace

import pytest
from amaranth import Elaboratable, Module
from amaranth.sim import Simulator

from ohmloom.hw.afe import ad7606, ad7606c
from ohmloom.hw.afe.ad7606c import AdcBank
from ohmloom.sim.cosim.chips.ad7606 import SlowAdcBankModel
from ohmloom.sim.cosim.chips.simultaneous import AdcFault

PART = ad7606.PART
CLOCKS = [100_000_000, 48_000_000, 12_000_000, 1_000_000]
SETTLED_CYCLES = 60


class Bench(Elaboratable):
    """Driver and model; the driver is built for ``part`` at ``believed_hz``."""

    def __init__(self, chips, clk_hz, believed_hz=None, part=PART):
        self.dut = AdcBank(chips, believed_hz or clk_hz, part)
        self.model = SlowAdcBankModel(chips, clk_hz)
        self.clk_hz = clk_hz

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.model = dut, model = self.dut, self.model
        m.d.comb += [
            model.cs_n.eq(dut.cs_n),
            model.sclk.eq(dut.sclk),
            model.convst.eq(dut.convst),
            dut.busy.eq(model.busy),
            dut.dout.eq(model.dout),
        ]
        return m

    def run(self, conversions):
        """Words of each conversion, the cycles that it took, and the fault."""
        words, cycles, fault = [], [], []

        async def bench(ctx):
            ctx.set(self.model.reset, 1)
            await ctx.tick().repeat(SETTLED_CYCLES)
            ctx.set(self.model.reset, 0)
            await ctx.tick().repeat(SETTLED_CYCLES)
            for codes in conversions:
                for column, code in enumerate(codes):
                    ctx.set(self.model.codes[column], code)
                ctx.set(self.dut.convert, 1)
                await ctx.tick()
                ctx.set(self.dut.convert, 0)
                taken, found = 1, []
                while not ctx.get(self.dut.idle):
                    if ctx.get(self.dut.samples.valid):
                        payload = self.dut.samples.payload
                        found.append((ctx.get(payload["column"]), ctx.get(payload["code"])))
                    await ctx.tick()
                    taken += 1
                words.append(sorted(found))
                cycles.append(taken)
            fault.append(AdcFault(ctx.get(self.model.fault)))

        sim = Simulator(self)
        sim.add_clock(1 / self.clk_hz)
        sim.add_testbench(bench)
        sim.run()
        return words, cycles, fault[0]


@pytest.mark.parametrize("chips", [1, 3])
@pytest.mark.parametrize("clk_hz", CLOCKS)
def test_every_channel_s_code_arrives_in_the_cycles_of_the_formula(clk_hz, chips):
    rng = random.Random(chips)
    codes = [[rng.getrandbits(16) for _ in range(8 * chips)] for _ in range(2)]
    words, cycles, fault = Bench(chips, clk_hz).run(codes)
    assert fault is AdcFault.NONE
    assert words == [list(enumerate(each)) for each in codes]
    assert cycles == [PART.readout_cycles(chips, clk_hz)] * len(codes)


def test_every_phase_keeps_its_minimum():
    for clk_hz in (*CLOCKS, 400_000_000):
        timing = PART.serial_timing(clk_hz)
        for cycles, limit in (
            (timing.half, PART.bit_ps + PART.board_ps),
            (timing.half, PART.sclk_level_ps),
            (timing.lead, PART.msb_ps + PART.board_ps),
            (timing.gap, PART.cs_high_ps),
            (2 * 64 * timing.half, PART.acquire_ps),
            (PART.readout_cycles(1, clk_hz), PART.cycle_ps),
        ):
            assert cycles * 10**12 >= limit * clk_hz, clk_hz
        assert clk_hz <= 2 * timing.half * PART.sclk_max_hz


def test_reading_after_a_conversion_costs_half_of_the_200_ksps():
    """64 clocks of 80 ns behind each conversion of 4.15 us."""
    assert 100_000 < 100_000_000 / PART.readout_cycles(1, 100_000_000) < 110_000


@pytest.mark.parametrize(
    "change",
    [
        {"sclk_max_hz": ad7606c.PART.sclk_max_hz, "sclk_level_ps": 0, "bit_ps": 0},
        {"msb_ps": 0, "board_ps": 0},
        {"cs_high_ps": 0, "convst_ps": 0, "busy_ps": 0},
    ],
)
def test_a_driver_of_a_faster_part_is_caught(change):
    """By a complaint, or by bits that are taken before they are there."""
    codes = [[0x8001, 0x7FFE, 1, 0xFFFF, 0x1234, 0x5678, 0x9ABC, 0xDEF0]] * 2
    words, _, fault = Bench(1, 200_000_000, part=replace(PART, **change)).run(codes)
    assert fault is AdcFault.TIMING or words != [list(enumerate(each)) for each in codes]


def test_a_driver_built_for_a_slower_clock_is_caught():
    _, _, fault = Bench(1, 200_000_000, 48_000_000).run([[0] * 8] * 2)
    assert fault is AdcFault.TIMING
