"""``REQUANT``: bias, scale, clamp: accumulators to the next layer's activations."""

from __future__ import annotations

from amaranth import Module, Signal

from ..fields import cut, operands
from ..isa import REQUANT_FIELDS, Op
from .unit import PostUnit


class Requantiser(PostUnit):
    """``act[out+k] = clamp(round_half_even((acc[k] + bias) * mantissa / 2**shift))``."""

    OP = Op.REQUANT
    SCALES = True

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = operands(self.instruction, self.OP)
        param = cut(self.param_data, REQUANT_FIELDS)
        index = Signal(range(self.geometry.accumulators + 1))

        m.d.comb += [
            self.param_address.eq(operand["param"] + index),
            self.acc_address.eq(index),
            self.act_address.eq(operand["out"] + index),
            self.act_data.eq(self.scaler.result),
            self.scaler.value.eq(self.acc_value),
            self.scaler.bias.eq(param["bias"]),
            self.scaler.mantissa.eq(param["mantissa"]),
            self.scaler.shift.eq(param["shift"]),
            self.active.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                m.d.sync += index.eq(0)
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.param_read.eq(1)
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.scaler.load.eq(1)
                m.next = "SCALING"
            with m.State("SCALING"), m.If(self.scaler.ready):
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += self.act_write.eq(1)
                m.d.sync += index.eq(index + 1)
                with m.If((index + 1)[: len(index)] == operand["count"][: len(index)]):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "READ"
        return m
