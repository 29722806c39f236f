# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The normal deviate of a random word, by the inverse-normal table."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .emulated_cycles import SHIFT_CYCLES

WORD_BITS = 32
OCTAVES = SEGMENTS = 32
SEGMENT_BITS = 5
REST_BITS = WORD_BITS - 1 - SEGMENT_BITS
LEAP = 4
"""Zeros that are shifted out together."""


class Deviate(wiring.Component):
    """From a word to an integer deviate with 12 fraction bits (``docs/numerics.md``).

    Parameters
    ----------
    table : sequence of int
        The inverse-normal table, falling from 32 x 32 entries to a last one of 0.

    Members
    -------
    start, word : In(1), In(32)
        Strobe with the word.
    done : Out(1)
        Strobe, :attr:`EmulatedCycles.deviate` cycles later: ``magnitude`` and ``negative``
        are there, until the next one.
    magnitude, negative : Out
    """

    def __init__(self, table: Sequence[int]) -> None:
        if len(table) != OCTAVES * SEGMENTS + 1 or table[-1] != 0:
            raise ValueError(f"an inverse-normal table of {len(table)} entries")
        falls = [a - b for a, b in zip(table, table[1:], strict=False)]
        if min(falls) < 0:
            raise ValueError("an inverse-normal table that rises")
        self.table = list(table[:-1])
        self.fall_bits = max(1, max(falls).bit_length())
        self.bits = max(table).bit_length()
        super().__init__(
            {
                "start": In(1),
                "word": In(WORD_BITS),
                "done": Out(1),
                "magnitude": Out(self.bits),
                "negative": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = OCTAVES * SEGMENTS
        m.submodules.table = table = memory.Memory(shape=self.bits, depth=size, init=self.table)
        port = table.read_port()

        # Twice the tail and one, shifted until its top bit is set.
        tail = Signal(WORD_BITS)
        octave = Signal(range(OCTAVES))
        count = Signal(range(SHIFT_CYCLES))
        entry, following = Signal(range(size)), Signal(range(size + 1))
        m.d.comb += [
            entry.eq(Cat(tail[REST_BITS:-1], octave)),
            following.eq(entry + 1),
            port.addr.eq(entry),
        ]
        # What is between two entries: rest times fall, to the next integer, a half down.
        fall = Signal(self.fall_bits)
        product = Signal(REST_BITS)
        lost = Signal()
        upper = Signal()
        inside = (
            REST_BITS - self.fall_bits
        )  # bits of the product behind the point, but for the lost
        rest = tail[:REST_BITS]
        m.d.comb += upper.eq(product[inside - 1] & (product[: inside - 1].any() | lost))
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [
                    self.negative.eq(self.word[-1]),
                    tail.eq(Cat(1, self.word[:-1])),
                    octave.eq(OCTAVES - 1),
                    count.eq(0),
                ]
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.sync += count.eq(count + 1)
                with m.If(~tail[-LEAP:].any()):
                    m.d.sync += [tail.eq(tail << LEAP), octave.eq(octave - LEAP)]
                with m.Elif(~tail[-1]):
                    m.d.sync += [tail.eq(tail << 1), octave.eq(octave - 1)]
                with m.If(count == SHIFT_CYCLES - 1):
                    m.next = "ENTRY"
            with m.State("ENTRY"):
                m.next = "NEXT-ENTRY"
            with m.State("NEXT-ENTRY"):
                m.d.comb += port.addr.eq(following)
                m.d.sync += self.magnitude.eq(port.data)
                m.next = "FALL"
            with m.State("FALL"):
                m.d.sync += [
                    fall.eq(self.magnitude - Mux(following[-1], 0, port.data)),
                    product.eq(0),
                    lost.eq(0),
                    count.eq(0),
                ]
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                total = product + Mux(fall[0], rest, 0)
                m.d.sync += [
                    product.eq(total >> 1),
                    lost.eq(lost | total[0]),
                    fall.eq(fall >> 1),
                    count.eq(count + 1),
                ]
                with m.If(count == self.fall_bits - 1):
                    m.next = "SUBTRACT"
            with m.State("SUBTRACT"):
                m.d.sync += self.magnitude.eq(self.magnitude - product[inside:] - upper)
                m.next = "IDLE"
                m.d.sync += self.done.eq(1)
        with m.If(self.done):
            m.d.sync += self.done.eq(0)
        return m
