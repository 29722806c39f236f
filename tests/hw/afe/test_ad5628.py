"""The AD5628's driver against its model: exact cycles, every channel, the set-up."""

import random

import pytest
from amaranth import Elaboratable, Module
from amaranth.sim import Simulator

from ohmloom.hw.afe import ad5628 as part
from ohmloom.hw.afe.ad5628 import CONFIGURATION, Command, OctalDac, code_field, frame
from ohmloom.sim.cosim.chips.ad5628 import OctalDacFault, OctalDacModel

CLOCKS = [200_000_000, 48_000_000, 12_000_000]


class Bench(Elaboratable):
    """Driver and model; ``believed_hz`` is the clock that the driver was built for."""

    def __init__(self, clk_hz, believed_hz=None):
        self.dut = OctalDac(believed_hz or clk_hz)
        self.model = OctalDacModel(clk_hz)
        self.clk_hz = clk_hz

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.model = dut, model = self.dut, self.model
        m.d.comb += [
            model.sclk.eq(dut.sclk),
            model.sync_n.eq(dut.sync_n),
            model.din.eq(dut.din),
            model.skipped.eq(self.clk_hz),  # a second has gone by at power-up
        ]
        return m

    def run(self, frames):
        """Codes of the channels, the fault, and the cycles from one acceptance to the next."""
        result, accepted = [], []

        async def bench(ctx):
            await ctx.tick().repeat(3)
            now = 0
            for value in frames:
                ctx.set(self.dut.frame.payload, value)
                ctx.set(self.dut.frame.valid, 1)
                while not ctx.get(self.dut.frame.ready):
                    await ctx.tick()
                    now += 1
                accepted.append(now)
                await ctx.tick()
                now += 1
                ctx.set(self.dut.frame.valid, 0)
            while not ctx.get(self.dut.idle):
                await ctx.tick()
                now += 1
            accepted.append(now)
            await ctx.tick().repeat(2)
            codes = [ctx.get(self.model.codes[i]) for i in range(part.CHANNELS)]
            result.extend([codes, OctalDacFault(ctx.get(self.model.fault))])

        sim = Simulator(self)
        sim.add_clock(1 / self.clk_hz)
        sim.add_testbench(bench)
        sim.run()
        return *result, [b - a for a, b in zip(accepted, accepted[1:], strict=False)]


@pytest.mark.parametrize("clk_hz", CLOCKS)
def test_the_set_up_leaves_every_output_at_mid_scale(clk_hz):
    codes, fault, cycles = Bench(clk_hz).run(CONFIGURATION)
    assert (codes, fault) == ([part.MID_CODE] * 8, OctalDacFault.NONE)
    assert cycles == [part.write_cycles(clk_hz)] * len(CONFIGURATION)


@pytest.mark.parametrize("clk_hz", CLOCKS)
def test_each_channel_takes_its_code(clk_hz):
    rng = random.Random(clk_hz)
    wanted = [0, 0xFFF, *(rng.getrandbits(12) for _ in range(6))]
    writes = [
        frame(Command.WRITE_UPDATE, channel, code_field(code))
        for channel, code in enumerate(wanted)
    ]
    codes, fault, _ = Bench(clk_hz).run([*CONFIGURATION, *writes])
    assert (codes, fault) == (wanted, OctalDacFault.NONE)


def test_every_phase_keeps_its_minimum():
    for clk_hz in (1_000_000, *CLOCKS, 400_000_000):
        timing = part.serial_timing(clk_hz)
        halves = (part.SCLK_HIGH_PS, part.SCLK_LOW_PS, part.DIN_SETUP_PS, part.DIN_HOLD_PS)
        for cycles, limit in (
            *((timing.half, each) for each in halves),
            (timing.lead, part.SYNC_TO_SCLK_PS),
            (timing.gap, part.SYNC_HIGH_PS),
        ):
            assert cycles * 10**12 >= limit * clk_hz
        assert 2 * timing.half * part.SCLK_MAX_HZ >= clk_hz


@pytest.mark.parametrize(
    ("real_hz", "believed_hz"), [(200_000_000, 48_000_000), (100_000_000, 40_000_000)]
)
def test_a_driver_built_for_a_slower_clock_is_caught(real_hz, believed_hz):
    assert Bench(real_hz, believed_hz).run(CONFIGURATION)[1] is OctalDacFault.TIMING


def test_a_wrong_command_bit_is_caught():
    damaged = part.frame_layout.const({"command": 12, "address": 0, "data": 1})
    assert Bench(48_000_000).run([*CONFIGURATION, damaged])[1] is OctalDacFault.COMMAND
