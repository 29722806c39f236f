"""The loops that are open: where their bodies begin, and what they add to addresses."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .isa import ITERATION_BITS, LOOP_DEPTH
from .ram import Ram

ENTRY = data.StructLayout(
    {"body": 16, "left": 16, "act_step": 16, "out_step": 16, "act": 16, "out": 16}
)
"""A loop: address of its body, rounds still to come, and what had been added before it."""


class Loops(wiring.Component):
    """A stack of :data:`~ohmloom.hw.isa.LOOP_DEPTH` loops.

    Two cycles lie between strobes at least, in which the top of the stack is read.

    Members
    -------
    restart, begin, end : In(1)
        Strobes: a run starts, a ``LOOP`` begins that there is room for, and an ``END`` of one
        that there is.
    body, count, act_step, out_step : In(16)
        With ``begin``: address of the first instruction inside, and the operands.
    none, full : Out(1)
        No loop is open, or no other can be.
    again : Out(1)
        With ``end``: there is another round, from ``again_at`` on.
    again_at : Out(16)
    act, out : Out(16)
        What the open loops add to addresses.
    iteration : Out(16)
        Ends since the outermost one began.
    """

    def __init__(self) -> None:
        self.entries = Ram(ENTRY.size, LOOP_DEPTH)
        super().__init__(
            {
                "restart": In(1),
                "begin": In(1),
                "end": In(1),
                "body": In(16),
                "count": In(16),
                "act_step": In(16),
                "out_step": In(16),
                "none": Out(1),
                "full": Out(1),
                "again": Out(1),
                "again_at": Out(16),
                "act": Out(16),
                "out": Out(16),
                "iteration": Out(ITERATION_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.entries = entries = self.entries
        level = Signal(range(LOOP_DEPTH + 1))
        top, made = (data.View(ENTRY, port.data) for port in (entries.read, entries.write))
        m.d.comb += [
            self.none.eq(level == 0),
            self.full.eq(level == LOOP_DEPTH),
            self.again.eq(top.left != 0),
            self.again_at.eq(top.body),
            entries.read.addr.eq(level - 1),
            entries.write.addr.eq(level - 1),
            made.eq(top),
            made.left.eq(top.left - 1),
        ]
        with m.If(self.restart):
            m.d.sync += [level.eq(0), self.act.eq(0), self.out.eq(0), self.iteration.eq(0)]
        with m.Elif(self.begin):
            m.d.comb += [
                entries.write.addr.eq(level),
                entries.write.en.eq(1),
                made.body.eq(self.body),
                made.left.eq(self.count - 1),
                made.act_step.eq(self.act_step),
                made.out_step.eq(self.out_step),
                made.act.eq(self.act),
                made.out.eq(self.out),
            ]
            m.d.sync += level.eq(level + 1)
            with m.If(self.none):
                m.d.sync += self.iteration.eq(0)
        with m.Elif(self.end):
            m.d.sync += self.iteration.eq(self.iteration + 1)
            with m.If(self.again):
                m.d.comb += entries.write.en.eq(1)
                m.d.sync += [
                    self.act.eq(self.act + top.act_step),
                    self.out.eq(self.out + top.out_step),
                ]
            with m.Else():
                m.d.sync += [level.eq(level - 1), self.act.eq(top.act), self.out.eq(top.out)]
        return m
