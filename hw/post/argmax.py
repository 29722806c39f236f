"""``ARGMAX``: where the largest activation is."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, signed

from ..fields import operands
from ..isa import Op
from .unit import PostUnit


class ArgMax(PostUnit):
    """``act[out]`` is the first (with ``last``: the last) index of the largest value.

    A cycle reads the value behind the one that it looks at, so it also reads, and never
    looks at, the one behind the last.
    """

    OP = Op.ARGMAX
    CYCLES = 1
    """Of a value read."""
    OVERHEAD = 2
    """Cycles of an instruction beside its reads."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = operands(self.instruction, self.OP)
        depth, width = self.geometry.act_depth, self.geometry.act_width
        index = Signal(signed(depth.bit_length() + 1), init=-1)  # of the value looked at
        best = Signal.like(self.act_data_in, init=-(1 << width - 1))
        where = Signal(range(depth))
        better = Signal()
        # One comparison: with ``last`` an equal one is better too.
        m.d.comb += better.eq(
            Cat(operand["last"], self.act_data_in).as_signed() > Cat(0, best).as_signed()
        )

        m.d.comb += [
            self.act_data.eq(where),
            self.act_address.eq(operand["act"] + index + 1),
            self.active.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                m.d.sync += index.eq(-1)
                with m.If(self.start):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.sync += index.eq(index + 1)
                with m.If(index < 0):
                    m.d.sync += [best.eq(best.init), where.eq(0)]
                with m.Elif(better):
                    m.d.sync += [best.eq(self.act_data_in), where.eq(index)]
                with m.If(index == operand["count"]):
                    m.d.comb += [
                        self.act_address.eq(operand["out"]),
                        self.act_write.eq(1),
                        self.done.eq(1),
                    ]
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += self.act_read.eq(1)
        return m
