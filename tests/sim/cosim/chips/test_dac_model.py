"""The AD5754R model: codes, configuration, and every minimum it watches."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from ohmloom.hw.afe.ad5754r import Register
from ohmloom.sim.cosim.chips.ad5754r import DacFault, DacModel

CLK_HZ = 200_000_000
POWER_UP = 2_000
ZERO = [0x8000] * 4


def write(register, address, value, top=0):
    word = top << 22 | register << 19 | address << 16 | value
    return [word >> i & 1 for i in range(23, -1, -1)]


SETUP = (
    write(Register.CONTROL, 1, 0b1101),
    write(Register.RANGE, 4, 4),
    write(Register.POWER, 0, 0x1F),
)


class Bench:
    """Collects pin cycles; :meth:`run` plays them."""

    def __init__(self, shape):
        self.shape = shape
        self.cycles = []

    def frame(self, bits, ldac=True, shape=None, wait=27, low=6, level=1):
        frame = (shape or self.shape).frame(bits, 1)
        self.cycles += [(cs, clk, data, level, 1, 0) for cs, clk, data in frame]
        if ldac:
            self.cycles += [(1, 1, 0, 1, 1, 0)] * wait + [(1, 1, 0, 0, 1, 0)] * low
            self.cycles += [(1, 1, 0, 1, 1, 0)] * 6
        return self

    def setup(self, skipped=POWER_UP):
        for bits in SETUP:
            self.frame(bits)
        self.cycles += [(1, 1, 0, 1, 1, skipped)] * 3
        return self

    def clear(self, low):
        self.cycles += [(1, 1, 0, 1, 0, 0)] * low + [(1, 1, 0, 1, 1, 0)] * 3
        return self

    def run(self):
        dut = DacModel(CLK_HZ)
        result = []
        pins = (dut.sync_n, dut.sclk, dut.sdin, dut.ldac_n, dut.clr_n)

        async def bench(ctx):
            skipped = 0
            await ctx.tick().repeat(10)
            for *levels, jump in self.cycles:
                for pin, level in zip(pins, levels, strict=True):
                    ctx.set(pin, level)
                skipped = max(skipped, jump)
                ctx.set(dut.skipped, skipped)
                await ctx.tick()
            codes = [ctx.get(dut.codes[i]) for i in range(4)]
            result.append((codes, DacFault(ctx.get(dut.fault))))

        sim = Simulator(dut)
        sim.add_clock(1 / CLK_HZ)
        sim.add_testbench(bench)
        sim.run()
        return result[0]


@pytest.fixture
def bench(shape):
    return Bench(shape)


def test_each_channel_takes_its_code(bench):
    bench.setup()
    wanted = [0x1234, 0xFFFF, 0x0000, 0xABCD]
    for channel, code in enumerate(wanted):
        bench.frame(write(Register.DAC, channel, code))
    assert bench.run() == (wanted, DacFault.NONE)


def test_one_write_reaches_all_channels(bench):
    bench.setup().frame(write(Register.DAC, 4, 0x4321))
    assert bench.run() == ([0x4321] * 4, DacFault.NONE)


def test_a_code_waits_for_ldac(bench):
    bench.setup().frame(write(Register.DAC, 0, 0x1234), ldac=False)
    assert bench.run() == (ZERO, DacFault.NONE)


def test_clear_brings_all_channels_to_zero(bench):
    bench.setup().frame(write(Register.DAC, 4, 0x4321)).clear(4)
    assert bench.run() == (ZERO, DacFault.NONE)


@pytest.mark.parametrize("clocks", [0, 23, 25])
def test_wrong_clock_count_is_refused(bench, clocks):
    bits = (write(Register.DAC, 0, 0x1234) + [0])[:clocks]
    assert bench.setup().frame(bits).run() == (ZERO, DacFault.COUNT)


@pytest.mark.parametrize(
    "bits",
    [
        write(Register.DAC, 0, 1, top=2),
        write(Register.DAC, 0, 1, top=1),
        write(Register.DAC, 5, 1),
        write(Register.CONTROL, 0, 0),
        write(4, 0, 0),
    ],
)
def test_unknown_commands_are_refused(bench, bits):
    assert bench.setup().frame(bits).run() == (ZERO, DacFault.COMMAND)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_code_before_the_set_up_is_a_fault(bench, missing):
    for i, bits in enumerate(SETUP):
        if i != missing:
            bench.frame(bits)
    bench.cycles += [(1, 1, 0, 1, 1, POWER_UP)] * 3
    assert bench.frame(write(Register.DAC, 0, 1)).run()[1] is DacFault.NOT_CONFIGURED


def test_a_code_too_soon_after_power_up_is_a_fault(bench):
    bench.setup(skipped=0).frame(write(Register.DAC, 0, 1))
    assert bench.run()[1] is DacFault.NOT_READY


@pytest.mark.parametrize(
    ("minimum", "change"),
    [
        ("period 33 ns", {"period": (7, 6), "width": (3, 3), "change": (3, 3)}),
        ("low 13 ns", {"width": (3, 2), "change": (3, 3)}),
        ("high 13 ns", {"width": (7, 8)}),
        ("lead 13 ns", {"lead": (3, 2)}),
        ("set-up 7 ns", {"change": (8, 9)}),
        ("hold 7 ns", {"change": (2, 1)}),
        ("lag 13 ns", {"lag": (3, 2), "width": (3, 3)}),
    ],
)
def test_every_minimum_of_a_frame_is_watched(bench, shape, minimum, change):
    for which, fault in enumerate((DacFault.NONE, DacFault.TIMING)):
        wiggle = replace(shape, **{name: values[which] for name, values in change.items()})
        trial = Bench(shape).setup().frame(write(Register.DAC, 0, 0xA5A5), shape=wiggle)
        assert trial.run()[1] is fault, minimum


@pytest.mark.parametrize(
    ("minimum", "gaps", "waits", "lows"),
    [
        ("SYNC high 100 ns", (20, 19), None, None),
        ("SYNC to LDAC 130 ns", (1, 1), (25, 24), None),
        ("LDAC low 20 ns", (60, 60), None, (4, 3)),
    ],
)
def test_every_minimum_around_a_frame_is_watched(shape, minimum, gaps, waits, lows):
    code = write(Register.DAC, 0, 0xA5A5)
    for which, fault in enumerate((DacFault.NONE, DacFault.TIMING)):
        trial = Bench(shape).setup()
        wiggle = replace(shape, gap=gaps[which])
        trial.frame(
            code,
            shape=wiggle,
            ldac=waits is not None or lows is not None,
            wait=waits[which] if waits else 27,
            low=lows[which] if lows else 6,
        )
        if waits is None and lows is None:
            trial.frame(code)
        assert trial.run()[1] is fault, minimum


@pytest.mark.parametrize(("pause", "fault"), [(4, DacFault.NONE), (3, DacFault.TIMING)])
def test_ldac_to_sync_is_watched(bench, pause, fault):
    bench.setup()
    bench.cycles += [(1, 1, 0, 0, 1, 0)] * pause
    bench.frame(write(Register.DAC, 0, 1), ldac=False, level=0)
    assert bench.run()[1] is fault


@pytest.mark.parametrize(("low", "fault"), [(4, DacFault.NONE), (3, DacFault.TIMING)])
def test_the_width_of_clear_is_watched(bench, low, fault):
    assert bench.setup().clear(low).run()[1] is fault


def test_data_that_moves_with_the_clock_is_a_fault(shape):
    wiggle = replace(shape, change=shape.period)
    bench = Bench(shape).setup().frame(write(Register.DAC, 0, 0xA5A5), shape=wiggle)
    assert bench.run()[1] is DacFault.TIMING
