"""The serial clock that the converter and switch drivers share.

All parts on the card take data on the first edge after their select goes low
(CPHA = 0); they differ in the idle level of their clock. This block makes the
select and the clock and says when an edge is about to happen; each driver keeps
its own data registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import cycles_from_ps, half_period_cycles


@dataclass(frozen=True)
class SerialTiming:
    """Clock cycles of the phases of a frame, each at least 1.

    Attributes
    ----------
    half:
        Half a period of the serial clock.
    lead:
        Select going low to the first edge.
    gap:
        Select high between two frames.
    """

    half: int
    lead: int
    gap: int

    @classmethod
    def of_part(
        cls, clk_hz: int, sclk_max_hz: int, half_ps: int, lead_ps: int, gap_ps: int
    ) -> SerialTiming:
        """The fastest timing that keeps a part's limits at the clock that is there.

        Parameters
        ----------
        clk_hz : int
            Controller clock.
        sclk_max_hz : int
            Highest serial clock.
        half_ps, lead_ps, gap_ps : int
            Shortest half period, select-to-edge and select-high times.
        """
        return cls(
            half=max(half_period_cycles(sclk_max_hz, clk_hz), cycles_from_ps(half_ps, clk_hz)),
            lead=max(1, cycles_from_ps(lead_ps, clk_hz)),
            gap=max(1, cycles_from_ps(gap_ps, clk_hz)),
        )

    def frame_cycles(self, bits: int) -> int:
        """Cycles from the start of a frame to the earliest start of the next one."""
        return self.lead + 2 * self.half * bits + self.gap

    def edge_cycle(self, bit: int) -> int:
        """Cycle, counted from the start, in which ``active`` is high for ``bit`` (from 0)."""
        return self.lead + 2 * self.half * bit


def constant_bit(words: Sequence[int], index: Value, place: Value) -> Value:
    """Bit ``place`` of word ``index``: constant frames take tables this way, not registers."""
    size = 1 << len(place)
    whole = sum(word << size * i for i, word in enumerate(words))
    return Value.cast(Const(whole, size << len(index)).bit_select(Cat(place, index), 1))


class SerialClock(wiring.Component):
    """Makes select and clock of one frame.

    Parameters
    ----------
    timing : SerialTiming
        Phases of a frame.
    max_bits : int
        Longest frame.
    idle_level : int
        Level of ``sclk`` between frames (CPOL).

    Members
    -------
    start, bits : In
        Strobe, taken while ``idle``, and the number of bits (1 to ``max_bits``).
    hold : In(1)
        The last active edge waits while this is high.
    idle : Out(1)
        A frame can start.
    held : Out(1)
        The last active edge is due: it comes at the end of this cycle unless ``hold``.
    select : Out(1)
        High during a frame (the parts' select pins are its inverse).
    release : Out(1)
        Strobe in the cycle before ``select`` goes low.
    sclk : Out(1)
        Serial clock.
    active, trailing : Out(1)
        Strobes in the cycle before the edge at which the part takes data, and before the
        edge at which the next bit is put out.
    left : Out
        Bits after the one that is out.
    last : Out(1)
        The bit that is out is the last one.
    """

    def __init__(self, timing: SerialTiming, max_bits: int, idle_level: int) -> None:
        self.timing = timing
        self.max_bits = max_bits
        self.idle_level = idle_level
        # Internal state, named for proofs and for what is done bit by bit.
        self.wait = Signal(range(max(timing.half, timing.lead, timing.gap)))
        self.high = Signal()
        self.ended = Signal()
        super().__init__(
            {
                "start": In(1),
                "bits": In(range(max_bits + 1)),
                "hold": In(1),
                "idle": Out(1),
                "held": Out(1),
                "select": Out(1),
                "release": Out(1),
                "sclk": Out(1, init=idle_level),
                "active": Out(1),
                "trailing": Out(1),
                "left": Out(range(max_bits)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing, wait, high, ended = self.timing, self.wait, self.high, self.ended
        due, begin = Signal(), Signal()
        # The pins and what is still to wait are all the state there is: select low is idle
        # or the gap, high with the clock at rest is before an edge or, ended, after the last.
        m.d.comb += [
            due.eq(wait == 0),
            high.eq(self.sclk ^ self.idle_level),
            self.last.eq(self.left == 0),
            self.idle.eq(~self.select & due),
            begin.eq(self.idle & self.start),
            self.held.eq(self.select & ~high & ~ended & due & self.last),
            self.active.eq(self.select & ~high & ~ended & due & ~(self.last & self.hold)),
            self.trailing.eq(high & due),
            self.release.eq(ended & due),
        ]
        with m.If(~due):
            m.d.sync += wait.eq(wait - 1)
        with m.If(self.active):
            m.d.sync += [self.sclk.eq(1 - self.idle_level), wait.eq(timing.half - 1)]
        with m.If(self.trailing):
            m.d.sync += [
                self.sclk.eq(self.idle_level),
                self.left.eq(self.left - 1),
                ended.eq(self.last),
                wait.eq(timing.half - 1),
            ]
        with m.If(self.release):
            m.d.sync += [self.select.eq(0), ended.eq(0), wait.eq(timing.gap - 1)]
        with m.If(self.idle):
            m.d.sync += self.left.eq(self.bits - 1)
        with m.If(begin):
            m.d.sync += [self.select.eq(1), wait.eq(timing.lead - 1)]
        return m
