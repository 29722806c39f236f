"""Oversampling: the mean of several conversions of each column, rounded half to even."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import sample_layout
from .geometry import Geometry
from .isa import AVERAGE_BITS, SAMPLE_FIELDS
from .ram import Ram

CODE_BITS = SAMPLE_FIELDS[0].width
SUM_BITS = CODE_BITS + (1 << AVERAGE_BITS) - 1
"""Of the sum of 2^15 codes, which never overflows it."""


class Averager(wiring.Component):
    """Sums the codes of ``2**average`` conversions a column and hands on their means.

    The columns ``column .. column+count-1`` are handed on in order, three cycles each,
    after the last conversion of a group. From one ``convert`` to the next one that is
    taken it is A + 1 cycles inside a group and A + 1 + 3 count behind one, where A is
    the front end's cycles from ``convert`` to ``adc_idle``.

    Parameters
    ----------
    geometry : Geometry
        Its columns are summed side by side.

    Members
    -------
    restart : In(1)
        Strobe: forget the conversions of a group that is not full.
    convert : In(1)
        Strobe, while ``idle``: a conversion begins.
    adc_idle, samples : In
        Of the front end.
    average, column, count : In
        Base-two logarithm of the conversions in a group; the columns to hand on.
    idle : Out(1)
        A conversion may begin.
    write, result : Out
        A mean, as :func:`~ohmloom.hw.isa.unpack_sample` reads it.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "restart": In(1),
                "convert": In(1),
                "adc_idle": In(1),
                "samples": In(stream.Signature(sample_layout(), always_ready=True)),
                "average": In(AVERAGE_BITS),
                "column": In(8),
                "count": In(8),
                "idle": Out(1),
                "write": Out(1),
                "result": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sums = sums = Ram(SUM_BITS + 1, self.geometry.columns)
        read, write = sums.read, sums.write
        total = Signal(signed(SUM_BITS))
        railed = Signal()
        m.d.comb += Cat(total, railed).eq(read.data)

        # Two stages: a sample fetches its column's sum, then goes back with it.
        done = Signal(1 << AVERAGE_BITS)  # conversions of the group that have been summed
        sample = self.samples.payload
        code = Signal(signed(CODE_BITS))
        column = Signal(8)
        taken, converting, walking = Signal(), Signal(), Signal()
        at_rail = Signal()
        place = Signal(8)
        m.d.sync += [
            taken.eq(self.samples.valid & converting),
            code.eq(sample["code"]),
            column.eq(sample["column"]),
        ]
        rails = ((1 << CODE_BITS - 1) - 1, 1 << CODE_BITS - 1)
        m.d.comb += [
            read.addr.eq(Mux(walking, self.column + place, sample["column"])),
            at_rail.eq((code.as_unsigned() == rails[0]) | (code.as_unsigned() == rails[1])),
            write.addr.eq(column),
            write.en.eq(taken),
        ]
        summed = Signal(signed(SUM_BITS))
        with m.If(done == 0):
            m.d.comb += [summed.eq(code), write.data.eq(Cat(summed, at_rail))]
        with m.Else():
            m.d.comb += [summed.eq(total + code), write.data.eq(Cat(summed, at_rail | railed))]

        # The mean: half of the divisor less one, and one more where the floor is odd.
        half = Signal(SUM_BITS)
        rounded = Signal(signed(SUM_BITS + 1))
        flag = Signal()
        m.d.comb += [
            half.eq((1 << self.average) >> 1),
            # In the order of isa.SAMPLE_FIELDS.
            self.result.eq(Cat((rounded >> self.average)[:CODE_BITS], flag)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.restart):
                    m.d.sync += done.eq(0)
                with m.If(self.convert):
                    m.next = "CONVERT"
            with m.State("CONVERT"):
                m.d.comb += converting.eq(1)
                with m.If(self.adc_idle):
                    m.d.sync += [done.eq(done + 1), place.eq(0)]
                    m.next = "IDLE"
                    with m.If(done + 1 == 1 << self.average):
                        m.d.sync += done.eq(0)
                        m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += walking.eq(1)
                m.next = "ROUND"
            with m.State("ROUND"):
                odd = total.bit_select(self.average, 1)
                m.d.sync += [
                    rounded.eq(Mux(half == 0, total, total + half - 1 + odd)),
                    flag.eq(railed),
                    place.eq(place + 1),
                ]
                m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += self.write.eq(1)
                with m.If(place == self.count):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "FETCH"
        return m
