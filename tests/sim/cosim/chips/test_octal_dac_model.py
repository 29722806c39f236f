"""The AD5628 model: codes, commands, and every minimum it watches."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from ohmloom.hw.afe.ad5628 import Command
from ohmloom.sim.cosim.chips.ad5628 import OctalDacFault, OctalDacModel

CLK_HZ = 200_000_000
POWER_UP = 200_000
OFF = [0] * 8


def write(command, address=0, value=0, top=0):
    word = top << 28 | command << 24 | address << 20 | value
    return [word >> i & 1 for i in range(31, -1, -1)]


def code(channel, value):
    return write(Command.WRITE_UPDATE, channel, value << 8)


SETUP = (write(Command.RESET), write(Command.REFERENCE, value=1), write(Command.POWER, value=0xFF))


def play(frames, skipped=POWER_UP):
    """Frames of ``(select, clock, data)`` cycles; ``(codes, fault)`` afterwards."""
    dut = OctalDacModel(CLK_HZ)
    result = []

    async def bench(ctx):
        await ctx.tick()
        ctx.set(dut.skipped, skipped)
        await ctx.tick().repeat(2)
        for sync_n, sclk, din in (cycle for frame in frames for cycle in frame):
            ctx.set(dut.sync_n, sync_n)
            ctx.set(dut.sclk, sclk)
            ctx.set(dut.din, din)
            await ctx.tick()
        codes = [ctx.get(dut.codes[i]) for i in range(8)]
        result.append((codes, OctalDacFault(ctx.get(dut.fault))))

    sim = Simulator(dut)
    sim.add_clock(1 / CLK_HZ)
    sim.add_testbench(bench)
    sim.run()
    return result[0]


def frames(shape, *bits):
    return [shape.frame(each, 1) for each in bits]


def test_each_channel_takes_its_code(shape):
    wanted = [0x123, 0xFFF, 0, 0xABC, 1, 0x800, 0x7FF, 0x555]
    writes = [code(channel, value) for channel, value in enumerate(wanted)]
    assert play(frames(shape, *SETUP, *writes)) == (wanted, OctalDacFault.NONE)


def test_one_write_reaches_all_channels_and_the_top_bits_do_not_count(shape):
    bits = write(Command.WRITE_UPDATE, 15, 0x321 << 8 | 0xFF, top=0xF)
    assert play(frames(shape, *SETUP, bits)) == ([0x321] * 8, OctalDacFault.NONE)


def test_a_code_takes_effect_with_the_32nd_falling_edge(shape):
    whole = shape.frame(code(0, 0x555), 1)
    last = max(t for t, (_, sclk, _) in enumerate(whole) if not sclk and whole[t - 1][1])
    before = [*frames(shape, *SETUP), whole[:last]]
    after = [*frames(shape, *SETUP), whole[: last + 2]]
    assert play(before) == (OFF, OctalDacFault.NONE)
    assert play(after) == ([0x555, *OFF[1:]], OctalDacFault.NONE)


@pytest.mark.parametrize("clocks", [0, 31, 33])
def test_a_wrong_clock_count_is_a_fault(shape, clocks):
    bits = (code(0, 0x123) + [0])[:clocks]
    codes, fault = play(frames(shape, *SETUP, bits))
    assert fault is OctalDacFault.COUNT
    assert codes[0] == (0x123 if clocks >= 32 else 0)


@pytest.mark.parametrize("bits", [write(0), write(9), write(12), code(8, 1), code(14, 1)])
def test_unknown_commands_are_refused(shape, bits):
    assert play(frames(shape, *SETUP, bits)) == (OFF, OctalDacFault.COMMAND)


def test_a_code_without_a_reference_is_a_fault_and_no_voltage(shape):
    assert play(frames(shape, SETUP[0], code(0, 1))) == (OFF, OctalDacFault.NOT_CONFIGURED)


def test_a_channel_without_power_is_a_fault(shape):
    down = write(Command.POWER, value=1 << 8 | 0x10)
    assert play(frames(shape, *SETUP, down, code(0, 1)))[1] is OctalDacFault.NOT_CONFIGURED


@pytest.mark.parametrize(
    ("skipped", "fault"),
    [(POWER_UP - 3, OctalDacFault.NONE), (POWER_UP - 4, OctalDacFault.NOT_READY)],
)
def test_power_up_is_waited_for(shape, skipped, fault):
    assert play(frames(shape, *SETUP), skipped)[1] is fault


@pytest.mark.parametrize(
    ("minimum", "change"),
    [
        ("period 40 ns", {"period": (8, 7), "width": (4, 4), "change": (4, 3)}),
        ("low 20 ns", {"width": (4, 3), "change": (3, 3)}),
        ("high 20 ns", {"width": (6, 7)}),
        ("lead 20 ns", {"lead": (4, 3)}),
        ("set-up 5 ns", {"change": (9, 10)}),
        ("hold 5 ns", {"change": (1, 0)}),
        ("lag 10 ns", {"lag": (2, 1), "width": (4, 4)}),
        ("gap 30 ns", {"gap": (6, 5)}),
    ],
)
def test_every_minimum_is_watched(shape, minimum, change):
    """The shortest allowed time passes, one cycle less does not."""
    for which, fault in enumerate((OctalDacFault.NONE, OctalDacFault.TIMING)):
        wiggle = replace(shape, **{name: values[which] for name, values in change.items()})
        trial = [wiggle.frame(bits, 1) for bits in (*SETUP, code(3, 0xA5A), code(4, 0x5A5))]
        assert play(trial)[1] is fault, minimum
