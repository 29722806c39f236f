"""Consistent overhead byte stuffing (COBS) as streams.

S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Trans.
Networking 7(2), 1999. A block is a code byte ``n`` and ``n - 1`` bytes that are
not zero; it stands for those bytes and, when ``n < 255`` and the frame goes on,
a zero. A zero byte ends the frame.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..ram import Ram
from .protocol import DELIMITER

FULL_BLOCK = 254
"""Data bytes of the longest block."""


FrameToken = data.StructLayout({"data": 8, "end": 1, "ok": 1})
"""One byte of a frame being received, or its end.

``ok`` at the end says that the last block was complete; otherwise it is 0.
"""

FrameByte = data.StructLayout({"data": 8, "last": 1})
"""One byte of a whole frame."""


class CobsDecoder(wiring.Component):
    """At most one token for each byte, in the same cycle. Empty frames give no token.

    Members
    -------
    i : stream of bytes
    o : stream of :class:`FrameToken`
    active : Out(1)
        In the middle of a frame.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(8, always_ready=True)),
                "o": Out(stream.Signature(FrameToken, always_ready=True)),
                "active": Out(1),
            }
        )
        self.remaining = Signal(8)
        """Bytes of the block still to come."""
        self.implied_zero = Signal()
        """The next code byte stands for a zero as well."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        byte, out = self.i.payload, self.o.payload
        with m.If(self.i.valid):
            m.d.sync += self.active.eq(byte != DELIMITER)
            with m.If(byte == DELIMITER):
                m.d.comb += [
                    self.o.valid.eq(self.active),
                    out.end.eq(1),
                    out.ok.eq(self.remaining == 0),
                ]
                m.d.sync += [self.remaining.eq(0), self.implied_zero.eq(0)]
            with m.Else():
                # One subtraction for a code and for a byte of the block.
                code = self.remaining == 0
                m.d.sync += self.remaining.eq(Mux(code, byte, self.remaining) - 1)
                with m.If(code):
                    m.d.comb += self.o.valid.eq(self.implied_zero)
                    m.d.sync += self.implied_zero.eq(byte != FULL_BLOCK + 1)
                with m.Else():
                    m.d.comb += [self.o.valid.eq(1), out.data.eq(byte)]
        return m


class CobsEncoder(wiring.Component):
    """Bytes of frames in, blocks and delimiters out.

    The length of a block precedes it, so each block is gathered in a memory first.

    Members
    -------
    i : stream of :class:`FrameByte`
        A frame has at least one byte.
    o : stream of bytes
    active : Out(1)
        A block is being sent.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(FrameByte)),
                "o": Out(stream.Signature(8)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = Ram(8, 256)
        write, read = block.write, block.read

        byte = self.i.payload.data
        zero = Signal()
        code = Signal(8, init=1)  # of the block as far as it has come
        sent = Signal(8, init=1)  # the code of what was sent of it
        final = Signal()  # the frame ends with this block
        extra = Signal()  # its last byte was a zero: one empty block follows
        m.d.comb += [
            zero.eq(byte == 0),
            write.addr.eq(code),
            write.data.eq(byte),
            read.addr.eq(sent),
        ]

        with m.FSM() as fsm:
            m.d.comb += self.active.eq(~fsm.ongoing("gather"))
            with m.State("gather"):
                m.d.comb += [self.i.ready.eq(1), write.en.eq(self.i.valid & ~zero)]
                m.d.sync += [
                    final.eq(self.i.payload.last),
                    extra.eq(self.i.payload.last & zero),
                ]
                with m.If(self.i.valid):
                    m.d.sync += code.eq(code + ~zero)
                    with m.If(self.i.payload.last | zero | (code == FULL_BLOCK)):
                        m.next = "code"
            with m.State("code"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(code)]
                with m.If(self.o.ready):
                    m.next = "fetch"
            with m.State("fetch"):
                m.d.sync += sent.eq(sent + 1)
                m.next = "data"
                with m.If(sent == code):
                    m.d.sync += [code.eq(1), sent.eq(1), extra.eq(0)]
                    m.next = "gather"
                    with m.If(extra):
                        m.next = "code"
                    with m.Elif(final):
                        m.next = "end"
            with m.State("data"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(read.data)]
                m.d.comb += read.en.eq(0)
                with m.If(self.o.ready):
                    m.next = "fetch"
            with m.State("end"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(DELIMITER)]
                with m.If(self.o.ready):
                    m.next = "gather"
        return m
