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
        Strobe, :attr:`EmulatedCycles.conversion` after the ``start`` of a conversion, which
        may be that of the next one.
    code, cell : Out
        With ``done``: of an ADC in two's complement, or of a cell.
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
        left = Signal(range(max(widths.gain_steps, widths.noise_steps, POINT_BITS) + 1))
        taken = Signal()
        half, below = Signal(), Signal()
        minus = Signal()
        total = Signal(signed(width + 1))
        added = Mux(factor[0], addend, 0)
        m.d.comb += [
            total.eq(Mux(minus, value - added, value + added)),
            taken.eq(left <= self.shift),
        ]

        def multiply(by, steps, after: str) -> None:
            m.d.sync += [factor.eq(by), left.eq(steps)]
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
                m.d.sync += [
                    value.eq(total),
                    addend.eq(addend << 1),
                    factor.eq(factor >> 1),
                    left.eq(left - 1),
                ]
                with m.If(left == 1):
                    m.d.sync += addend.eq(noise)
                    multiply(self.word, widths.noise_steps, "NOISE")
            with m.State("NOISE"):
                m.d.comb += minus.eq(self.negative)
                m.d.sync += [
                    value.eq(total),
                    addend.eq(addend << 1),
                    factor.eq(factor >> 1),
                    left.eq(left - 1),
                ]
                with m.If(left == 1):
                    m.next = "SCALE"
                    with m.If(self.pulse):
                        m.next = "DONE"
            with m.State("SCALE"):
                m.d.sync += [addend.eq(value), value.eq(0), half.eq(0), below.eq(0)]
                multiply(self.gain, widths.gain_steps, "GAIN")
            with m.State("GAIN"):
                # The time is that of the longest shift, whatever this one is.
                m.d.sync += left.eq(left - 1)
                with m.If(left <= point + self.shift):
                    m.d.sync += [value.eq(total >> 1), factor.eq(factor >> 1)]
                with m.If(taken):
                    m.d.sync += [half.eq(total[0]), below.eq(below | half)]
                with m.If(left == 1):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"
        with m.If(self.done):
            m.d.sync += self.done.eq(0)

        # Half to even, and no further than the ends.
        inside = Mux(value[-1], value[ADC_BITS - 1 :].all(), ~value[ADC_BITS - 1 :].any())
        up = half & (below | value[0]) & ~(value[: ADC_BITS - 1].all() & ~value[-1])
        ends = Cat((~value[-1]).replicate(ADC_BITS - 1), value[-1])
        cell = value[point + FRACTION_BITS : -1]
        beyond = cell[CODE_BITS:].any().replicate(CODE_BITS)
        m.d.sync += [
            self.code.eq(Mux(inside, value[:ADC_BITS] + up, ends)),
            self.cell.eq(Mux(value[-1], 0, cell[:CODE_BITS] | beyond)),
        ]
        return m
