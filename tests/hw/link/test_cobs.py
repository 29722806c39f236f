"""COBS gateware against the host's codec."""

from __future__ import annotations

import random

import pytest

from ohmloom.hw.link.cobs import CobsDecoder, CobsEncoder
from ohmloom.hw.link.codec import cobs_decode, cobs_encode

RUN = bytes(range(1, 255))
FRAMES = {
    "one byte": b"\x42",
    "one zero": b"\x00",
    "zeros": bytes(300),
    "253": RUN[:253],
    "254": RUN,
    "255": RUN + b"\x01",
    "253 and a zero": RUN[:253] + b"\x00",
    "254 and a zero": RUN + b"\x00",
    "254, a zero, 254": RUN + b"\x00" + RUN,
    "508": RUN + RUN,
    "509 and zeros": RUN + RUN + b"\x05\x00\x00",
    "all bytes": bytes(range(256)) * 4,
    "mixed": random.Random(1).randbytes(1000),
}


@pytest.mark.parametrize("wait", [0, 3])
@pytest.mark.parametrize("name", FRAMES)
def test_encoder(simulate, name, wait):
    dut, frame, got = CobsEncoder(), FRAMES[name], bytearray()

    async def feed(ctx):
        for _ in range(2):  # the second one starts from what the first one left
            ctx.set(dut.i.valid, 1)
            for i, byte in enumerate(frame):
                ctx.set(dut.i.payload, {"data": byte, "last": i == len(frame) - 1})
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def collect(ctx):
        while got.count(0) < 2:
            ctx.set(dut.o.ready, 1)
            *_, byte = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            got.append(byte)
            ctx.set(dut.o.ready, 0)
            for _ in range(wait):
                await ctx.tick()
        assert not ctx.get(dut.active)

    simulate(dut, feed, collect)
    assert bytes(got) == 2 * (cobs_encode(frame) + b"\0")


def decode(simulate, line: bytes) -> list[bytes | None]:
    """Frames of a line, None for a bad one."""
    dut, frames = CobsDecoder(), []

    async def testbench(ctx):
        frame = bytearray()
        for byte in line:
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, byte)
            if ctx.get(dut.o.valid):
                token = ctx.get(dut.o.payload)
                if token.end:
                    frames.append(bytes(frame) if token.ok else None)
                    frame.clear()
                else:
                    frame.append(token.data)
            await ctx.tick()
            assert ctx.get(dut.active) == (byte != 0)

    simulate(dut, testbench)
    return frames


def test_decoder_gives_back_every_frame(simulate):
    line = b"\0\0".join(cobs_encode(frame) for frame in FRAMES.values()) + b"\0"
    assert decode(simulate, line) == list(FRAMES.values())


def test_decoder_judges_garbage_as_the_host_does(simulate):
    rng = random.Random(2)
    pieces = [
        bytes(rng.choice((1, 1, 2, 3, 4, 9, 255)) for _ in range(rng.randrange(1, 12)))
        for _ in range(300)
    ]
    expected = [cobs_decode(piece) for piece in pieces]
    assert None in expected and any(expected)
    assert decode(simulate, b"\0".join(pieces) + b"\0") == expected
