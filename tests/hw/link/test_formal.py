"""Proofs of the link: for every sequence of bytes, not only for the tested ones."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ohmloom.hw.link.cobs import CobsDecoder
from ohmloom.hw.link.protocol import DELIMITER
from ohmloom.hw.link.uart import UartRx, UartTx


class Resynchronises(wiring.Component):
    """After a delimiter a decoder does what a fresh one does, whatever came before.

    ``worn`` sees every byte; ``fresh`` sees none until the first delimiter has
    passed. From then on the two must agree in every cycle.
    """

    def __init__(self, worn: CobsDecoder) -> None:
        self.worn = worn
        super().__init__({"byte": In(8), "valid": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.worn = worn = self.worn
        m.submodules.fresh = fresh = CobsDecoder()
        ended = Signal()
        m.d.sync += ended.eq(ended | (self.valid & (self.byte == DELIMITER)))
        m.d.comb += [
            worn.i.payload.eq(self.byte),
            worn.i.valid.eq(self.valid),
            fresh.i.payload.eq(self.byte),
            fresh.i.valid.eq(self.valid & ended),
        ]
        with m.If(ended):
            m.d.comb += [
                Assert(worn.o.valid == fresh.o.valid),
                Assert(worn.active == fresh.active),
                # Internal state, so that the proof is inductive.
                Assert(worn.remaining == fresh.remaining),
                Assert(worn.implied_zero == fresh.implied_zero),
            ]
            with m.If(worn.o.valid):
                m.d.comb += Assert(worn.o.payload == fresh.o.payload)
        with m.Else():
            m.d.comb += Assert(~fresh.active & (fresh.remaining == 0) & ~fresh.implied_zero)
        with m.If(~self.valid):
            m.d.comb += Assert(~worn.o.valid)
        return m


class Forgetful(CobsDecoder):
    """A planted fault: a delimiter inside a block leaves the rest of the block pending."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.i.valid & (self.i.payload == DELIMITER)):
            m.d.sync += self.remaining.eq(self.remaining)
        return m


def test_every_delimiter_resynchronises_the_decoder(assert_formal):
    assert_formal(Resynchronises(CobsDecoder()), depth=2)


def test_the_proof_finds_a_decoder_that_does_not(assert_formal):
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(Resynchronises(Forgetful()), depth=5)


class Loopback(wiring.Component):
    """Bytes sent by :class:`UartTx` arrive at :class:`UartRx`, once each and unchanged."""

    def __init__(self, sender: UartTx) -> None:
        self.sender = sender
        super().__init__({"byte": In(8), "valid": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sender = sender = self.sender
        m.submodules.receiver = receiver = UartRx(4, 1)
        expected, waiting = Signal(8), Signal()
        m.d.comb += [
            sender.i.payload.eq(self.byte),
            sender.i.valid.eq(self.valid),
            receiver.rx.eq(sender.tx),
        ]
        with m.If(receiver.o.valid):
            m.d.sync += waiting.eq(0)
            m.d.comb += [Assert(waiting), Assert(receiver.o.payload == expected)]
        with m.If(sender.i.valid & sender.i.ready):
            m.d.sync += [waiting.eq(1), expected.eq(self.byte)]
            m.d.comb += Assert(~waiting | receiver.o.valid)
        with m.If(~sender.active):
            m.d.comb += Assert(sender.tx)
        return m


def test_the_receiver_hears_what_the_transmitter_sends(assert_formal):
    # Long enough for any byte, with a pause before it or the start of another one behind.
    assert_formal(Loopback(UartTx(4, 1)), depth=48, mode="bmc")


def test_the_loopback_finds_a_wrong_rate(assert_formal):
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(Loopback(UartTx(5, 1)), depth=48, mode="bmc")
