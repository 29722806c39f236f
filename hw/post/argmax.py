"""``ARGMAX``: where the largest activation is."""

from __future__ import annotations

from amaranth import Module, Signal

from ..fields import operands
from ..isa import Op
from .unit import PostUnit


class ArgMax(PostUnit):
    """``act[out]`` is the first (with ``last``: the last) index of the largest value."""

    OP = Op.ARGMAX
    CYCLES = 1
    """Of a value read."""
    OVERHEAD = 2
    """Cycles of an instruction beside its reads."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = operands(self.instruction, self.OP)
        index = Signal(17)
        best = Signal.like(self.act_data_in)
        where = Signal(16)
        value = self.act_data_in

        m.d.comb += [self.act_data.eq(where), self.active.eq(1)]

        def look() -> None:
            """Compare the value that was read in the cycle before."""
            better = (value > best) | (operand["last"] & (value == best))
            with m.If((index == 1) | better):
                m.d.sync += [best.eq(value), where.eq(index - 1)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                m.d.sync += index.eq(0)
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += [self.act_address.eq(operand["act"] + index), self.act_read.eq(1)]
                m.d.sync += index.eq(index + 1)
                with m.If(index != 0):
                    look()
                with m.If(index + 1 >= operand["count"]):
                    m.next = "LAST"
            with m.State("LAST"):
                look()
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [
                    self.act_address.eq(operand["out"]),
                    self.act_write.eq(1),
                    self.done.eq(1),
                ]
                m.next = "IDLE"
        return m
