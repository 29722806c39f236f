"""``ADD``: the residual sum of two tensors, each with a scale of its own."""

from __future__ import annotations

from amaranth import Module, Signal, signed

from ..fields import cut, operands
from ..isa import ADD_FIELDS, ADD_SOURCE_FIELDS, BIAS_BITS, Op
from .unit import ADDRESS_BITS, PostUnit


class ResidualAdd(PostUnit):
    """``clamp(round_half_even((a * mantissa_a + b * mantissa_b + bias) / 2**shift))``.

    The scaler takes the bias (times 1), then both products, one a cycle: this unit is
    for :class:`~.scaler.Scaler` alone.
    """

    OP = Op.ADD
    SCALES = True
    STRAYS = True

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = operands(self.instruction, self.OP)
        scale = cut(self.param_data, ADD_FIELDS)
        source = cut(self.param_data, ADD_SOURCE_FIELDS)
        scaler = self.scaler
        bias = Signal(signed(BIAS_BITS))
        a = Signal(ADDRESS_BITS)
        b = Signal(ADDRESS_BITS)
        index = Signal(16)

        m.d.comb += [
            # The mantissas' word stays on the read port while the values pass.
            self.param_address.eq(operand["param"]),
            self.param_read.eq(1),
            scaler.shift.eq(scale["shift"]),
            self.act_data.eq(scaler.result),
            self.active.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.active.eq(0), self.param_read.eq(0)]
                m.d.sync += index.eq(0)
                with m.If(self.start):
                    m.next = "SOURCE"
            with m.State("SOURCE"):
                m.d.comb += self.param_address.eq(operand["param"] + 1)
                m.next = "SCALE"
            with m.State("SCALE"):
                m.d.sync += [bias.eq(source["bias"]), a.eq(source["a"]), b.eq(source["b"])]
                m.next = "READ-A"
            with m.State("READ-A"):
                m.d.comb += [
                    self.act_address.eq(a),
                    self.act_read.eq(1),
                    scaler.load.eq(1),
                    scaler.bias.eq(bias),
                    scaler.mantissa.eq(1),
                ]
                m.next = "READ-B"
            with m.State("READ-B"):
                m.d.comb += [
                    self.act_address.eq(b),
                    self.act_read.eq(1),
                    scaler.load.eq(1),
                    scaler.accumulate.eq(1),
                    scaler.value.eq(self.act_data_in),
                    scaler.mantissa.eq(scale["mantissa_a"]),
                ]
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += [
                    scaler.load.eq(1),
                    scaler.accumulate.eq(1),
                    scaler.value.eq(self.act_data_in),
                    scaler.mantissa.eq(scale["mantissa_b"]),
                ]
                m.next = "SCALING"
            with m.State("SCALING"), m.If(scaler.ready):
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [self.act_address.eq(operand["out"] + index), self.act_write.eq(1)]
                m.d.sync += [index.eq(index + 1), a.eq(a + 1), b.eq(b + 1)]
                with m.If(index + 1 >= operand["count"]):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "READ-A"
        return m
