"""Multiply, shift with round half to even, clamp: bit after bit, for a small FPGA."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import Value
from amaranth.lib import wiring

from ..geometry import Geometry
from ..isa import MANTISSA_BITS
from .scaler import members
from .widths import product_bits


class SerialScaler(wiring.Component):
    """``clamp(round_half_even((value + bias) * mantissa / 2**shift))``, serially.

    A bit of ``value + bias`` a cycle, from the lowest on, makes a bit of the product: one
    adder as wide as the mantissa, which is not below 0 here. The bits that are shifted out
    are remembered as the last one and whether any before it was 1, so the first one that
    stays knows whether to round up; all from there on are compared with both bounds while
    they come, far enough to be their sign.

    Members are those of :class:`~.scaler.Scaler`, but there is no ``accumulate``.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(members(geometry))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit = self.unit
        bits, width = product_bits(self.geometry), self.geometry.act_width
        running = Signal()
        step = Signal(range(bits + 1))

        def bit(word: Value, at: Value) -> Value:
            """One bit of a signed word of any length."""
            return Mux(
                at < len(word), word.bit_select(at[: (len(word) - 1).bit_length()], 1), word[-1]
            )

        # The sum of value and bias; what is left of the product; its lowest bit.
        a, b, carry, addend = bit(unit.value, step), bit(unit.bias, step), Signal(), Signal()
        mantissa = unit.mantissa[:MANTISSA_BITS]
        partial = Signal(MANTISSA_BITS)
        product = Signal(MANTISSA_BITS + 1)
        m.d.comb += [
            addend.eq(a ^ b ^ carry),
            product.eq(Mux(addend, partial + mantissa, partial)),
        ]

        # The lost bits, then the bits of the result: a tie goes to the even neighbour.
        kept, keeping, half, sticky, rounded = Signal(), Signal(), Signal(), Signal(), Signal()
        up = half & (sticky | product[0])
        m.d.comb += [
            keeping.eq(kept | (step == unit.shift)),
            rounded.eq(product[0] ^ up),
        ]

        # The bounds; where their sign differs, the last bits have compared the wrong way.
        place = Signal(range(width + 1))
        low, high = bit(self.clamp_lo, place), bit(self.clamp_hi, place)
        below, above = Signal(), Signal()
        too_low = below ^ rounded ^ self.clamp_lo[-1]
        too_high = above ^ rounded ^ self.clamp_hi[-1]

        with m.If(unit.load):
            m.d.sync += [
                running.eq(1),
                step.eq(0),
                partial.eq(0),
                carry.eq(0),
                half.eq(0),
                sticky.eq(0),
                kept.eq(0),
                place.eq(0),
                below.eq(0),
                above.eq(0),
            ]
        with m.Elif(running):
            m.d.sync += [
                step.eq(step + 1),
                partial.eq(product[1:]),
                carry.eq((a & b) | (carry & (a | b))),
                kept.eq(keeping),
            ]
            with m.If(keeping):
                # From here on ``half`` is the carry of the rounding.
                m.d.sync += [
                    half.eq(product[0] & up),
                    sticky.eq(1),
                    below.eq(Mux(rounded ^ low, low, below)),
                    above.eq(Mux(rounded ^ high, rounded, above)),
                ]
                with m.If(place != width):
                    m.d.sync += [
                        place.eq(place + 1),
                        unit.result.eq(Cat(unit.result[1:], rounded)),
                    ]
            with m.Else():
                m.d.sync += [half.eq(product[0]), sticky.eq(sticky | half)]
            with m.If(step == bits):
                m.d.comb += unit.ready.eq(1)
                m.d.sync += running.eq(0)
                with m.If(too_low | too_high):
                    m.d.sync += unit.result.eq(Mux(too_low, self.clamp_lo, self.clamp_hi))
        return m
