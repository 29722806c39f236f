# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""Threefry-2x32 with 20 rounds (Salmon et al., SC11), a round a cycle."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

WORD_BITS = 32
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Of the rounds of a group, for even and for odd groups."""
GROUPS = 5
PARITY = 0x1BD11BDA


class Threefry(wiring.Component):
    """The first of the two words of a draw (``docs/numerics.md``).

    Parameters
    ----------
    seed : int
        The first key word.
    place_bits : int
        Of the places that occur, at most 28.

    Members
    -------
    start : In(1)
        Strobe: ``epoch`` and ``index`` are taken over.
    domain, place : In
        The second key word, stable until ``done``.
    epoch, index : In(32)
        The counter.
    done : Out(1)
        Strobe, :data:`~ohmloom.hw.emulated_cycles.DRAW_CYCLES` after ``start``: ``word`` is
        there, until the next ``start``.
    word : Out(32)
    """

    def __init__(self, seed: int, place_bits: int) -> None:
        self.seed = seed
        super().__init__(
            {
                "start": In(1),
                "domain": In(2),
                "place": In(place_bits),
                "epoch": In(WORD_BITS),
                "index": In(WORD_BITS),
                "done": Out(1),
                "word": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        key = Signal(WORD_BITS)
        m.d.comb += key.eq(self.domain << 28 | self.place)
        first = Const(self.seed, WORD_BITS)
        keys: list[Value] = [first, key, first ^ key ^ PARITY]

        x0, x1 = Signal(WORD_BITS), Signal(WORD_BITS)
        group = Signal(range(GROUPS + 1))
        # Of a group: its keys are added, then its number; then there are four rounds.
        KEYS, NUMBER = 0, 1
        step = Signal(range(len(ROTATIONS[0]) + 2))
        busy = Signal()
        # Which keys: the group's number modulo 3.
        turn = Signal(2)
        left, right = Signal(WORD_BITS), Signal(WORD_BITS)
        with m.Switch(turn):
            for n in range(3):
                with m.Case(n):
                    m.d.comb += [left.eq(keys[n]), right.eq(keys[(n + 1) % 3])]
        turned = Signal(WORD_BITS)
        amount = Cat(step[:2], group[0])
        with m.Switch(amount):
            for parity, rotations in enumerate(ROTATIONS):
                for n, rotation in enumerate(rotations):
                    with m.Case(n + 2 & 3 | parity << 2):
                        m.d.comb += turned.eq(x1.rotate_left(rotation))
        total, added = Signal(WORD_BITS), Signal(WORD_BITS)
        adding = step[1:] == 0
        last = group == GROUPS
        m.d.comb += [
            total.eq(x0 + Mux(adding, left, x1)),
            added.eq(x1 + Mux(step[0], group, right)),
            self.word.eq(x0),
        ]
        with m.If(self.start):
            m.d.sync += [x0.eq(self.epoch), x1.eq(self.index)]
            m.d.sync += [busy.eq(1), group.eq(0), step.eq(KEYS), turn.eq(0)]
        with m.Elif(busy):
            m.d.sync += [x1.eq(Mux(adding, added, turned ^ total)), step.eq(step + 1)]
            with m.If(step != NUMBER):
                m.d.sync += x0.eq(total)
            with m.If((step == KEYS) & last):
                m.d.sync += busy.eq(0)
            with m.If(step == len(ROTATIONS[0]) + 1):
                m.d.sync += [step.eq(KEYS), group.eq(group + 1)]
                m.d.sync += turn.eq(Mux(turn == 2, 0, turn + 1))
        m.d.sync += self.done.eq(busy & (step == KEYS) & last)
        return m
