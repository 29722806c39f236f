"""The MAX11125's driver against its model: exact cycles, every code, either place of the word."""

import random

import pytest
from amaranth import Elaboratable, Module
from amaranth.sim import Simulator

from ohmloom.hw.afe import max11125 as part
from ohmloom.hw.afe.max11125 import AdcTimingError, ScanAdc, hold_cycles, readout_cycles
from ohmloom.sim.cosim.chips.max11125 import ScanAdcFault, ScanAdcModel

CLOCKS = [100_000_000, 48_000_000, 12_000_000, 1_000_000]


class Bench(Elaboratable):
    """Driver and model; ``believed_hz`` is the clock that the driver was built for."""

    def __init__(self, channels, clk_hz, *, believed_hz=None, acquire_ps=part.ACQUIRE_PS, late=0):
        self.dut = ScanAdc(channels, believed_hz or clk_hz, acquire_ps)
        self.model = ScanAdcModel(clk_hz, bool(late))
        self.clk_hz = clk_hz

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.model = dut, model = self.dut, self.model
        m.d.comb += [
            model.cs_n.eq(dut.cs_n),
            model.sclk.eq(dut.sclk),
            model.din.eq(dut.din),
            model.skipped.eq(self.clk_hz),  # a second has gone by at power-up
            dut.dout.eq(model.dout),
        ]
        return m

    def run(self, conversions, limit=50_000):
        """Words of each conversion, its cycles, those of ``holding``, and the fault."""
        words, cycles, held, fault = [], [], [], []

        async def idle(ctx, each):
            for waited in range(limit):
                if ctx.get(self.dut.idle):
                    return waited
                each()
                await ctx.tick()
            raise AssertionError("the driver never came back")

        async def bench(ctx):
            await ctx.tick().repeat(3)
            ctx.set(self.dut.wake, 1)
            await ctx.tick()
            ctx.set(self.dut.wake, 0)
            await idle(ctx, lambda: None)
            for codes in conversions:
                for channel, code in enumerate(codes):
                    ctx.set(self.model.codes[channel], code)
                ctx.set(self.dut.convert, 1)
                await ctx.tick()
                ctx.set(self.dut.convert, 0)
                found, holding = [], []

                def look(found=found, holding=holding):
                    holding.append(ctx.get(self.dut.holding))
                    if ctx.get(self.dut.words.valid):
                        payload = self.dut.words.payload
                        found.append((ctx.get(payload["chip"]), ctx.get(payload["code"])))

                cycles.append(1 + await idle(ctx, look))
                words.append(found)
                held.append(1 + sum(holding))
            fault.append(ScanAdcFault(ctx.get(self.model.fault)))

        sim = Simulator(self)
        sim.add_clock(1 / self.clk_hz)
        sim.add_testbench(bench)
        sim.run()
        return words, cycles, held, fault[0]


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("channels", [2, 8])
@pytest.mark.parametrize("clk_hz", CLOCKS)
def test_every_channel_s_code_arrives_in_the_cycles_of_the_formula(clk_hz, channels, late):
    rng = random.Random(channels)
    codes = [[rng.getrandbits(12) for _ in range(channels)] for _ in range(2)]
    codes += [[0] * channels, [0xFFF] * channels, [0x800] * channels, [0x001] * channels]
    words, cycles, held, fault = Bench(channels, clk_hz, late=late).run(codes)
    assert fault is ScanAdcFault.NONE
    assert words == [list(enumerate(each)) for each in codes]
    assert cycles == [readout_cycles(channels, clk_hz)] * len(codes)
    assert held == [hold_cycles(channels, clk_hz)] * len(codes)


@pytest.mark.parametrize("acquire_ps", [part.ACQUIRE_PS, 6_000_000])
def test_a_source_that_takes_longer_is_waited_for(acquire_ps):
    channels, clk_hz = 4, 48_000_000
    codes = [[1, 2, 3, 4]] * 2
    words, cycles, held, fault = Bench(channels, clk_hz, acquire_ps=acquire_ps).run(codes)
    assert fault is ScanAdcFault.NONE and words == [list(enumerate(each)) for each in codes]
    assert cycles == [readout_cycles(channels, clk_hz, acquire_ps)] * 2
    assert held == [hold_cycles(channels, clk_hz, acquire_ps)] * 2


def test_every_phase_keeps_its_minimum():
    for clk_hz in (320_000, *CLOCKS, 400_000_000):
        for acquire_ps in (part.ACQUIRE_PS, 2_000_000):
            timing = part.serial_timing(clk_hz, acquire_ps)
            for cycles, limit in (
                (timing.half, part.SCLK_TO_DATA_PS + part.BOARD_PS),
                (timing.half, part.DIN_SETUP_PS),
                (timing.half, part.DIN_HOLD_PS),
                (timing.lead, part.CS_TO_DATA_PS + part.BOARD_PS),
                (timing.lead, part.CS_TO_SCLK_PS),
                (timing.gap, part.CS_HIGH_PS),
                (2 * 3 * timing.half + timing.gap, acquire_ps),
            ):
                assert cycles * 10**12 >= limit * clk_hz, clk_hz
            sclk_hz = clk_hz / (2 * timing.half)
            assert part.SCLK_MIN_HZ <= sclk_hz <= part.SCLK_MAX_HZ


def test_one_million_samples_a_second_is_nearly_reached():
    """At 32 MHz the serial clock is the fastest one; lead and gap are the rest."""
    assert part.serial_timing(32_000_000).half == 1
    assert 8 * 32_000_000 / readout_cycles(8, 32_000_000) > 900_000


def test_a_part_that_does_not_answer_is_asked_again():
    bench = Bench(2, 12_000_000)
    frames = []

    async def mute(ctx):
        ctx.set(bench.dut.wake, 1)
        await ctx.tick()
        ctx.set(bench.dut.wake, 0)
        selected = 0
        for _ in range(3 * len(part.CONFIGURATION) * 40):
            assert not ctx.get(bench.dut.idle)
            now = not ctx.get(bench.dut.cs_n)
            frames.append(now and not selected)
            selected = now
            await ctx.tick()

    sim = Simulator(bench.dut)  # without the model
    sim.add_clock(1 / 12_000_000)
    sim.add_testbench(mute)
    sim.run()
    assert sum(frames) > 2 * len(part.CONFIGURATION)


@pytest.mark.parametrize("clk_hz", [319_999, 1_000])
def test_a_clock_too_slow_for_the_part_is_refused(clk_hz):
    with pytest.raises(AdcTimingError, match=f"{clk_hz} Hz gives a serial clock of"):
        ScanAdc(2, clk_hz)


@pytest.mark.parametrize("channels", [1, 9])
def test_channels_that_it_does_not_have_are_refused(channels):
    with pytest.raises(ValueError, match=f"channels = {channels}"):
        ScanAdc(channels, 48_000_000)


@pytest.mark.parametrize(
    ("real_hz", "believed_hz"), [(200_000_000, 48_000_000), (100_000_000, 32_000_000)]
)
def test_a_driver_built_for_a_slower_clock_is_caught(real_hz, believed_hz):
    bench = Bench(2, real_hz, believed_hz=believed_hz)
    fault = []

    async def watch(ctx):
        ctx.set(bench.dut.wake, 1)
        await ctx.tick().repeat(3_000)
        fault.append(ScanAdcFault(ctx.get(bench.model.fault)))

    sim = Simulator(bench)
    sim.add_clock(1 / real_hz)
    sim.add_testbench(watch)
    sim.run()
    assert fault == [ScanAdcFault.TIMING]
