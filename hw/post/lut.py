"""``LUT``: any function of eight bits, from a table in parameter memory."""

from __future__ import annotations

from amaranth import Cat, Module, Signal

from ..fields import operands
from ..isa import ENTRIES_PER_WORD, ENTRY_BITS, TABLE_ENTRIES, Op
from .unit import PostUnit

SELECT_BITS = (ENTRIES_PER_WORD - 1).bit_length()
INDEX_BITS = (TABLE_ENTRIES - 1).bit_length()


class LookUp(PostUnit):
    """``act[out+k] = entry[act[act+k] & 0xFF]``.

    An entry that an activation does not hold is a fault.
    """

    OP = Op.LUT

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = operands(self.instruction, self.OP)
        width = self.geometry.act_width
        index = Signal(16)
        where = Signal(INDEX_BITS)
        select = Signal(SELECT_BITS)
        entry = Signal(ENTRY_BITS)

        m.d.comb += [
            # Narrow activations are sign-extended.
            where.eq(self.act_data_in),
            self.param_address.eq(Cat(where[SELECT_BITS:], operand["table"])),
            entry.eq(self.param_data.word_select(select, ENTRY_BITS)),
            self.act_data.eq(entry),
            self.active.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                m.d.sync += index.eq(0)
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += [self.act_address.eq(operand["act"] + index), self.act_read.eq(1)]
                m.next = "LOOK-UP"
            with m.State("LOOK-UP"):
                m.d.comb += self.param_read.eq(1)
                m.d.sync += select.eq(where)
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += self.act_address.eq(operand["out"] + index)
                m.d.sync += index.eq(index + 1)
                sign = entry[width - 1 :]
                with m.If(sign.any() & ~sign.all()):
                    m.d.comb += self.fault.eq(1)
                with m.Else():
                    m.d.comb += self.act_write.eq(1)
                with m.If(index + 1 >= operand["count"]):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "READ"
        return m
