"""Proofs of the link: for every sequence of bytes, not only for the tested ones."""

from __future__ import annotations

import pytest
from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl import Assert, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ohmloom.hw.link.cobs import CobsDecoder
from ohmloom.hw.link.protocol import DELIMITER
from ohmloom.hw.link.uart import UartRx, UartTx


class EveryDelimiterResynchronises(wiring.Component):
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
                m.d.comb += [
                    Assert(worn.o.payload == fresh.o.payload),
                    Cover(worn.o.payload.end & worn.o.payload.ok),
                    Cover(worn.o.payload.end & ~worn.o.payload.ok),
                ]
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


DIVISOR = 4
BITS = 10
"""Of a byte on the line: start, data, stop."""
LAG = 3
"""Cycles from the sender's start bit to the receiver's: two of the synchroniser, one to see it."""
LAST = BITS * DIVISOR
"""Age of a byte in the last cycle of its stop bit; its first one is 1."""
HEARD = LAST - DIVISOR // 2
"""What its age was LAG cycles before the receiver hands it on."""


class WhatIsSentIsHeard(wiring.Component):
    """Bytes sent by :class:`UartTx` arrive at :class:`UartRx`, once each and unchanged."""

    def __init__(self, sender: UartTx) -> None:
        self.sender = sender
        super().__init__({"byte": In(8), "valid": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sender = sender = self.sender
        m.submodules.receiver = receiver = UartRx(DIVISOR, 1)
        expected, waiting = Signal(8), Signal()
        # Cycles since the byte was taken, 0 when it has been sent; the last ones of it.
        age = Signal(range(LAST + 1))
        ages = [age, *(Signal.like(age, name=f"age{n + 1}") for n in range(LAG))]
        taken = sender.i.valid & sender.i.ready
        m.d.comb += [
            sender.i.payload.eq(self.byte),
            sender.i.valid.eq(self.valid),
            receiver.rx.eq(sender.tx),
        ]
        m.d.sync += age.eq(Mux((age == 0) | (age == LAST), taken, age + 1))
        m.d.sync += [later.eq(earlier) for earlier, later in zip(ages, ages[1:], strict=False)]
        with m.If(receiver.o.valid):
            m.d.sync += waiting.eq(0)
            m.d.comb += [
                Assert(waiting),
                Assert(receiver.o.payload == expected),
                Cover(expected == 0xA5),
                Cover(taken),
            ]
        with m.If(taken):
            m.d.sync += [waiting.eq(1), expected.eq(self.byte)]
            m.d.comb += Assert(~waiting | receiver.o.valid)
        with m.If(~sender.active):
            m.d.comb += Assert(sender.tx)

        # Invariants: where both ends are is told by the age of the byte.
        with m.Switch(age):
            for n in range(LAST + 1):
                with m.Case(n):
                    m.d.comb += self._sends(n, expected)
            with m.Default():
                m.d.comb += Assert(0)
        with m.Switch(ages[LAG]):
            for n in range(LAST + 1):
                with m.Case(n):
                    m.d.comb += self._hears(receiver, n, expected)
        with m.Switch(ages[LAG - 1]):
            for n in range(LAST + 1):
                with m.Case(n):
                    m.d.comb += Assert(receiver.line == _level(n, expected))
        m.d.comb += Assert(waiting == ((age != 0) | (ages[LAG] == HEARD)))
        return m

    def _sends(self, age: int, byte: Signal) -> list:
        sender = self.sender
        level = Assert(sender.tx == _level(age, byte))
        if age == 0:
            return [level, Assert((sender.bits == 0) & (sender.timer == 0))]
        gone, left = divmod(age - 1, DIVISOR)
        rest = Cat(byte, Const((1 << BITS) - 1, BITS))[gone:]
        return [
            level,
            Assert(sender.bits == BITS - gone),
            Assert(sender.timer == DIVISOR - 1 - left),
            Assert(sender.shift == rest[: len(sender.shift)]),
        ]

    def _hears(self, receiver: UartRx, age: int, byte: Signal) -> list:
        first = LAST - HEARD
        if age == 0 or age > HEARD:
            return [Assert(~receiver.busy)]
        if age <= first:
            return [
                Assert(receiver.busy & (receiver.bit == 0)),
                Assert(receiver.timer == first - age),
            ]
        bit, gone = divmod(age - first - 1, DIVISOR)
        return [
            Assert(receiver.busy & (receiver.bit == bit + 1)),
            Assert(receiver.timer == DIVISOR - 1 - gone),
            *([Assert(receiver.shift[8 - bit :] == byte[:bit])] if bit else []),
        ]


def _level(age: int, byte: Signal) -> Value:
    """The line while a byte has that age."""
    if age == 0:
        return Const(1)
    return Value.cast(Cat(0, byte, 1)[(age - 1) // DIVISOR])


SPECS = {
    "EveryDelimiterResynchronises": (
        lambda kind=CobsDecoder: EveryDelimiterResynchronises(kind()), 2, 8,
        {"Forgetful": Forgetful},
    ),
    "WhatIsSentIsHeard": (
        lambda rate=DIVISOR: WhatIsSentIsHeard(UartTx(rate, 1)), LAG + 2, 60,
        {"AnotherRate": DIVISOR + 1},
    ),
}  # fmt: skip
"""What makes each, the depth of its induction, that of covers and faults, and the faults."""

FAULTS = [(name, fault) for name, (_, _, _, faults) in SPECS.items() for fault in faults]


@pytest.mark.parametrize("name", SPECS)
def test_it_holds_for_ever(assert_formal, name):
    make, induction, _, _ = SPECS[name]
    assert_formal(make(), depth=induction)


@pytest.mark.parametrize("name", SPECS)
def test_what_it_speaks_of_can_happen(assert_formal, name):
    make, _, depth, _ = SPECS[name]
    assert_formal(make(), depth=depth, mode="cover")


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_it_finds_an_end_that_does_not(assert_formal, name, fault):
    make, _, depth, faults = SPECS[name]
    with pytest.raises(AssertionError, match="failed assertion"):
        assert_formal(make(faults[fault]), depth=depth, mode="bmc")
