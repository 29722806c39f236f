"""Shift-and-add: differences of the ADC codes of a plane into accumulators."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import sample_layout
from .geometry import Geometry
from .ram import Ram


class Accumulator(wiring.Component):
    """Accumulators of one lane, in memory.

    A sample of column ``2k`` adds ``code << shift`` to accumulator ``k``, one of
    column ``2k+1`` subtracts it; ``negate`` turns both round (the top plane of a
    signed input). One sample a cycle, in any order of columns.

    With ``single`` a sample of column ``k+1`` adds ``code << shift`` to accumulator ``k``,
    and one of column 0, the reference, subtracts it from all of them, but for the last one.
    As its sample may come when it likes, its sum is kept by itself, in the last word of
    the memory, and is subtracted from what is read, of itself too.

    Members
    -------
    samples : In(stream)
        Always ready.
    enable : In(1)
        Samples count; otherwise they pass unseen (single reads).
    shift, negate : In
        Weight of the samples, stable until the last one is in.
    single : In(1)
        Columns are single, stable likewise; where the geometry has single columns.
    clear : In(1)
        Strobe: zero all accumulators, a cycle for each.
    address, value : In, Out
        Read port of the requantiser, one cycle of latency, while ``idle``.
    saturations : Out(32)
        Codes at either rail since ``restart``.
    idle : Out(1)
        Nothing is in the pipeline.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        single = {"single": In(1)} if geometry.has_single else {}
        super().__init__(
            {
                "samples": In(stream.Signature(sample_layout(), always_ready=True)),
                "enable": In(1),
                "shift": In(5),
                "negate": In(1),
                **single,
                "clear": In(1),
                "restart": In(1),
                "address": In(8),
                "value": Out(signed(geometry.acc_width)),
                "saturations": Out(32),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, last = self.geometry.acc_width, self.geometry.accumulators - 1
        # All words that there are addresses of: post-processing looks one ahead.
        m.submodules.mem = mem = Ram(signed(width), 1 << last.bit_length(), transparent=True)
        read, write = mem.read, mem.write

        code = self.samples.payload["code"].as_signed()
        column = self.samples.payload["column"]
        take = Signal()
        m.d.comb += take.eq(self.samples.valid & self.enable)
        self._count_saturations(m, take)

        pending = Signal()
        pair = Signal(8)
        delta = Signal(signed(width))
        clearing = Signal()
        index = Signal(range(last + 1))
        place, minus, value = column >> 1, column[0] ^ self.negate, read.data
        if self.geometry.has_single:
            single = Mux(column == 0, last, (column - 1)[: len(column)])
            place = Mux(self.single, single, place)
            minus = (column[0] & ~self.single) ^ self.negate
            reference = Signal(signed(width))  # the last word
            value = read.data - reference
            with m.If(write.en & (write.addr == last)):
                m.d.sync += reference.eq(write.data)

        m.d.sync += pending.eq(take)
        with m.If(take):
            m.d.sync += [
                pair.eq(place),
                delta.eq(Mux(minus, -code, code) << self.shift),
            ]

        m.d.comb += [
            read.addr.eq(Mux(take, place, self.address)),
            read.en.eq(1),
            self.value.eq(value),
            self.idle.eq(~pending & ~clearing & ~take),
        ]
        with m.If(clearing):
            m.d.comb += [write.en.eq(1), write.addr.eq(index), write.data.eq(0)]
            m.d.sync += index.eq(index + 1)
            with m.If(index == last):
                m.d.sync += clearing.eq(0)
        with m.Elif(pending):
            m.d.comb += [
                write.en.eq(1),
                write.addr.eq(pair),
                write.data.eq(read.data + delta),
            ]
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), index.eq(0)]
        return m

    def _count_saturations(self, m: Module, take: Signal) -> None:
        code = self.samples.payload["code"].as_signed()
        with m.If(take & ((code == 32767) | (code == -32768))):
            m.d.sync += self.saturations.eq(self.saturations + 1)
        with m.If(self.restart):
            m.d.sync += self.saturations.eq(0)
