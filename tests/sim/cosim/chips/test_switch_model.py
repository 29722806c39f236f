"""The ADGS1414D model: what it takes, what it refuses, and every minimum it watches."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.afe.adgs1414d import Register
from ohmloom.sim.cosim.chips.adgs1414d import SwitchBankModel, SwitchFault

CLK_HZ = 200_000_000
POWER_UP = 24_000


def crc8(bits):
    """Bit-serial CRC, written differently from both the driver and the model."""
    message = int("".join(map(str, bits)), 2) << 8
    for i in range(len(bits) - 1, -1, -1):
        if message >> (i + 8) & 1:
            message ^= 0x107 << i
    return message


def write(register, value, crc=True, damage=0):
    word = register << 8 | value
    bits = [word >> i & 1 for i in range(15, -1, -1)]
    check = crc8(bits) ^ damage
    return bits + [check >> i & 1 for i in range(7, -1, -1)] * crc


def play(frames, skipped=POWER_UP, chips=1):
    """Frames of ``(select, clock, data)`` cycles; ``(switches, fault)`` afterwards."""
    dut = SwitchBankModel(chips, CLK_HZ)
    result = []

    async def bench(ctx):
        await ctx.tick()
        ctx.set(dut.skipped, skipped)
        await ctx.tick().repeat(2)
        for cs_n, sclk, sdi in (cycle for frame in frames for cycle in frame):
            ctx.set(dut.cs_n, cs_n)
            ctx.set(dut.sclk, sclk)
            ctx.set(dut.sdi, sdi)
            await ctx.tick()
        result.append((ctx.get(dut.switches), SwitchFault(ctx.get(dut.fault))))

    sim = Simulator(dut)
    sim.add_clock(1 / CLK_HZ)
    sim.add_testbench(bench)
    sim.run()
    return result[0]


def crc_mode(shape):
    return shape.frame(write(Register.ERR_CONFIG, 7, crc=False), 0)


def test_plain_write_takes_effect(shape):
    frames = [shape.frame(write(Register.SW_DATA, 0xA5, crc=False), 0)]
    assert play(frames) == (0xA5, SwitchFault.NONE)


def test_write_with_crc_takes_effect(shape):
    frames = [crc_mode(shape), shape.frame(write(Register.SW_DATA, 0x3C), 0)]
    assert play(frames) == (0x3C, SwitchFault.NONE)


@settings(max_examples=8, deadline=None)
@given(first=st.integers(0, 255), second=st.integers(0, 255))
def test_chips_of_a_bank_take_their_own_lines(first, second):
    from_lines = [
        [a | b << 1 for a, b in zip(write(r, x, c), write(r, y, c), strict=True)]
        for r, x, y, c in (
            (Register.ERR_CONFIG, 7, 7, False),
            (Register.SW_DATA, first, second, True),
        )
    ]
    frames = [
        [(0, sclk, bits) for bits in frame for sclk in (0,) * 4 + (1,) * 4]
        + [(0, 0, 0)] * 4
        + [(1, 0, 0)] * 8
        for frame in from_lines
    ]
    assert play(frames, chips=2) == (first | second << 8, SwitchFault.NONE)


@pytest.mark.parametrize("damage", [1, 0x80, 0xFF])
def test_wrong_crc_is_refused(shape, damage):
    frames = [
        crc_mode(shape),
        shape.frame(write(Register.SW_DATA, 0x0F), 0),
        shape.frame(write(Register.SW_DATA, 0xF0, damage=damage), 0),
    ]
    assert play(frames) == (0x0F, SwitchFault.CRC)


def test_switches_move_at_the_last_clock_edge_not_at_the_select(shape):
    whole = shape.frame(write(Register.SW_DATA, 0xFF), 0)
    last_edge = max(t for t, (_, sclk, _) in enumerate(whole) if sclk and not whole[t - 1][1])
    before = [crc_mode(shape), whole[:last_edge]]
    after = [crc_mode(shape), whole[: last_edge + 3]]
    assert play(before) == (0, SwitchFault.NONE)
    assert play(after) == (0xFF, SwitchFault.NONE)


@pytest.mark.parametrize("clocks", [0, 15, 17, 24])
def test_wrong_clock_count_is_a_fault(shape, clocks):
    bits = (write(Register.SW_DATA, 0x55, crc=False) + [0] * 8)[:clocks]
    switches, fault = play([shape.frame(bits, 0)])
    assert fault is SwitchFault.COUNT
    assert switches == (0x55 if clocks >= 16 else 0)


def test_short_frame_in_crc_mode_is_refused(shape):
    frames = [crc_mode(shape), shape.frame(write(Register.SW_DATA, 0x55)[:23], 0)]
    assert play(frames) == (0, SwitchFault.COUNT)


def test_unknown_register_is_a_fault(shape):
    assert play([shape.frame(write(0x05, 1, crc=False), 0)]) == (0, SwitchFault.ADDRESS)


def test_read_is_a_fault(shape):
    assert play([shape.frame(write(0x81, 1, crc=False), 0)]) == (0, SwitchFault.ADDRESS)


@pytest.mark.parametrize("from_crc_mode", [False, True])
def test_soft_reset_works_from_both_modes(shape, from_crc_mode):
    setting = write(Register.SW_DATA, 0x77, crc=from_crc_mode)
    frames = [crc_mode(shape)] * from_crc_mode + [
        shape.frame(setting, 0),
        shape.frame(write(Register.SOFT_RESETB, 0xA3), 0),
        shape.frame(write(Register.SOFT_RESETB, 0x05), 0),
    ]
    assert play(frames) == (0, SwitchFault.NONE)
    assert play(frames[:-1]) == (0x77, SwitchFault.NONE)


def test_frame_too_soon_after_a_reset_is_a_fault(shape):
    frames = [
        shape.frame(write(Register.SOFT_RESETB, 0xA3), 0),
        shape.frame(write(Register.SOFT_RESETB, 0x05), 0),
        shape.frame(write(Register.SW_DATA, 1, crc=False), 0),
    ]
    assert play(frames)[1] is SwitchFault.NOT_READY


@pytest.mark.parametrize(
    ("skipped", "fault"), [(POWER_UP - 3, SwitchFault.NONE), (POWER_UP - 4, SwitchFault.NOT_READY)]
)
def test_skipped_time_counts_as_waiting(shape, skipped, fault):
    frames = [shape.frame(write(Register.SW_DATA, 1, crc=False), 0)]
    assert play(frames, skipped=skipped)[1] is fault


@pytest.mark.parametrize(
    ("minimum", "change"),
    [
        ("period 20 ns", {"period": (4, 3), "width": (2, 1), "change": (2, 1)}),
        ("high 8 ns", {"width": (2, 1)}),
        ("low 8 ns", {"width": (8, 9)}),
        ("lead 10 ns", {"lead": (2, 1)}),
        ("set-up 6 ns", {"change": (8, 9)}),
        ("hold 8 ns", {"change": (2, 1)}),
        ("lag 10 ns", {"lag": (2, 1)}),
        ("gap 20 ns", {"gap": (4, 3)}),
    ],
)
def test_every_minimum_is_watched(shape, minimum, change):
    """The shortest allowed time passes, one cycle less does not."""
    for which, fault in enumerate((SwitchFault.NONE, SwitchFault.TIMING)):
        wiggle = replace(shape, **{name: values[which] for name, values in change.items()})
        if minimum.startswith("lag"):
            wiggle = replace(wiggle, width=min(wiggle.width, wiggle.lag))
        frames = [wiggle.frame(write(Register.SW_DATA, 0xA5, crc=False), 0)] * 2
        assert play(frames)[1] is fault, minimum


def test_data_that_moves_with_the_clock_is_a_fault(shape):
    wiggle = replace(shape, change=shape.period)
    frames = [wiggle.frame(write(Register.SW_DATA, 0xA5, crc=False), 0)]
    assert play(frames)[1] is SwitchFault.TIMING
