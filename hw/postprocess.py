"""Bias, requantise, clamp: accumulators to the next layer's activations."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .fields import cut
from .geometry import Geometry
from .isa import BIAS_BITS, LAYOUTS, MANTISSA_BITS, REQUANT_FIELDS, Op


class Requantiser(wiring.Component):
    """Executes one ``REQUANT`` instruction: ``CYCLES`` clock cycles an output.

    ``y = clamp(round_half_even((acc + bias) * mantissa / 2**shift))``.

    Members
    -------
    start, done : In(1), Out(1)
        Strobes; operands and bounds are stable between them.
    clamp_lo, clamp_hi : In(signed 32)
        Bounds of the result, inclusive.
    param_address, param_data : Out, In
        Parameter memory read port, one cycle of latency.
    acc_address, acc_value : Out, In
        Accumulator read port, one cycle of latency.
    act_write, act_address, act_data : Out
        Activation memory write port.
    """

    CYCLES = 6

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        operand = {field.name: Out(field.width) for field in LAYOUTS[Op.REQUANT]}
        super().__init__(
            {
                "operand": In(wiring.Signature(operand)),
                "start": In(1),
                "clamp_lo": In(signed(32)),
                "clamp_hi": In(signed(32)),
                "param_address": Out(16),
                "param_data": In(64),
                "acc_address": Out(8),
                "acc_value": In(signed(geometry.acc_width)),
                "act_write": Out(1),
                "act_address": Out(16),
                "act_data": Out(geometry.act_width),
                "done": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sum_bits = max(self.geometry.acc_width, BIAS_BITS) + 1
        product_bits = sum_bits + MANTISSA_BITS + 1

        index = Signal(8)
        total = Signal(signed(sum_bits))
        mantissa = Signal(MANTISSA_BITS)
        shift = Signal(6)
        product = Signal(signed(product_bits))
        floor = Signal(signed(product_bits))
        lost = Signal(64)
        half = Signal(64)
        rounded = Signal(signed(product_bits))
        clamped = Signal(signed(32))

        param = cut(self.param_data, REQUANT_FIELDS)
        m.d.comb += [
            self.param_address.eq(self.operand.param + index),
            self.acc_address.eq(index),
            self.act_address.eq(self.operand.out + index),
            # A tie goes to the even neighbour; beyond half, and with shift 0, there is no tie.
            rounded.eq(floor + ((lost > half) | ((lost == half) & floor[0] & (shift != 0)))),
            self.act_data.eq(clamped),
            self.active.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.active.eq(0)
                m.d.sync += index.eq(0)
                with m.If(self.start):
                    m.next = "READ"
            with m.State("READ"):
                m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    total.eq(self.acc_value + param["bias"]),
                    mantissa.eq(param["mantissa"]),
                    shift.eq(param["shift"]),
                ]
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += product.eq(total * mantissa)
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.sync += [
                    floor.eq(product >> shift),
                    lost.eq(product[:64] & ((1 << shift) - 1)),
                    half.eq((1 << shift) >> 1),
                ]
                m.next = "CLAMP"
            with m.State("CLAMP"):
                m.d.sync += clamped.eq(
                    Mux(
                        rounded < self.clamp_lo,
                        self.clamp_lo,
                        Mux(rounded > self.clamp_hi, self.clamp_hi, rounded),
                    )
                )
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += self.act_write.eq(1)
                m.d.sync += index.eq(index + 1)
                with m.If(index + 1 >= self.operand.count):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "READ"
        return m
