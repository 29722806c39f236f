"""The accumulators of a compact controller: a multiplier for the shift, no forwarding."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed

from .accumulator import Accumulator
from .ram import Ram


class PairAccumulator(Accumulator):
    """An accumulator whose two columns do not come one right after the other.

    Between a sample of column ``2k`` and one of ``2k+1`` is a cycle at least, so that a
    sum has been written before it is read again. Codes are weighed and added by a
    multiplier, such as a DSP block, that takes plus and minus powers of two.

    Clearing goes the way of samples: their weight is 0, and they are added to words of the
    upper half of the memory, which stay 0.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        width, last = geometry.acc_width, geometry.pairs - 1
        index_bits = last.bit_length()
        m.submodules.mem = mem = Ram(signed(width), 2 << index_bits)
        read, write = mem.read, mem.write
        take, pending, clearing = Signal(), Signal(), Signal()
        column = self.samples.payload["column"]
        self._count_saturations(m, take)

        # Reset-less, so that the multiplier's own register does for it.
        code = Signal(signed(16), reset_less=True)
        pair, minus = Signal(index_bits), Signal()
        shift = Signal(geometry.act_width.bit_length())
        weight = Signal(signed(geometry.act_width + 1))
        none = (1 << len(shift)) - 1  # an activation has fewer planes
        # One look-up table or two a bit, where a shifter has a row of them for each bit.
        bits = (Mux(minus, shift <= n, shift == n) for n in range(geometry.act_width))
        m.d.comb += [
            take.eq(self.samples.valid & self.enable),
            weight.eq(Cat(*bits, minus & (shift != none))),
            read.addr.eq(Cat(Mux(take, column >> 1, self.address)[:index_bits], zeros := Signal())),
            zeros.eq(self.clear | clearing),
            self.value.eq(read.data),
            write.addr.eq(pair),
            write.data.eq(read.data + code * weight),
            write.en.eq(pending | clearing),
            self.idle.eq(~pending & ~clearing & ~take),
        ]
        m.d.sync += [pending.eq(take), shift.eq(Mux(zeros, none, self.shift))]
        with m.If(take):
            m.d.sync += [
                code.eq(self.samples.payload["code"]),
                minus.eq(column[0] ^ self.negate),
                pair.eq(column >> 1),
            ]
        with m.If(clearing):
            m.d.sync += pair.eq(pair + 1)
            with m.If(pair == last):
                m.d.sync += clearing.eq(0)
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), pair.eq(0)]
        return m
