"""Automatic TIA range of single reads: the rule of :mod:`ohmloom.hw.ranges` as a block."""

from __future__ import annotations

from functools import reduce
from operator import add

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .ranges import JUMPS, RANGE_BITS
from .readout import CODE_BITS


class AutoRange(wiring.Component):
    """Says in which range a cell is read, and whether once more.

    A cell begins with ``restart``. After each mean, ``take`` brings it in; the verdict is
    there two cycles later, with ``again`` and ``moved`` stable until the next ``take``.
    A read ends when ``again`` is low.

    Parameters
    ----------
    ranges : int
        Ranges of the front end; 1: there is nothing to choose.

    Members
    -------
    enable : In(1)
        Choose; otherwise ``range`` is ``base``. Stable during a read.
    base : In(3)
        The range of the register.
    restart, take : In(1)
        Strobes: a cell begins; ``code`` and ``railed`` are the mean of a read of it.
    code, railed : In(16), In(1)
        Mean, and whether any of its conversions was at a rail.
    range : Out(3)
        The range to read in.
    probe : Out(1)
        The next mean is that of one conversion.
    again, moved : Out(1)
        Another mean is needed; the range is another one and has to settle.

    Raises
    ------
    ValueError
        If the range pins do not reach so many ranges.
    """

    def __init__(self, ranges: int) -> None:
        if not 1 <= ranges <= 1 << RANGE_BITS:
            raise ValueError(f"{ranges} TIA ranges, accepted are 1 to {1 << RANGE_BITS}")
        self.last = ranges - 1
        super().__init__(
            {
                "enable": In(1),
                "base": In(RANGE_BITS),
                "restart": In(1),
                "take": In(1),
                "code": In(signed(CODE_BITS)),
                "railed": In(1),
                "range": Out(RANGE_BITS),
                "probe": Out(1),
                "again": Out(1),
                "moved": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        present = Signal(RANGE_BITS)
        probing, fixed = Signal(), Signal()
        hops = Signal(range(len(JUMPS) + 1))
        railed, taken = Signal(), Signal()
        within = [(self.code >= -most) & (self.code <= most) for most in JUMPS]
        m.d.comb += [
            self.range.eq(Mux(self.enable, present, self.base)),
            self.probe.eq(probing),
        ]
        m.d.sync += [
            taken.eq(self.take),
            hops.eq(reduce(add, within)),
            railed.eq(self.railed),
        ]
        with m.If(self.restart):
            m.d.sync += [present.eq(0), probing.eq(self.enable), fixed.eq(0)]
        following = present + hops
        with m.If(taken):
            m.d.sync += [self.again.eq(probing), self.moved.eq(0), probing.eq(0)]
            # With one range there is no more to it.
            if self.last:
                with m.If(self.enable & railed & (present != 0) & ~fixed):
                    # One range too far: this is the last change.
                    m.d.sync += [
                        present.eq(present - 1),
                        fixed.eq(1),
                        self.again.eq(1),
                        self.moved.eq(1),
                    ]
                with m.Elif(probing & (hops != 0) & (present != self.last)):
                    m.d.sync += [
                        present.eq(Mux(following > self.last, self.last, following)),
                        probing.eq(1),
                        self.moved.eq(1),
                    ]
        return m
