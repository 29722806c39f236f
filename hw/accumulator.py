"""Shift-and-add: differential ADC codes of a plane into one accumulator per pair."""

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

    Members
    -------
    samples : In(stream)
        Always ready.
    enable : In(1)
        Samples count; otherwise they pass unseen (single reads).
    shift, negate : In
        Weight of the samples, stable until the last one is in.
    clear : In(1)
        Strobe: zero all accumulators, which takes ``pairs`` cycles.
    address, value : In, Out
        Read port of the requantiser, one cycle of latency, while ``idle``.
    saturations : Out(32)
        Codes at either rail since ``restart``.
    idle : Out(1)
        Nothing is in the pipeline.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(
            {
                "samples": In(stream.Signature(sample_layout(), always_ready=True)),
                "enable": In(1),
                "shift": In(5),
                "negate": In(1),
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
        width = self.geometry.acc_width
        m.submodules.mem = mem = Ram(signed(width), self.geometry.pairs, transparent=True)
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
        index = Signal(range(self.geometry.pairs))

        m.d.sync += pending.eq(take)
        with m.If(take):
            m.d.sync += [
                pair.eq(column >> 1),
                delta.eq(Mux(column[0] ^ self.negate, -code, code) << self.shift),
            ]

        m.d.comb += [
            read.addr.eq(Mux(take, column >> 1, self.address)),
            read.en.eq(1),
            self.value.eq(read.data),
            self.idle.eq(~pending & ~clearing & ~take),
        ]
        with m.If(clearing):
            m.d.comb += [write.en.eq(1), write.addr.eq(index), write.data.eq(0)]
            m.d.sync += index.eq(index + 1)
            with m.If(index == self.geometry.pairs - 1):
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
