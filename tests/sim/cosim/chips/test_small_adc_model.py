"""The AD7476A model: bits, when they appear, and every minimum it watches."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from ohmloom.sim.cosim.chips.ad7476a import SmallAdcBankModel, SmallAdcFault

CLK_HZ = 200_000_000
AWAKE = 200
"""1 us."""
ACCESS = 8
"""40 ns, the longest access time."""


def play(frames, codes=(0,), skipped=AWAKE):
    """Frames of ``(select, clock)`` cycles; the data lines in each cycle, and the fault."""
    dut = SmallAdcBankModel(len(codes), CLK_HZ)
    lines, result = [], []

    async def bench(ctx):
        for chip, code in enumerate(codes):
            ctx.set(dut.codes[chip], code)
        await ctx.tick()
        ctx.set(dut.skipped, skipped)
        await ctx.tick().repeat(2)
        for cs_n, sclk, _ in (cycle for frame in frames for cycle in frame):
            ctx.set(dut.cs_n, cs_n)
            ctx.set(dut.sclk, sclk)
            lines.append(ctx.get(dut.sdata))
            await ctx.tick()
        result.append(SmallAdcFault(ctx.get(dut.fault)))

    sim = Simulator(dut)
    sim.add_clock(1 / CLK_HZ)
    sim.add_testbench(bench)
    sim.run()
    return lines, result[0]


def conversion(shape, clocks=16):
    return shape.frame([0] * clocks, 1)


def falling(frame):
    return [t for t, (_, sclk, _) in enumerate(frame) if not sclk and frame[t - 1][1]]


def test_four_zeros_and_the_code_one_line_a_part(shape):
    codes = [0xA5C, 0x3F1]
    frame = conversion(shape)
    lines, fault = play([frame], codes)
    assert fault is SmallAdcFault.NONE
    for chip, code in enumerate(codes):
        # Just before each falling edge, as the driver takes it.
        bits = [lines[t - 1] >> chip & 1 for t in falling(frame)]
        assert bits == [0] * 4 + [code >> i & 1 for i in range(11, -1, -1)]


def test_a_bit_comes_as_late_as_the_sheet_allows(shape):
    """Bit 4 is the code's first one, put out by the fourth falling edge."""
    frame = conversion(shape)
    lines, _ = play([frame], [0x800])
    edge = falling(frame)[3]
    assert lines[edge + ACCESS - 1] == 0
    assert lines[edge + ACCESS] == 1


@pytest.mark.parametrize("clocks", [0, 9, 15, 17])
def test_a_wrong_clock_count_is_a_fault(shape, clocks):
    assert play([conversion(shape, clocks)])[1] is SmallAdcFault.COUNT


@pytest.mark.parametrize(
    ("skipped", "fault"), [(AWAKE - 3, SmallAdcFault.NONE), (AWAKE - 4, SmallAdcFault.NOT_READY)]
)
def test_power_up_is_waited_for(shape, skipped, fault):
    assert play([conversion(shape)], skipped=skipped)[1] is fault


@pytest.mark.parametrize(
    ("minimum", "change"),
    [
        ("period 50 ns", {"period": (10, 9)}),
        ("low 20 ns", {"width": (4, 3)}),
        ("high 20 ns", {"width": (6, 7)}),
        ("lead 10 ns", {"lead": (2, 1)}),
    ],
)
def test_every_minimum_of_a_conversion_is_watched(shape, minimum, change):
    for which, fault in enumerate((SmallAdcFault.NONE, SmallAdcFault.TIMING)):
        wiggle = replace(shape, **{name: values[which] for name, values in change.items()})
        assert play([conversion(wiggle)])[1] is fault, minimum


def test_the_quiet_time_is_watched(shape):
    """36 ns to a free line and 50 ns of quiet, from the 16th falling edge on.

    A slow last clock keeps the acquisition time out of it.
    """
    for gap, fault in ((8, SmallAdcFault.NONE), (7, SmallAdcFault.ACQUIRE)):
        wiggle = replace(shape, period=30, width=15, lag=10, gap=gap)
        assert play([conversion(wiggle)] * 2)[1] is fault


def test_the_acquisition_time_is_watched(shape):
    """250 ns from the rising edge after the 13th falling one to the next select."""
    to_deselect = 3 * shape.period - shape.width + shape.lag
    for acquire, fault in ((50, SmallAdcFault.NONE), (49, SmallAdcFault.ACQUIRE)):
        wiggle = replace(shape, gap=acquire - to_deselect)
        assert play([conversion(wiggle)] * 2)[1] is fault


def test_the_slowest_clock_is_watched(shape):
    """20 kHz: at most 10000 cycles from one falling edge to the next."""
    frame = conversion(shape)
    edge = falling(frame)[4]
    for longest, fault in ((10_000, SmallAdcFault.NONE), (10_001, SmallAdcFault.TIMING)):
        stretched = [*frame[:edge], *[frame[edge - 1]] * (longest - shape.period), *frame[edge:]]
        assert play([stretched])[1] is fault
