"""The AD7476A's driver against its model: exact cycles, every code, clocks that are refused."""

import random

import pytest
from amaranth import Elaboratable, Module
from amaranth.sim import Simulator

from ohmloom.hw.afe import ad7476a as part
from ohmloom.hw.afe.ad7476a import AdcBank, AdcTimingError, readout_cycles
from ohmloom.sim.cosim.chips.ad7476a import SmallAdcBankModel, SmallAdcFault

CLOCKS = [100_000_000, 48_000_000, 12_000_000, 1_000_000]


class Bench(Elaboratable):
    """Driver and model; ``believed_hz`` is the clock that the driver was built for."""

    def __init__(self, chips, clk_hz, believed_hz=None):
        self.dut = AdcBank(chips, believed_hz or clk_hz)
        self.model = SmallAdcBankModel(chips, clk_hz)
        self.clk_hz = clk_hz

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.model = dut, model = self.dut, self.model
        m.d.comb += [
            model.cs_n.eq(dut.cs_n),
            model.sclk.eq(dut.sclk),
            model.skipped.eq(self.clk_hz),  # a second has gone by at power-up
            dut.sdata.eq(model.sdata),
        ]
        return m

    def run(self, conversions):
        """Words of each conversion, the cycles that it took, and the fault."""
        words, cycles, fault = [], [], []

        async def bench(ctx):
            await ctx.tick().repeat(3)
            for codes in conversions:
                ctx.set(self.dut.convert, 1)
                await ctx.tick()
                ctx.set(self.dut.convert, 0)
                before, taken, found = ctx.get(self.model.sample), 1, []
                while not ctx.get(self.dut.idle):
                    if ctx.get(self.model.sample) != before:
                        for chip, code in enumerate(codes):
                            ctx.set(self.model.codes[chip], code)
                    if ctx.get(self.dut.words.valid):
                        payload = self.dut.words.payload
                        found.append((ctx.get(payload["chip"]), ctx.get(payload["code"])))
                    await ctx.tick()
                    taken += 1
                words.append(found)
                cycles.append(taken)
            fault.append(SmallAdcFault(ctx.get(self.model.fault)))

        sim = Simulator(self)
        sim.add_clock(1 / self.clk_hz)
        sim.add_testbench(bench)
        sim.run()
        return words, cycles, fault[0]


@pytest.mark.parametrize("chips", [1, 8])
@pytest.mark.parametrize("clk_hz", CLOCKS)
def test_every_part_s_code_arrives_in_the_cycles_of_the_formula(clk_hz, chips):
    rng = random.Random(chips)
    codes = [[rng.getrandbits(12) for _ in range(chips)] for _ in range(2)]
    codes += [[0] * chips, [0xFFF] * chips, [0x800] * chips]
    words, cycles, fault = Bench(chips, clk_hz).run(codes)
    assert fault is SmallAdcFault.NONE
    assert words == [list(enumerate(each)) for each in codes]
    assert cycles == [readout_cycles(chips, clk_hz)] * len(codes)


def test_every_phase_keeps_its_minimum():
    for clk_hz in (40_000, *CLOCKS, 400_000_000):
        timing = part.serial_timing(clk_hz)
        data = part.SCLK_TO_DATA_PS + part.BOARD_PS
        for cycles, limit in (
            (2 * timing.half, data),
            (timing.lead, part.CS_TO_DATA_PS + part.BOARD_PS),
            (timing.gap, part.RELINQUISH_PS + part.QUIET_PS),
            (7 * timing.half + timing.gap, part.ACQUIRE_PS),
        ):
            assert cycles * 10**12 >= limit * clk_hz, clk_hz
        sclk_hz = clk_hz / (2 * timing.half)
        assert part.SCLK_MIN_HZ <= sclk_hz <= part.SCLK_MAX_HZ


def test_one_million_samples_a_second_is_nearly_reached():
    """The sheet's 1 MSPS at 20 MHz: at 40 MHz the serial clock is just that."""
    assert part.serial_timing(40_000_000).half == 1
    assert 40_000_000 / readout_cycles(2, 40_000_000) > 900_000


@pytest.mark.parametrize("clk_hz", [39_999, 1_000])
def test_a_clock_too_slow_for_the_part_is_refused(clk_hz):
    with pytest.raises(AdcTimingError, match=f"{clk_hz} Hz gives a serial clock of"):
        AdcBank(2, clk_hz)


@pytest.mark.parametrize(
    ("real_hz", "believed_hz"), [(200_000_000, 48_000_000), (100_000_000, 40_000_000)]
)
def test_a_driver_built_for_a_slower_clock_is_caught(real_hz, believed_hz):
    _, _, fault = Bench(2, real_hz, believed_hz).run([[1, 2]] * 2)
    assert fault is SmallAdcFault.TIMING
