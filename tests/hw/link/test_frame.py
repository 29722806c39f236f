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

    def __init__(self) -> None:
        self.decoder, self.receiver = CobsDecoder(), FrameReceiver()
        super().__init__({"i": In(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder, m.submodules.receiver = self.decoder, self.receiver
        wiring.connect(m, wiring.flipped(self.i), self.decoder.i)
        wiring.connect(m, self.decoder.o, self.receiver.i)
        return m


@pytest.fixture
def receive(simulate):
    """``receive(line, stall=0)``: frames that came out, good and bad counts."""

    def run(line: bytes, *, stall: int = 0):
        dut, frames, counts = ReceivePath(), [], []
        out = dut.receiver.o

        async def feed(ctx):
            for byte in line:
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, byte)
                await ctx.tick()
            ctx.set(dut.i.valid, 0)
            while ctx.get(dut.receiver.active):
                await ctx.tick()
            await ctx.tick().repeat(5)
            counts.extend([ctx.get(dut.receiver.good), ctx.get(dut.receiver.bad)])

        async def collect(ctx):
            frame = bytearray()
            while True:
                ctx.set(out.ready, 1)
                while not ctx.get(out.valid):
                    await ctx.tick()
                byte = ctx.get(out.payload)
                frame.append(byte.data)
                if byte.last:
                    assert ctx.get(dut.receiver.length) == len(frame) - 2
                    frames.append(bytes(frame))
                    frame.clear()
                await ctx.tick()
                ctx.set(out.ready, 0)
                for _ in range(stall):
                    await ctx.tick()

        simulate(dut, feed, background=[collect])
        return frames, *counts

    return run


def raw(frame: Frame) -> bytes:
    return bytes([frame.seq, frame.kind]) + frame.payload


@pytest.mark.parametrize("stall", [0, 2])
def test_good_frames_pass(receive, stall):
    rng = random.Random(3)
    frames = [Frame(i, 255 - i, rng.randbytes(n)) for i, n in enumerate((0, 1, 40, 0))]
    # Gaps of delimiters give the slow reader time.
    line = b"".join(encode_frame(frame) + bytes(200) for frame in frames)
    assert receive(line, stall=stall) == ([raw(frame) for frame in frames], len(frames), 0)


def test_the_longest_frame_passes_and_one_more_byte_does_not(receive):
    longest = Frame(7, 2, random.Random(4).randbytes(MAX_PAYLOAD))
    body = raw(longest) + b"\x55"
    too_long = cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"
    line = encode_frame(longest) + bytes(1100) + too_long + encode_frame(longest)
    assert receive(line) == ([raw(longest)] * 2, 2, 1)
    assert receive(too_long[:-1] * 5 + b"\0" + encode_frame(longest)) == ([raw(longest)], 1, 1)


def test_every_flipped_bit_drops_the_frame(receive):
    good = encode_frame(Frame(1, 4, b"\x10\x00\x07\x00\x00\x00"))
    line, dropped = bytearray(), 0
    for bit in range(8 * (len(good) - 1)):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        dropped += sum(bool(piece) for piece in broken.split(b"\0"))
        line += broken
    assert receive(bytes(line)) == ([], 0, dropped)
    # The same loop without the flip accepts: the test can tell the difference.
    assert receive((good + bytes(20)) * 3)[1:] == (3, 0)


def test_short_and_empty_frames(receive):
    # CRC-32 of nothing is zero: five bytes of it still are no frame.
    short = [cobs_encode(bytes(n)) for n in range(1, 6)]
    empty_body = cobs_encode(zlib.crc32(b"").to_bytes(4, "little"))
    line = b"\0\0\0" + b"\0".join([*short, empty_body]) + b"\0\0"
    assert receive(line) == ([], 0, 6)


@pytest.mark.parametrize(("stall", "dropped"), [(0, 0), (8, 1)])
def test_a_frame_that_arrives_too_early_is_dropped_whole(receive, stall, dropped):
    # The first one is released before (0) or after (8) the second one has ended.
    first, second = Frame(1, 2, bytes(30)), Frame(2, 2, b"\xee" * 30)
    line = encode_frame(first) + encode_frame(second) + bytes(400) + encode_frame(second)
    frames = [raw(first), *(2 - dropped) * [raw(second)]]
    assert receive(line, stall=stall) == (frames, 3 - dropped, dropped)


def test_garbage_never_blocks_the_next_frame(receive):
    rng = random.Random(5)
    good = Frame(9, 1, b"")
    line = bytearray()
    for _ in range(60):
        line += rng.randbytes(rng.randrange(1, 60)) + b"\0" + encode_frame(good) + bytes(20)
    frames, accepted, bad = receive(bytes(line))
    assert frames == [raw(good)] * 60
    assert accepted == 60 and bad >= 60


@pytest.mark.parametrize("wait", [0, 2])
def test_transmitter_appends_the_crc(simulate, wait):
    dut, got = FrameTransmitter(), []
    bodies = [b"\x01", b"123456789", bytes(40)]

    async def feed(ctx):
        for body in bodies:
            ctx.set(dut.i.valid, 1)
            for i, byte in enumerate(body):
                ctx.set(dut.i.payload, {"data": byte, "last": i == len(body) - 1})
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
