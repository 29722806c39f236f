"""Whole frames: what enters has a good CRC, what leaves gets one."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import crc, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .cobs import FrameByte, FrameToken
from .protocol import CRC_BYTES, MAX_FRAME, MAX_PAYLOAD, MIN_FRAME

CRC32 = crc.catalog.CRC32_ISO_HDLC(data_width=8)


class FrameReceiver(wiring.Component):
    """Holds one frame and passes it on only if all of it is good.

    A frame with broken COBS, a wrong CRC, fewer than six or more than 1022
    bytes, or one that arrives while the previous one is still held, is dropped
    whole and counted.

    Members
    -------
    i : stream of :class:`FrameToken`
    o : stream of :class:`FrameByte`
        The frame without its CRC; it is released with its last byte.
    length : Out
        Bytes of the payload of the frame on ``o``.
    good, bad : Out(32)
        Frames accepted and dropped since power-up.
    active : Out(1)
        A frame is held.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(FrameToken, always_ready=True)),
                "o": Out(stream.Signature(FrameByte)),
                "length": Out(range(MAX_PAYLOAD + 1)),
                "good": Out(32),
                "bad": Out(32),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = CRC32.create()
        m.submodules.buffer = buffer = memory.Memory(shape=8, depth=1024, init=[])
        write, read = buffer.write_port(), buffer.read_port()

        token = self.i.payload
        count = Signal(range(MAX_FRAME + 2))  # saturates at one too many
        overrun = Signal()
        sent = Signal(range(MAX_FRAME))
        fresh = Signal()  # the read port has not fetched byte ``sent`` yet

        with m.If(self.i.valid):
            with m.If(token.end):
                m.d.comb += check.start.eq(1)
                m.d.sync += [count.eq(0), overrun.eq(0)]
                accepted = (
                    token.ok
                    & check.match_detected
                    & (count >= MIN_FRAME)
                    & (count <= MAX_FRAME)
                    & ~overrun
                    & ~self.active
                )
                with m.If(accepted):
                    m.d.sync += [
                        self.good.eq(self.good + 1),
                        self.active.eq(1),
                        self.length.eq(count - MIN_FRAME),
                        fresh.eq(1),
                    ]
                with m.Else():
                    m.d.sync += self.bad.eq(self.bad + 1)
            with m.Else():
                m.d.comb += [check.valid.eq(1), check.data.eq(token.data)]
                with m.If(count <= MAX_FRAME):
                    m.d.sync += count.eq(count + 1)
                # The buffer belongs to the held frame until that is released.
                with m.If(self.active):
                    m.d.sync += overrun.eq(1)

        m.d.comb += [
            write.addr.eq(count),
            write.data.eq(token.data),
            write.en.eq(self.i.valid & ~token.end & ~self.active & (count < MAX_FRAME)),
            self.o.valid.eq(self.active & ~fresh),
            self.o.payload.data.eq(read.data),
            self.o.payload.last.eq(sent == self.length + 1),
            read.addr.eq(Mux(self.o.valid & self.o.ready, sent + 1, sent)),
        ]
        with m.If(fresh):
            m.d.sync += fresh.eq(0)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += sent.eq(sent + 1)
            with m.If(self.o.payload.last):
                m.d.sync += [sent.eq(0), self.active.eq(0)]
        return m


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
