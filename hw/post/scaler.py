"""Multiply, add, shift with round half to even, clamp: the one multiplier of post-processing."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member

from ..geometry import Geometry
from ..isa import BIAS_BITS, MANTISSA_BITS, SHIFT_BITS
from .unit import scaler_signature
from .widths import value_bits


def members(geometry: Geometry) -> dict[str, Member]:
    """What every scaler has: the side of the units, and the bounds."""
    return {
        "unit": In(scaler_signature(geometry)),
        "clamp_lo": In(signed(geometry.act_width)),
        "clamp_hi": In(signed(geometry.act_width)),
    }


class Scaler(wiring.Component):
    """``clamp(round_half_even((sum of (value + bias) * mantissa) / 2**shift))``.

    Members
    -------
    unit : In(scaler_signature)
        What is to be scaled. It is taken with ``load``.
    clamp_lo, clamp_hi : In
        Bounds of the result, inclusive.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(members(geometry))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit = self.unit
        # Two bits are enough for the sum of three products of an ADD, which are far shorter.
        biased_bits = max(value_bits(self.geometry), BIAS_BITS) + 1
        product_bits = biased_bits + MANTISSA_BITS + 1

        multiply, shifting = Signal(), Signal()
        accumulate = Signal()
        value = Signal(signed(biased_bits))
        mantissa = Signal.like(unit.mantissa)
        shift = Signal(SHIFT_BITS)
        product = Signal(signed(product_bits))
        doubled = Signal(signed(product_bits + 1))
        floor = Signal(signed(product_bits))
        guard = Signal()
        sticky = Signal()
        rounded = Signal(signed(product_bits))

        # Of loads that follow each other, only the last one makes a result.
        m.d.sync += [
            multiply.eq(unit.load),
            shifting.eq(multiply & ~unit.load),
            unit.ready.eq(shifting & ~unit.load),
        ]
        with m.If(unit.load):
            m.d.sync += [
                accumulate.eq(unit.accumulate),
                value.eq(unit.value + unit.bias),
                mantissa.eq(unit.mantissa),
                shift.eq(unit.shift),
            ]
        with m.If(multiply):
            m.d.sync += product.eq(value * mantissa + Mux(accumulate, product, 0))
        m.d.comb += [
            # The lowest bit is the first one lost: it says whether half or more is.
            doubled.eq(Cat(Const(0, 1), product).as_signed() >> shift),
            # A tie goes to the even neighbour; with shift 0 nothing is lost.
            rounded.eq(floor + (guard & (sticky | floor[0]))),
        ]
        m.d.sync += [
            floor.eq(doubled >> 1),
            guard.eq(doubled[0]),
            sticky.eq((product & (((1 << shift) >> 1) - 1)) != 0),
            unit.result.eq(
                Mux(
                    rounded < self.clamp_lo,
                    self.clamp_lo,
                    Mux(rounded > self.clamp_hi, self.clamp_hi, rounded),
                )
            ),
        ]
        return m
