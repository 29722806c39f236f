"""The warden: between the engines and the guard, gate B opens only as its grant says.

The guard knows what the front end may be asked; the warden what the cells may. All
comparisons are registered, and gate B takes one look-up table more: the guard opens no
gate before codes have stood for :data:`WEIGHING_CYCLES`, lines and tile for two cycles, and
a grant's limits do not change while it lasts. They are shown one after the other, so that
one comparison does for all of them.

Of the current source a code is a current and not a voltage: a mode that has it limits
only the width.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..afe.interface import FrontEndSignature, TimerChannel
from ..geometry import Geometry
from ..guard import StandingSignature
from ..isa import LIMIT_NEGATIVE, LIMIT_POSITIVE
from .engine import FIRST_LIMIT, LAST_LIMIT, SHOWN_CYCLES, DriveSignature

assert (LIMIT_POSITIVE, LIMIT_NEGATIVE) == (1, 2)
WEIGHING_CYCLES = SHOWN_CYCLES + 2
"""From a code's change until all limits have been shown since, and it has been weighed."""


class Warden(wiring.Component):
    """Lets gate B open within the limits of the granted tile's mode.

    Members
    -------
    core : In(FrontEndSignature)
        The engines, behind their multiplexer.
    fe : Out(FrontEndSignature)
        The guard. All passes but ``gate_b``; one that is not permitted asks for the safe
        state.
    drive : In(DriveSignature)
        The grant.
    standing : In(StandingSignature)
        What the guard has let through.
    timer : Out(TimerChannel)
        Ends an opening.
    """

    def __init__(self, geometry: Geometry) -> None:
        # Internal state, named for proofs.
        self.in_range, self.in_gap, self.in_rails = Signal(), Signal(), Signal()
        self.rail_fits, self.gate_fits, self.limited = Signal(), Signal(), Signal()
        self.is_tile = Signal()
        self.sourced, self.brief = Signal(), Signal()
        self.allowed, self.blocked, self.was_open = Signal(), Signal(), Signal()
        super().__init__(
            {
                "core": In(FrontEndSignature(geometry)),
                "fe": Out(FrontEndSignature(geometry)),
                "drive": In(DriveSignature()),
                "standing": In(StandingSignature()),
                "timer": Out(TimerChannel()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        core, fe, drive = self.core, self.fe, self.drive
        for (path, member, inner), (_, _, outer) in zip(
            core.signature.flatten(core), fe.signature.flatten(fe), strict=True
        ):
            if path not in (("gate_b",), ("safe",)) and not isinstance(inner, Const):
                # As the interface's member says: the core's requests are inputs here.
                m.d.comb += inner.eq(outer) if member.flow is Out else outer.eq(inner)

        self._compare(m)
        m.d.comb += [
            fe.gate_b.eq(self._passes()),
            fe.safe.eq(core.safe | (core.gate_b & ~fe.gate_b)),
        ]
        m.d.sync += self.was_open.eq(fe.gate_b)

        # An opening ends after ``width`` + 1 cycles; with ``once`` it was the last one.
        brief = self.brief
        opens = fe.gate_b & ~self.was_open
        m.d.sync += brief.eq(drive.width == 0)
        m.d.comb += [
            self.timer.start.eq(opens),
            self.timer.stop.eq(~fe.gate_b & self.was_open),
            self.timer.cycles.eq(drive.width),
        ]
        over = Mux(self.was_open, self.timer.done, brief)
        with m.If(~drive.granted):
            m.d.sync += self.blocked.eq(0)
        with m.Elif(core.gate_b):
            m.d.sync += self.blocked.eq(self.blocked | over)
        with m.Else():
            m.d.sync += self.blocked.eq(drive.once & (self.blocked | self.was_open))
        return m

    def _passes(self) -> Value:
        """One look-up table: all but the request are registers."""
        return self.core.gate_b & self.allowed & self.drive.granted & ~self.blocked

    def _compare(self, m: Module) -> None:
        """What stands against the limits, in two registered steps."""
        drive, standing, limit = self.drive, self.standing, self.drive.limit
        low, high, gap_low, gap_high, rail_low, rail_high, limited = range(
            FIRST_LIMIT, LAST_LIMIT + 1
        )
        assert rail_low == 8
        code = Mux(drive.quarter[-1], standing.rail, standing.gate)
        below, equal = Signal(), Signal()
        m.d.comb += [below.eq(code < limit), equal.eq(code == limit)]
        with m.Switch(drive.quarter):
            with m.Case(low):
                m.d.sync += self.in_range.eq(~below)
            with m.Case(high), m.If(~(below | equal)):
                m.d.sync += self.in_range.eq(0)
            with m.Case(gap_low):
                m.d.sync += self.in_gap.eq(~below)
            with m.Case(gap_high), m.If(~below):
                m.d.sync += self.in_gap.eq(0)
            with m.Case(rail_low):
                m.d.sync += self.in_rails.eq(~below)
            with m.Case(rail_high), m.If(~(below | equal)):
                m.d.sync += self.in_rails.eq(0)
            with m.Case(limited):
                m.d.sync += [
                    self.rail_fits.eq(self.in_rails),
                    self.gate_fits.eq(self.in_range & ~self.in_gap),
                    self.limited.eq(Mux(standing.rail[-1], limit[0], limit[1])),
                ]
        fits = self.rail_fits & (~self.limited | (self.gate_fits & ~standing.through))
        m.d.sync += [
            self.is_tile.eq(self.core.tile == drive.tile),
            self.sourced.eq(self.core.source),
            self.allowed.eq(self.is_tile & Mux(self.sourced, drive.source, fits)),
        ]
