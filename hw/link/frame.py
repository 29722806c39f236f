"""Whole frames: what enters has a good CRC, what leaves gets one."""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..ram import Ram
from .cobs import FrameByte, FrameToken
from .crc import RESIDUE, Crc32
from .protocol import CRC_BYTES, MAX_FRAME, MAX_PAYLOAD, MIN_FRAME
from .tally import Tally

ROOM = 1024
"""Bytes of the memory of one frame."""

UNCOUNTED_BITS = 10
"""Of the frames dropped that were not counted: fewer come while the longest reply goes."""

BodyToken = data.StructLayout({"data": 8, "end": 1})
"""One byte of a frame without its CRC, or its end."""


class FrameReceiver(wiring.Component):
    """Holds frames and passes each on only if all of it is good.

    A frame with broken COBS, a wrong CRC, fewer than six or more than 1022
    bytes, or one that begins while ``window`` others are held, is dropped whole and
    counted.

    Parameters
    ----------
    window : int
        Frames that are held at most, a power of two.

    Members
    -------
    i : stream of :class:`FrameToken`
    o : stream of bytes
        The held frame, without its end.
    length : Out
        Bytes of its payload.
    active : Out(1)
        A frame is held.
    release : In(1)
        Strobe: it has been used.
    uncounted : Out(1)
        A frame was dropped that has not been counted yet.
    counted : In(1)
        Strobe: one has been.
    dropped : Out(1)
        Strobe: the first frame dropped since a good one.
    """

    def __init__(self, window: int = 1) -> None:
        self.window = window
        super().__init__(
            {
                "i": In(stream.Signature(FrameToken, always_ready=True)),
                "o": Out(stream.Signature(8)),
                "length": Out(range(MAX_PAYLOAD + 1)),
                "active": Out(1),
                "release": In(1),
                "uncounted": Out(1),
                "counted": In(1),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = Crc32()
        m.submodules.bad = bad = Tally(UNCOUNTED_BITS)
        m.submodules.buffer = buffer = Ram(8, self.window * ROOM)
        write, read = buffer.write, buffer.read

        token = self.i.payload
        count = Signal(range(MAX_FRAME + 2))  # stays at one too many
        # Numbers of frames: the lowest bits say where each lies.
        coming, held = Signal(range(2 * self.window)), Signal(range(2 * self.window))
        late = Signal()  # the one that comes has no room
        place = Signal(range(ROOM))  # of the byte after the one on ``o``
        fetched = Signal()
        quiet = Signal()  # the last frame was dropped
        lost = Signal()
        lengths = Array(Signal(range(ROOM), name=f"length{i}") for i in range(self.window))
        full = (coming ^ held) == self.window
        begins = count == 0
        m.d.comb += [
            self.active.eq(coming != held),
            self.length.eq(lengths[held[:-1]]),
            check.byte.eq(token.data),
            check.step.eq(self.i.valid & ~token.end),
            check.restart.eq(self.i.valid & token.end),
            write.addr.eq(Cat(count[:10], coming[:-1])),
            write.data.eq(token.data),
            write.en.eq(self.i.valid & ~token.end & ~full),
        ]
        with m.If(self.i.valid):
            with m.If(token.end):
                m.d.sync += count.eq(0)
                good = token.ok & (check.value == RESIDUE) & (count >= MIN_FRAME)
                with m.If(good & (count <= MAX_FRAME) & ~late):
                    m.d.sync += [
                        lengths[coming[:-1]].eq(count - MIN_FRAME),
                        coming.eq(coming + 1),
                        quiet.eq(0),
                    ]
                with m.Else():
                    m.d.comb += [lost.eq(1), self.dropped.eq(~quiet)]
                    m.d.sync += quiet.eq(1)
            with m.Else():
                with m.If(count <= MAX_FRAME):
                    m.d.sync += count.eq(count + 1)
                with m.If(begins):
                    m.d.sync += late.eq(full)
        m.d.comb += [
            bad.up.eq(lost),
            bad.down.eq(self.counted),
            self.uncounted.eq(bad.some),
        ]

        taken = self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq(fetched),
            self.o.payload.eq(read.data),
            read.addr.eq(Cat(place, held[:-1])),
            read.en.eq(~fetched | taken),
        ]
        with m.If(self.release | ~self.active):
            m.d.sync += [place.eq(0), fetched.eq(0)]
        with m.Elif(read.en):
            m.d.sync += [place.eq(place + 1), fetched.eq(1)]
        with m.If(self.release):
            m.d.sync += held.eq(held + 1)
        return m


class FrameTransmitter(wiring.Component):
    """Appends the CRC.

    Members
    -------
    i : stream of :class:`BodyToken`
        Frames without their CRC.
    o : stream of :class:`FrameByte`
        Frames with it.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(BodyToken)),
                "o": Out(stream.Signature(FrameByte)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = check = Crc32()
        index = Signal(range(CRC_BYTES))
        token, sent = self.i.payload, self.o.valid & self.o.ready
        last = token.end & (index == CRC_BYTES - 1)
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.o.payload.data.eq(Mux(token.end, ~check.value[:8], token.data)),
            self.o.payload.last.eq(last),
            self.i.ready.eq(self.o.ready & (~token.end | last)),
            check.byte.eq(token.data),
            check.step.eq(sent),
            check.shift.eq(token.end),
            check.restart.eq(sent & last),
        ]
        with m.If(sent & token.end):
            m.d.sync += index.eq(index + 1)
        return m
