"""Counts what has happened and was not dealt with yet."""

from __future__ import annotations

from amaranth import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Tally(wiring.Component):
    """Up with one strobe, down with the other.

    Parameters
    ----------
    bits : int
        Its user knows that there are never more.

    Members
    -------
    up, down : In(1)
        Strobes.
    count, some : Out
        How many there are, and whether there are any.
    """

    def __init__(self, bits: int) -> None:
        super().__init__({"up": In(1), "down": In(1), "count": Out(bits), "some": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.up ^ self.down):
            m.d.sync += self.count.eq(self.count + Mux(self.up, 1, -1))
        m.d.comb += self.some.eq(self.count != 0)
        return m
