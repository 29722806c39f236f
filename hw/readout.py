"""Oversampling: the mean of several conversions of each column, rounded half to even."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import sample_layout
from .geometry import Geometry
from .isa import AVERAGE_BITS, SAMPLE_FIELDS
from .ram import Ram

CODE_BITS = SAMPLE_FIELDS[0].width
LOST_BITS = (1 << AVERAGE_BITS) - 1
"""Of a sum, below its mean: a sum is always as large as one of 2^15 codes would be."""
SUM_BITS = CODE_BITS + LOST_BITS


class Averager(wiring.Component):
    """Sums the codes of ``2**average`` conversions a column and hands on their means.

    The codes are summed in offset binary, each times ``2**(15 - average)``, to half of a
    mean: so the upper bits of the sum are the mean, rounded half up, and of a tie the lower
    ones are all 0, which makes it even.

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
    last : Out(1)
        The next conversion is the last one of its group.
    found, write, result : Out
        Strobe with a mean, as :func:`~ohmloom.hw.isa.unpack_sample` reads it; ``found`` is
        one in the cycle before.
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
                "last": Out(1),
                "found": Out(1),
                "write": Out(1),
                "result": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Behind the sums a group's first sample finds what it is added to.
        places = 1 << (self.geometry.columns - 1).bit_length()
        init = [0] * places + [1 << LOST_BITS - 1] * places
        m.submodules.sums = sums = Ram(SUM_BITS + 1, 2 * places, init)
        read, write = sums.read, sums.write
        total = Signal(SUM_BITS)
        railed = Signal()
        m.d.comb += Cat(total, railed).eq(read.data)

        # Two stages: a sample fetches its column's sum, then goes back with it.
        sample = self.samples.payload
        code = Signal(CODE_BITS, reset_less=True)  # offset binary; in the multiplier itself
        column = Signal(range(places))
        taken, converting = Signal(), Signal()
        at_rail = Signal()
        place = Signal(range(self.geometry.columns + 1))
        fresh = Signal(init=1)  # nothing of the group has been summed
        scale = Signal(LOST_BITS + 1)
        binary = sample["code"] ^ (1 << CODE_BITS - 1)
        m.d.sync += [
            taken.eq(self.samples.valid & converting),
            code.eq(binary),
            at_rail.eq(binary.all() | ~binary.any()),
            column.eq(sample["column"]),
        ]
        m.d.comb += [
            read.addr.eq(
                Cat(
                    Mux(converting, sample["column"], self.column + place)[: len(column)],
                    converting & fresh,
                )
            ),
            scale.eq((1 << LOST_BITS) >> self.average),
            write.addr.eq(column),
            write.data.eq(Cat((code * scale + total)[:SUM_BITS], at_rail | railed)),
            write.en.eq(taken),
        ]

        mean = total[LOST_BITS:]
        tie = ~total[:LOST_BITS].any()
        # The conversions of the group that have begun, as their share of the mean: it
        # overflows to 0 with the last one.
        share = Signal(LOST_BITS)
        following = Signal(LOST_BITS + 1)
        filled = Signal()
        m.d.comb += [
            following.eq(share + scale),
            self.last.eq(following[-1]),
            # In the order of isa.SAMPLE_FIELDS.
            self.result.eq(Cat(mean[0] & ~tie, mean[1:-1], ~mean[-1], railed)),
        ]
        with m.If(self.restart):
            m.d.sync += fresh.eq(1)
        with m.If(self.convert):
            m.d.sync += filled.eq(self.last)
        with m.If(self.restart):
            m.d.sync += share.eq(0)
        with m.Elif(self.convert):
            m.d.sync += share.eq(following)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.convert):
                    m.next = "CONVERT"
            with m.State("CONVERT"):
                m.d.comb += converting.eq(1)
                with m.If(self.adc_idle):
                    m.d.sync += [fresh.eq(filled), place.eq(0)]
                    m.next = "IDLE"
                    with m.If(filled):
                        m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "FOUND"
            with m.State("FOUND"):
                m.d.comb += self.found.eq(1)
                m.d.sync += place.eq(place + 1)
                m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += self.write.eq(1)
                with m.If(place == self.count):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "FETCH"
        return m
