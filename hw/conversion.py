# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""From sums to codes (``docs/numerics.md``, "A conversion"), an addition a cycle.

A pulse's new code is the same without the gain: a mean and a deviate times a spread.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .emulated_cycles import GAIN_BITS, EmulatedCycles
from .emulated_tables import CODE_BITS, FRACTION_BITS, POINT_BITS

ADC_BITS = 16
LEAP = 4
"""Bits that are shifted out together behind the multiplication."""


class Conversion(wiring.Component):
    """One code at a time.

    Parameters
    ----------
    widths : EmulatedCycles
        Of the numbers.
    deviate_bits : int
        Of a deviate.

    Members
    -------
    start, pulse : In(1)
        Strobe, and what is wanted with it: the code of an ADC or that of a cell.
    total, sigma : In
        Sum of the codes and standard deviation: of a conversion, with ``start``.
    magnitude, negative : In
        The deviate: of a conversion with ``start``, of a pulse stable.
    gain, shift : In
        Of a conversion, stable.
    wanted, word : Out(2), In(16)
        Of a pulse: mean, rise and spread, by their number, a cycle later.
    fraction : In
        Of a pulse: from the point of the line to the next one.
    done : Out(1)
        Strobe, :attr:`EmulatedCycles.conversion` after the ``start`` of a conversion; the next
        one may come a cycle later.
    code, cell : Out
        From ``done`` to the next ``start``: of an ADC in two's complement, or of a cell.
    """

    def __init__(self, widths: EmulatedCycles, deviate_bits: int) -> None:
        self.widths = widths
        super().__init__(
            {
                "start": In(1),
                "pulse": In(1),
                "total": In(widths.total_bits),
                "sigma": In(widths.root_bits),
                "magnitude": In(deviate_bits),
                "negative": In(1),
                "gain": In(GAIN_BITS),
                "shift": In(widths.most_shift.bit_length()),
                "wanted": Out(2),
                "word": In(GAIN_BITS),
                "fraction": In(POINT_BITS),
                "done": Out(1),
                "code": Out(signed(ADC_BITS)),
                "cell": Out(CODE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        widths, point = self.widths, self.widths.point
        width = max(widths.total_bits, GAIN_BITS) + point + 2
        value = Signal(signed(width))
        addend = Signal(signed(width))
        factor = Signal(GAIN_BITS)
        steps = max(widths.noise_steps, POINT_BITS, GAIN_BITS + widths.shift_steps)
        step = Signal(range(steps + 1))
        left = Signal(range(point + widths.most_shift + 1))  # bits to be shifted out
        half, below = Signal(), Signal()
        minus = Signal()
        total = Signal(signed(width + 1))
        added = Mux(factor[0], addend, 0)
        m.d.comb += total.eq(Mux(minus, value - added, value + added))

        def multiply(by, count: int, after: str) -> None:
            m.d.sync += [factor.eq(by), step.eq(count)]
            m.next = after

        noise = self.magnitude << point - widths.exponent
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += value.eq(self.total << point)
                with m.If(self.pulse):
                    m.next = "MEAN"
                with m.Else():
                    m.d.sync += addend.eq(noise)
                    multiply(self.sigma, widths.noise_steps, "NOISE")
            with m.State("MEAN"):
                m.d.comb += self.wanted.eq(1)
                m.d.sync += value.eq(self.word << point)
                m.next = "RISE"
            with m.State("RISE"):
                m.d.comb += self.wanted.eq(2)
                m.d.sync += addend.eq(self.word << point - POINT_BITS)
                multiply(self.fraction, POINT_BITS, "MOVE")
            with m.State("MOVE"):
                m.d.comb += self.wanted.eq(2)
                m.d.sync += [value.eq(total), addend.eq(addend << 1), factor.eq(factor >> 1)]
                m.d.sync += step.eq(step - 1)
                with m.If(step == 1):
                    m.d.sync += addend.eq(noise)
                    multiply(self.word, widths.noise_steps, "NOISE")
            with m.State("NOISE"):
                m.d.comb += minus.eq(self.negative)
                m.d.sync += [value.eq(total), addend.eq(addend << 1), factor.eq(factor >> 1)]
                m.d.sync += [step.eq(step - 1), left.eq(point + self.shift)]
                with m.If(step == 1):
                    with m.If(self.pulse):
                        m.next = "DONE"
                    with m.Else():
                        m.d.sync += [addend.eq(total), value.eq(0), half.eq(0), below.eq(0)]
                        multiply(self.gain, GAIN_BITS + widths.shift_steps, "GAIN")
            with m.State("GAIN"):
                # The time is that of the longest shift, whatever this one is.
                m.d.sync += step.eq(step - 1)
                known = left <= self.shift
                with m.If((step <= widths.shift_steps) & known & (left >= LEAP)):
                    m.d.sync += [
                        value.eq(value >> LEAP),
                        left.eq(left - LEAP),
                        half.eq(value[LEAP - 1]),
                        below.eq(below | half | value[: LEAP - 1].any()),
                    ]
                with m.Elif(left != 0):
                    m.d.sync += [
                        value.eq(total >> 1),
                        factor.eq(factor >> 1),
                        left.eq(left - 1),
                    ]
                    with m.If(known):
                        m.d.sync += [half.eq(total[0]), below.eq(below | half)]
                with m.If(step == 1):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"

        # Half to even, and no further than the ends.
        inside = Mux(value[-1], value[ADC_BITS - 1 :].all(), ~value[ADC_BITS - 1 :].any())
        up = half & (below | value[0]) & ~(value[: ADC_BITS - 1].all() & ~value[-1])
        ends = Cat((~value[-1]).replicate(ADC_BITS - 1), value[-1])
        cell = value[point + FRACTION_BITS : -1]
        beyond = cell[CODE_BITS:].any().replicate(CODE_BITS)
        m.d.comb += [
            self.code.eq(Mux(inside, value[:ADC_BITS] + up, ends)),
            self.cell.eq(Mux(value[-1], 0, cell[:CODE_BITS] | beyond)),
        ]
        return m
