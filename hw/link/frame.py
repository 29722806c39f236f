"""Whole frames: what enters has a good CRC, what leaves gets one."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import crc, stream, wiring
from amaranth.lib.wiring import In, Out

from ..ram import Ram
from .cobs import FrameByte, FrameToken
from .protocol import CRC_BYTES, MAX_FRAME, MAX_PAYLOAD, MIN_FRAME

ROOM = 1024
"""Bytes of the smallest memory for frames, which has room for the longest."""
CRC32 = crc.catalog.CRC32_ISO_HDLC(data_width=8)


class FrameReceiver(wiring.Component):
    """Holds frames and passes each on only if all of it is good.

    A frame with broken COBS, a wrong CRC, fewer than six or more than 1022
    bytes, or one that there is no room for, is dropped whole and counted. There is
    room for ``window`` frames, and for 1024 bytes with a window of one, 2048 with more.

    Parameters
    ----------
    window : int
        Frames that are held at most.

    Members
    -------
    i : stream of :class:`FrameToken`
    o : stream of :class:`FrameByte`
        Frames without their CRCs; one is released with its last byte.
    length : Out
        Bytes of the payload of the frame on ``o``, to the cycle after its last byte.
    good, bad : Out(32)
        Frames accepted and dropped since power-up.
    dropped : Out(1)
        Strobe: the first frame dropped since a good one.
    active : Out(1)
        A frame is held.
    """

    def __init__(self, window: int = 1) -> None:
        self.window = window
        self.bytes = ROOM if window == 1 else 2 * ROOM
        super().__init__(
            {
                "i": In(stream.Signature(FrameToken, always_ready=True)),
                "o": Out(stream.Signature(FrameByte)),
                "length": Out(range(MAX_PAYLOAD + 1)),
                "good": Out(32),
                "bad": Out(32),
                "dropped": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = CRC32.create()
        m.submodules.buffer = buffer = Ram(8, self.bytes)
        write, read = buffer.write, buffer.read

        token = self.i.payload
        count = Signal(range(MAX_FRAME + 2))  # saturates at one too many
        overrun = Signal()
        sent = Signal(range(MAX_FRAME))
        fresh = Signal()  # the read port has not fetched byte ``sent`` yet
        quiet = Signal()  # the last frame was dropped

        # A ring of bytes: held frames begin at ``first``, the coming one goes to ``free``.
        first, free = Signal(range(self.bytes)), Signal(range(self.bytes))
        held = Signal(range(self.bytes + 1))
        lengths = Array(
            Signal(range(MAX_PAYLOAD + 1), name=f"length{i}") for i in range(self.window)
        )
        oldest, newest = Signal(range(self.window)), Signal(range(self.window))
        frames = Signal(range(self.window + 1))
        kept, released = Signal(), Signal()
        room = Signal()
        m.d.comb += [
            self.active.eq(frames != 0),
            room.eq(held + count < self.bytes),
        ]

        with m.If(self.i.valid):
            with m.If(token.end):
                m.d.comb += check.start.eq(1)
                m.d.sync += [count.eq(0), overrun.eq(0)]
                m.d.comb += kept.eq(
                    token.ok
                    & check.match_detected
                    & (count >= MIN_FRAME)
                    & (count <= MAX_FRAME)
                    & ~overrun
                    & (frames != self.window)
                )
                with m.If(kept):
                    m.d.sync += [
                        self.good.eq(self.good + 1),
                        lengths[newest].eq(count - MIN_FRAME),
                        newest.eq(_next(newest, self.window)),
                        free.eq(free + count),
                        quiet.eq(0),
                    ]
                with m.Else():
                    m.d.comb += self.dropped.eq(~quiet)
                    m.d.sync += [self.bad.eq(self.bad + 1), quiet.eq(1)]
            with m.Else():
                m.d.comb += [check.valid.eq(1), check.data.eq(token.data)]
                with m.If(count <= MAX_FRAME):
                    m.d.sync += count.eq(count + 1)
                with m.If(~room):
                    m.d.sync += overrun.eq(1)

        m.d.comb += [
            write.addr.eq(free + count),
            write.data.eq(token.data),
            write.en.eq(self.i.valid & ~token.end & room & (count < MAX_FRAME)),
            self.o.valid.eq(self.active & ~fresh),
            self.o.payload.data.eq(read.data),
            self.o.payload.last.eq(sent == self.length + 1),
            read.addr.eq(first + Mux(self.o.valid & self.o.ready, sent + 1, sent)),
        ]
        # Without a frame, and after one, what the read port has is of no use.
        m.d.sync += fresh.eq(~self.active)
        with m.If(fresh):
            m.d.sync += self.length.eq(lengths[oldest])
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += sent.eq(sent + 1)
            with m.If(self.o.payload.last):
                m.d.comb += released.eq(1)
                m.d.sync += [
                    sent.eq(0),
                    fresh.eq(1),
                    first.eq(first + self.length + MIN_FRAME),
                    oldest.eq(_next(oldest, self.window)),
                ]
        m.d.sync += [
            frames.eq(frames + kept - released),
            held.eq(held + Mux(kept, count, 0) - Mux(released, self.length + MIN_FRAME, 0)),
        ]
        return m


def _next(index: Signal, window: int) -> Value:
    """The index after it, round and round."""
    return Mux(index == window - 1, 0, index + 1)


class FrameTransmitter(wiring.Component):
    """Appends the CRC.

    Members
    -------
    i, o : streams of :class:`FrameByte`
        Frames without and with their CRC.
    active : Out(1)
        The CRC is being sent.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(FrameByte)),
                "o": Out(stream.Signature(FrameByte)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = CRC32.create()
        index = Signal(range(CRC_BYTES))

        with m.If(self.active):
            m.d.comb += [
                self.o.valid.eq(1),
                self.o.payload.data.eq(check.crc.word_select(index, 8)),
                self.o.payload.last.eq(index == CRC_BYTES - 1),
            ]
            with m.If(self.o.ready):
                m.d.sync += index.eq(index + 1)
                with m.If(self.o.payload.last):
                    m.d.comb += check.start.eq(1)
                    m.d.sync += self.active.eq(0)
        with m.Else():
            m.d.comb += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.data.eq(self.i.payload.data),
                self.i.ready.eq(self.o.ready),
            ]
            with m.If(self.i.valid & self.o.ready):
                m.d.comb += [check.valid.eq(1), check.data.eq(self.i.payload.data)]
                m.d.sync += self.active.eq(self.i.payload.last)
        return m
