"""Frames: dropped whole or passed on whole."""

from __future__ import annotations

import random
import zlib

import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from ohmloom.hw.link.cobs import CobsDecoder
from ohmloom.hw.link.codec import Frame, cobs_encode, encode_frame
from ohmloom.hw.link.frame import FrameReceiver, FrameTransmitter
from ohmloom.hw.link.protocol import MAX_PAYLOAD


class ReceivePath(wiring.Component):
    """Decoder and receiver, a byte a cycle."""

    def __init__(self, window: int) -> None:
        self.decoder, self.receiver = CobsDecoder(), FrameReceiver(window)
        super().__init__({"i": In(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder, m.submodules.receiver = self.decoder, self.receiver
        wiring.connect(m, wiring.flipped(self.i), self.decoder.i)
        wiring.connect(m, self.decoder.o, self.receiver.i)
        return m


@pytest.fixture
def receive(simulate):
    """``receive(line, stall=0, window=1)``: frames that came out, how many were dropped."""

    def run(line: bytes, *, stall: int = 0, window: int = 1):
        dut, frames, dropped = ReceivePath(window), [], []
        receiver = dut.receiver
        out = receiver.o

        async def feed(ctx):
            for byte in line:
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, byte)
                await ctx.tick()
            ctx.set(dut.i.valid, 0)
            while ctx.get(receiver.active) or ctx.get(receiver.uncounted):
                await ctx.tick()

        async def collect(ctx):
            while True:
                while not ctx.get(receiver.active):
                    await ctx.tick()
                frame = bytearray()
                while len(frame) < ctx.get(receiver.length) + 2:
                    ctx.set(out.ready, 1)
                    while not ctx.get(out.valid):
                        await ctx.tick()
                    frame.append(ctx.get(out.payload))
                    await ctx.tick()
                    ctx.set(out.ready, 0)
                    for _ in range(stall):
                        await ctx.tick()
                frames.append(bytes(frame))
                ctx.set(receiver.release, 1)
                await ctx.tick()
                ctx.set(receiver.release, 0)

        async def count(ctx):
            while True:
                uncounted = ctx.get(receiver.uncounted)
                dropped.extend(uncounted * [1])
                ctx.set(receiver.counted, uncounted)
                await ctx.tick()

        simulate(dut, feed, background=[collect, count])
        return frames, len(dropped)

    return run


def raw(frame: Frame) -> bytes:
    return bytes([frame.seq, frame.kind]) + frame.payload


@pytest.mark.parametrize("stall", [0, 2])
def test_good_frames_pass(receive, stall):
    rng = random.Random(3)
    frames = [Frame(i, 255 - i, rng.randbytes(n)) for i, n in enumerate((0, 1, 40, 0))]
    # Gaps of delimiters give the slow reader time.
    line = b"".join(encode_frame(frame) + bytes(200) for frame in frames)
    assert receive(line, stall=stall) == ([raw(frame) for frame in frames], 0)


def test_the_longest_frame_passes_and_one_more_byte_does_not(receive):
    longest = Frame(7, 2, random.Random(4).randbytes(MAX_PAYLOAD))
    body = raw(longest) + b"\x55"
    too_long = cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"
    line = encode_frame(longest) + bytes(1100) + too_long + encode_frame(longest)
    assert receive(line) == ([raw(longest)] * 2, 1)
    assert receive(too_long[:-1] * 5 + b"\0" + encode_frame(longest)) == ([raw(longest)], 1)


def test_every_flipped_bit_drops_the_frame(receive):
    frame = Frame(1, 4, b"\x10\x00\x07\x00\x00\x00")
    good = encode_frame(frame)
    line, dropped = bytearray(), 0
    for bit in range(8 * (len(good) - 1)):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        dropped += sum(bool(piece) for piece in broken.split(b"\0"))
        line += broken
    assert receive(bytes(line)) == ([], dropped)
    # The same loop without the flip accepts: the test can tell the difference.
    assert receive((good + bytes(20)) * 3) == ([raw(frame)] * 3, 0)


def test_short_and_empty_frames(receive):
    # CRC-32 of nothing is zero: five bytes of it still are no frame.
    short = [cobs_encode(bytes(n)) for n in range(1, 6)]
    empty_body = cobs_encode(zlib.crc32(b"").to_bytes(4, "little"))
    line = b"\0\0\0" + b"\0".join([*short, empty_body]) + b"\0\0"
    assert receive(line) == ([], 6)


@pytest.mark.parametrize(("gap", "dropped"), [(100, 0), (10, 1)])
def test_a_frame_that_begins_too_early_is_dropped_whole(receive, gap, dropped):
    # The first one is released before (100) or after (10) the second one begins.
    first, second = Frame(1, 2, bytes(30)), Frame(2, 2, b"\xee" * 90)
    line = encode_frame(first) + bytes(gap) + encode_frame(second) + bytes(400)
    frames = [raw(first), *(1 - dropped) * [raw(second)], raw(first)]
    assert receive(line + encode_frame(first), stall=1) == (frames, dropped)


@pytest.mark.parametrize("window", [2, 4])
def test_as_many_frames_as_its_window_are_held(receive, window):
    long = [Frame(i, 3, random.Random(i).randbytes(200)) for i in range(window)]
    short = [Frame(100 + i, 1, b"") for i in range(window)]
    line = b"".join(map(encode_frame, long + short)) + bytes(1500 * window)
    line += b"".join(map(encode_frame, short))
    # The short ones that come at once are too many.
    frames, dropped = receive(line, stall=5, window=window)
    assert frames == [raw(frame) for frame in long + short] and dropped == window


def test_garbage_never_blocks_the_next_frame(receive):
    rng = random.Random(5)
    good = Frame(9, 1, b"")
    line = bytearray()
    for _ in range(60):
        line += rng.randbytes(rng.randrange(1, 60)) + b"\0" + encode_frame(good) + bytes(20)
    frames, bad = receive(bytes(line))
    assert frames == [raw(good)] * 60 and bad >= 60


@pytest.mark.parametrize("wait", [0, 2])
def test_transmitter_appends_the_crc(simulate, wait):
    dut, got = FrameTransmitter(), []
    bodies = [b"\x01", b"123456789", bytes(40)]

    async def feed(ctx):
        for body in bodies:
            ctx.set(dut.i.valid, 1)
            for byte in body:
                ctx.set(dut.i.payload, {"data": byte, "end": 0})
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.payload, {"data": 0x99, "end": 1})
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def collect(ctx):
        frame = bytearray()
        while len(got) < len(bodies):
            ctx.set(dut.o.ready, 1)
            *_, byte = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            frame.append(byte.data)
            if byte.last:
                got.append(bytes(frame))
                frame.clear()
            ctx.set(dut.o.ready, 0)
            for _ in range(wait):
                await ctx.tick()

    simulate(dut, feed, collect)
    assert got == [body + zlib.crc32(body).to_bytes(4, "little") for body in bodies]
    assert got[1][9:] == 0xCBF43926.to_bytes(4, "little")  # the catalogue's check value
