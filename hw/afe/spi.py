"""The serial clock that the converter and switch drivers share.

All parts on the card take data on the first edge after their select goes low
(CPHA = 0); they differ in the idle level of their clock. This block makes the
select and the clock and says when an edge is about to happen; each driver keeps
its own data registers.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Signal
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
    last : Out(1)
        The bit that is out is the last one.
    """

    def __init__(self, timing: SerialTiming, max_bits: int, idle_level: int) -> None:
        self.timing = timing
        self.idle_level = idle_level
        # Internal state, named for proofs.
        self.remaining = Signal(range(max_bits + 1))
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
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = self.timing
        wait = Signal(range(max(timing.half, timing.lead, timing.gap)))
        remaining = self.remaining
        m.d.comb += self.last.eq(remaining == 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.start):
                    m.d.sync += [
                        self.select.eq(1),
                        remaining.eq(self.bits),
                        wait.eq(timing.lead - 1),
                    ]
                    m.next = "BEFORE"
            with m.State("BEFORE"):
                with m.If(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Else():
                    m.d.comb += self.held.eq(self.last)
                    with m.If(~(self.last & self.hold)):
                        m.d.comb += self.active.eq(1)
                        m.d.sync += [
                            self.sclk.eq(1 - self.idle_level),
                            wait.eq(timing.half - 1),
                        ]
                        m.next = "AFTER"
            with m.State("AFTER"):
                with m.If(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Else():
                    m.d.comb += self.trailing.eq(1)
                    m.d.sync += [
                        self.sclk.eq(self.idle_level),
                        remaining.eq(remaining - 1),
                        wait.eq(timing.half - 1),
                    ]
                    with m.If(self.last):
                        m.next = "TAIL"
                    with m.Else():
                        m.next = "BEFORE"
            with m.State("TAIL"):
                with m.If(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Else():
                    m.d.comb += self.release.eq(1)
                    m.d.sync += self.select.eq(0)
                    if timing.gap > 1:
                        m.d.sync += wait.eq(timing.gap - 2)
                        m.next = "GAP"
                    else:
                        m.next = "IDLE"
            if timing.gap > 1:
                with m.State("GAP"):
                    with m.If(wait != 0):
                        m.d.sync += wait.eq(wait - 1)
                    with m.Else():
                        m.next = "IDLE"
        return m
