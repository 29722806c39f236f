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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = operands(self.instruction, self.OP)
        depth, width = self.geometry.act_depth, self.geometry.act_width
        index = Signal(signed(depth.bit_length() + 1), reset_less=True)  # of the value looked at
        # As its complement: a sum compares it. With ``last`` an equal one is better too.
        # (No reset: registers of an iCE40 begin with 0, another value takes an inverter.)
        unbest = Signal(signed(width), reset_less=True)
        where = Signal(range(depth))
        better = Signal()
        difference = Cat(1, self.act_data_in).as_signed() + Cat(operand["last"], unbest).as_signed()
        m.d.comb += better.eq(difference >= 0)

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
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += index.eq(index + 1)
                with m.If(index < 0):
                    m.d.sync += [unbest.eq((1 << width - 1) - 1), where.eq(0)]
                with m.Elif(better):
                    m.d.sync += [unbest.eq(~self.act_data_in), where.eq(index)]
                with m.If(index == operand["count"][: len(index)].as_signed()):
                    m.d.comb += [
                        self.act_address.eq(operand["out"]),
                        self.act_write.eq(1),
                        self.done.eq(1),
                    ]
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += self.act_read.eq(1)
        return m
