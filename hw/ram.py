# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""A memory as the FPGA's block RAMs have it: one clock, one port to write, one to read."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Mux, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In


class Ram(wiring.Component):
    """Words of a shape, written at an edge, read with one cycle of latency.

    What is read where a word is written at the same edge is undefined, as in a real block
    RAM: any other rule takes a comparison and registers as wide as the word. Simulations
    and proofs read the complement of the old word there, so that a design that relies on
    it fails; synthesis leaves it open (``ohmloom.boards.build``).

    Parameters
    ----------
    shape, depth, init:
        Shape of a word, number of words, and the first of them (the rest are zeros).
    transparent:
        Such a read gives the new word instead. Costs that comparison.

    Members
    -------
    read : In
        ``addr``, ``en`` (init 1; without it ``data`` stays) and ``data``.
    write : In
        ``addr``, ``data`` and ``en``.
    """

    def __init__(
        self,
        shape: ShapeLike,
        depth: int,
        init: Sequence[int] = (),
        *,
        transparent: bool = False,
    ) -> None:
        self.memory = memory.Memory(shape=shape, depth=depth, init=init)
        self.transparent = transparent
        bits = (depth - 1).bit_length()
        super().__init__(
            {
                "read": In(memory.ReadPort.Signature(addr_width=bits, shape=shape)),
                "write": In(memory.WritePort.Signature(addr_width=bits, shape=shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = self.memory
        write = self.memory.write_port()
        read = self.memory.read_port(transparent_for=(write,) if self.transparent else ())
        m.d.comb += [
            write.addr.eq(self.write.addr),
            write.data.eq(self.write.data),
            write.en.eq(self.write.en),
            read.addr.eq(self.read.addr),
            read.en.eq(self.read.en),
            self.read.data.eq(read.data),
        ]
        if platform is None and not self.transparent:
            undefined = Signal()
            with m.If(read.en):
                m.d.sync += undefined.eq(write.en & (write.addr == read.addr))
            m.d.comb += self.read.data.eq(Mux(undefined, ~read.data, read.data))
        return m
