"""``POOL``: largest value or average of every window of a grid."""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal, signed

from ..fields import cut, operands
from ..isa import (
    LOOP_FIELDS,
    POOL_LOOPS,
    POOL_WORDS,
    REQUANT_FIELDS,
    WINDOW_FIELDS,
    Op,
)
from .unit import ADDRESS_BITS, PostUnit
from .widths import sum_bits


class Pool(PostUnit):
    """Loops over windows, as :class:`~ohmloom.hw.isa.Grid` says.

    The window's extents are kept; what a loop does is read from parameter memory
    when its turn comes, so that only the places of the loops need registers.
    """

    OP = Op.POOL
    SCALES = True
    STRAYS = True

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = operands(self.instruction, self.OP)
        average = operand["average"]
        window = cut(self.param_data, WINDOW_FIELDS)
        loop = cut(self.param_data, LOOP_FIELDS)
        scale = cut(self.param_data, REQUANT_FIELDS)

        # The window: its extents, and where in it the next read is.
        extent = {name: Signal.like(value, name=f"window_{name}") for name, value in window.items()}
        row = Signal(8)
        column = Signal(8)
        row_address = Signal(ADDRESS_BITS)
        address = Signal(ADDRESS_BITS)
        read = Signal()
        first = Signal()
        total = Signal(signed(sum_bits(self.geometry)))
        value = self.act_data_in

        # The loops: turns made, and the addresses of the present turn.
        level = Signal(range(POOL_LOOPS))
        turn = Array(Signal(16, name=f"turn{n}") for n in range(POOL_LOOPS))
        act = Array(Signal(ADDRESS_BITS, name=f"act{n}") for n in range(POOL_LOOPS))
        out = Array(Signal(ADDRESS_BITS, name=f"out{n}") for n in range(POOL_LOOPS))
        next_act = Signal(ADDRESS_BITS)
        next_out = Signal(ADDRESS_BITS)
        word = Signal(range(POOL_WORDS + 1))
        # Whether this turn is the last one: a register, between parameter memory and addresses.
        last = Signal()

        m.d.comb += [
            self.param_address.eq(operand["param"] + word),
            self.act_address.eq(address),
            self.act_data.eq(Mux(average, self.scaler.result, total)),
            self.scaler.value.eq(total),
            self.scaler.bias.eq(scale["bias"]),
            self.scaler.mantissa.eq(scale["mantissa"]),
            self.scaler.shift.eq(scale["shift"]),
            next_act.eq(act[level] + loop["act_step"]),
            next_out.eq(out[level] + loop["out_step"]),
            self.active.eq(1),
        ]
        m.d.sync += read.eq(self.act_read)
        with m.If(read):
            m.d.sync += first.eq(0)
            with m.If(first):
                m.d.sync += total.eq(value)
            with m.Elif(average):
                m.d.sync += total.eq(total + value)
            with m.Elif(value > total):
                m.d.sync += total.eq(value)

        def begin(at: Signal) -> None:
            """A window at that address."""
            m.d.sync += [
                address.eq(at),
                row_address.eq(at),
                row.eq(1),
                column.eq(1),
                first.eq(1),
            ]
            m.next = "READ"

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                m.d.sync += [
                    level.eq(0),
                    *(each.eq(0) for each in turn),
                    *(each.eq(operand["act"]) for each in act),
                    *(each.eq(operand["out"]) for each in out),
                ]
                with m.If(self.start):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.param_read.eq(1)
                m.next = "WINDOW"
            with m.State("WINDOW"):
                m.d.sync += [extent[name].eq(each) for name, each in window.items()]
                m.d.comb += self.fault.eq((window["rows"] == 0) | (window["columns"] == 0))
                begin(act[0])
            with m.State("READ"):
                m.d.comb += [self.act_read.eq(1), word.eq(1), self.param_read.eq(1)]
                with m.If(column != extent["columns"]):
                    m.d.sync += [
                        column.eq(column + 1),
                        address.eq(address + extent["column_step"]),
                    ]
                with m.Else():
                    m.d.sync += [
                        column.eq(1),
                        row.eq(row + 1),
                        address.eq(row_address + extent["row_step"]),
                        row_address.eq(row_address + extent["row_step"]),
                    ]
                    with m.If(row == extent["rows"]):
                        m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += last.eq(turn[0] + 1 == loop["count"])
                m.d.comb += [word.eq(POOL_WORDS), self.param_read.eq(average)]
                with m.If(average):
                    m.next = "LOAD"
                with m.Else():
                    m.next = "WRITE"
            with m.State("LOAD"):
                m.d.comb += [word.eq(POOL_WORDS), self.scaler.load.eq(1)]
                m.next = "SCALING"
            with m.State("SCALING"):
                m.d.comb += word.eq(POOL_WORDS)
                with m.If(self.scaler.ready):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [
                    self.act_address.eq(out[0]),
                    self.act_write.eq(1),
                    word.eq(1),
                    self.param_read.eq(1),
                ]
                m.next = "TURN"
            # The word of the loop at ``level`` is there: another turn, or the next loop.
            with m.State("TURN"):
                # Read ahead, so that no memory's output decides on an address.
                m.d.comb += [
                    word.eq(level + 2),
                    self.param_read.eq(level != POOL_LOOPS - 1),
                    self.fault.eq(loop["count"] == 0),
                ]
                with m.If(last):
                    m.d.sync += [turn[level].eq(0), level.eq(level + 1)]
                    m.next = "LOOK"
                    with m.If(level == POOL_LOOPS - 1):
                        m.next = "END"
                with m.Else():
                    m.d.sync += [turn[level].eq(turn[level] + 1), level.eq(0)]
                    for n in range(POOL_LOOPS):
                        with m.If(n <= level):
                            m.d.sync += [act[n].eq(next_act), out[n].eq(next_out)]
                    begin(next_act)
            with m.State("LOOK"):
                m.d.sync += last.eq(turn[level] + 1 == loop["count"])
                m.d.comb += [word.eq(level + 1), self.param_read.eq(1)]
                m.next = "TURN"
            # So that no path leads from parameter memory to what follows an instruction.
            with m.State("END"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m
