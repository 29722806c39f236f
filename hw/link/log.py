"""The event log: a ring of what happened, with the time; nothing ever waits for it."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..ram import Ram
from .log_entry import CODE_BITS, DETAIL_BITS
from .protocol import LOG_FIELDS, LOG_TIME_SHIFT, Event
from .tally import Tally

NOW_BITS = 64
UNCOUNTED_BITS = 4
"""Of the entries, and of the events lost, that the link has not counted: more than happen
while it sends its longest reply."""
AT_A_WORD = (Event.STOP, Event.TRAP, Event.ENDED, Event.PULSE)
"""Events whose detail is a program address."""


class EventLog(wiring.Component):
    """Writes one event a cycle into a ring; of two of the same kind at once, one is lost.

    An entry is written in the cycle after its event, or behind those of lower number.

    Parameters
    ----------
    depth : int
        Entries, a power of two.
    program_depth : int
        Words of program memory; an address may be the one behind them.

    Members
    -------
    now : In(64)
        The time base.
    event : In(1) for each :class:`~ohmloom.hw.link.protocol.Event`
        Strobes, from the one with the lowest number up.
    pc, code : In
        Program address, and code of TRAP and PULSE: valid with the strobe. Events of one
        cycle share them.
    reason, saturations : In
        Code of STOP and detail of SATURATED: valid until they are written.
    address, data : In, Out(64)
        Entry ``n`` is at ``1 + n`` modulo the depth; data comes a cycle later.
    written, lost : Out(1)
        An entry, or an event that was lost, that has not been counted yet.
    count_written, count_lost : In(1)
        Strobes: one has been.
    """

    def __init__(self, depth: int, program_depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "now": In(NOW_BITS),
                "event": In(len(Event)),
                "pc": In(min(program_depth.bit_length(), DETAIL_BITS)),
                "code": In(CODE_BITS),
                "reason": In(CODE_BITS),
                "saturations": In(DETAIL_BITS),
                "address": In(16),
                "data": Out(64),
                "written": Out(1),
                "lost": Out(1),
                "count_written": In(1),
                "count_lost": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        widths = dict(LOG_FIELDS)
        m.submodules.ring = ring = Ram(64, self.depth)
        m.submodules.entries = entries = Tally(UNCOUNTED_BITS)
        m.submodules.losses = losses = Tally(UNCOUNTED_BITS)
        write, read = ring.write, ring.read
        place = Signal(range(self.depth), init=1)
        pending, chosen = Signal(len(Event)), Signal(len(Event))
        kept_pc, kept_code = Signal.like(self.pc), Signal(CODE_BITS)
        code, detail, event = Signal(CODE_BITS), Signal(DETAIL_BITS), Signal(widths["event"])

        with m.If(Cat(self.event[kind - 1] for kind in AT_A_WORD).any()):
            m.d.sync += [kept_pc.eq(self.pc), kept_code.eq(self.code)]
        codes = {Event.STOP: self.reason, Event.TRAP: kept_code, Event.PULSE: kept_code}
        m.d.comb += chosen.eq(pending & (~pending + 1))
        for i, kind in enumerate(Event):
            with m.If(chosen[i]):
                m.d.comb += [event.eq(kind), code.eq(codes.get(kind, 0))]
                if kind in AT_A_WORD:
                    m.d.comb += detail.eq(kept_pc)
                elif kind is Event.SATURATED:
                    m.d.comb += detail.eq(self.saturations)
        some = Signal()
        m.d.comb += [
            some.eq(pending != 0),
            write.addr.eq(place),
            write.data.eq(
                Cat(self.now[LOG_TIME_SHIFT : LOG_TIME_SHIFT + widths["time"]], event, code, detail)
            ),
            write.en.eq(some),
            read.addr.eq(self.address),
            self.data.eq(read.data),
            entries.up.eq(some),
            entries.down.eq(self.count_written),
            losses.up.eq((self.event & pending & ~chosen) != 0),
            losses.down.eq(self.count_lost),
            self.written.eq(entries.some),
            self.lost.eq(losses.some),
        ]
        m.d.sync += [pending.eq(pending & ~chosen | self.event), place.eq(place + some)]
        return m
