"""Serial receiver and transmitter."""

from __future__ import annotations

import gc
import warnings

import pytest
from amaranth.hdl import UnusedElaboratable

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.link.link import Link
from ohmloom.hw.link.uart import BaudError, UartRx, UartTx, divisor

REAL = [(4, 1), (48_000_000, 3_000_000), (12_000_000, 1_000_000)]


@pytest.mark.parametrize(
    ("clk_hz", "baud", "cycles"),
    [
        (48_000_000, 3_000_000, 16),
        (12_000_000, 1_000_000, 12),
        (12_000_000, 115_200, 104),
        (12_000_000, 921_600, 13),  # 0.16 % off
        (48_000_000, 115_200, 417),
        (4, 1, 4),
    ],
)
def test_divisor(clk_hz, baud, cycles):
    assert divisor(clk_hz, baud) == cycles


def refusal(build, clk_hz: int, baud: int) -> str:
    """The message of the :class:`BaudError` of ``build``."""
    with warnings.catch_warnings():
        # Amaranth warns of the component that was never finished.
        warnings.simplefilter("ignore", UnusedElaboratable)
        message = "accepted"
        try:
            build(clk_hz, baud)
        except BaudError as error:
            message = str(error)
        gc.collect()
    return message


@pytest.mark.parametrize("build", [UartRx, UartTx, lambda *rate: Link(Geometry(), *rate)])
@pytest.mark.parametrize(
    ("clk_hz", "baud", "found"),
    [
        (25_000_000, 3_000_000, "3125000 baud, +4.17 %"),
        (48_000_000, 20_000_000, "12000000 baud, -40.00 %"),
    ],
)
def test_a_wrong_rate_is_refused_with_the_achieved_one(build, clk_hz, baud, found):
    message = refusal(build, clk_hz, baud)
    assert message.startswith(f"{clk_hz} Hz cannot make {baud} baud: the nearest is {found}")


def frame_bits(byte: int) -> list[int]:
    return [0, *(byte >> i & 1 for i in range(8)), 1]


async def drive(ctx, dut, bits, cycles):
    for bit in bits:
        ctx.set(dut.rx, bit)
        await ctx.tick().repeat(cycles)


def collector(dut, got):
    async def collect(ctx):
        async for *_, valid, byte in ctx.tick().sample(dut.o.valid, dut.o.payload):
            if valid:
                got.append(byte)

    return collect


@pytest.mark.parametrize(("clk_hz", "baud"), REAL)
def test_rx_hears_bytes_back_to_back(simulate, clk_hz, baud):
    dut, got = UartRx(clk_hz, baud), []
    sent = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7E]

    async def testbench(ctx):
        for byte in sent:
            await drive(ctx, dut, frame_bits(byte), dut.divisor)
        await ctx.tick().repeat(dut.divisor)
        assert not ctx.get(dut.active)

    simulate(dut, testbench, background=[collector(dut, got)])
    assert got == sent


def test_rx_tolerates_the_accepted_rate_error(simulate):
    dut, got = UartRx(100, 1), []

    async def testbench(ctx):
        for cycles in (98, 102):  # 1 % at either end
            await drive(ctx, dut, frame_bits(0x5A), cycles)
            await ctx.tick().repeat(100)

    simulate(dut, testbench, background=[collector(dut, got)])
    assert got == [0x5A, 0x5A]


def test_rx_ignores_a_glitch_and_drops_a_byte_without_stop_bit(simulate):
    dut, got = UartRx(16, 1), []

    async def testbench(ctx):
        await drive(ctx, dut, [0], 5)
        await drive(ctx, dut, [1], 100)
        assert got == [] and not ctx.get(dut.active)
        await drive(ctx, dut, frame_bits(0xC3)[:-1] + [0] * 30, 16)  # a break
        assert got == [] and ctx.get(dut.active)
        await drive(ctx, dut, [1, *frame_bits(0x3C)], 16)
        await ctx.tick().repeat(16)
        assert not ctx.get(dut.active)

    simulate(dut, testbench, background=[collector(dut, got)])
    assert got == [0x3C]


@pytest.mark.parametrize(("clk_hz", "baud"), REAL)
def test_tx_sends_exact_bits_and_idles_high(simulate, clk_hz, baud):
    dut = UartTx(clk_hz, baud)
    sent = [0x00, 0xFF, 0xA5]

    async def feed(ctx):
        await ctx.tick().repeat(7)
        for byte in sent:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def check(ctx):
        for _ in range(8):
            assert ctx.get(dut.tx) == 1
            await ctx.tick()
        for byte in sent:
            for bit in frame_bits(byte):
                for _ in range(dut.divisor):
                    assert ctx.get(dut.tx) == bit
                    assert ctx.get(dut.active)
                    await ctx.tick()
            assert not ctx.get(dut.active)  # one idle cycle, in which the next byte enters
            await ctx.tick()
        for _ in range(50):
            assert ctx.get(dut.tx) == 1 and not ctx.get(dut.active)
            await ctx.tick()

    simulate(dut, feed, check)
