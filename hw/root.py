# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""Integer square root, rounded down, a bit a cycle."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Root(wiring.Component):
    """The largest integer whose square is not above ``square``.

    Parameters
    ----------
    bits : int
        Of the root; the square has twice as many.

    Members
    -------
    start, square : In
        Strobe with the square.
    done : Out(1)
        Strobe, ``bits + 1`` cycles later: ``root`` is there, until the next ``start``.
    root : Out(bits)
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__(
            {"start": In(1), "square": In(2 * bits), "done": Out(1), "root": Out(bits)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.bits
        square = Signal(2 * bits)
        rest = Signal(bits + 1)
        left = Signal(range(bits + 1))
        # What is left of the square less twice the root and one, two more bits of each.
        less = Signal(bits + 4)
        m.d.comb += less.eq(Cat(square[-2:], rest) - Cat(Const(1, 2), self.root))
        with m.If(self.start):
            m.d.sync += [square.eq(self.square), rest.eq(0), self.root.eq(0), left.eq(bits)]
        with m.Elif(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                square.eq(square << 2),
                self.root.eq(Cat(~less[-1], self.root)),
                rest.eq(Mux(less[-1], Cat(square[-2:], rest), less)),
            ]
        m.d.sync += self.done.eq((left == 1) & ~self.start)
        return m
