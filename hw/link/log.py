"""The event log: a ring of what happened, with the time; nothing ever waits for it."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..ram import Ram
from .log_entry import CODE_BITS, DETAIL_BITS
from .protocol import LOG_FIELDS, LOG_TIME_SHIFT, Event

LOST_BITS = 16
NOW_BITS = 64

Noted = data.StructLayout({"code": CODE_BITS, "detail": DETAIL_BITS})
"""What is kept of an event besides its kind and its time."""


class EventLog(wiring.Component):
    """Writes one event a cycle into a ring; of two of the same kind at once, one is lost.

    Parameters
    ----------
    depth : int
        Entries, a power of two.

    Members
    -------
    now : In(64)
        The time base.
    event : In(1) for each :class:`~ohmloom.hw.link.protocol.Event`
        Strobes, from the one with the lowest number up.
    noted : In, likewise
        Code and detail, valid with the strobe.
    address, data : In, Out(64)
        Word 0 is the head, the ring is behind it; data comes a cycle later.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "now": In(NOW_BITS),
                "event": In(len(Event)),
                "noted": In(Noted).array(len(Event)),
                "address": In(16),
                "data": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        widths = dict(LOG_FIELDS)
        m.submodules.ring = ring = Ram(64, self.depth)
        write, read = ring.write, ring.read
        written, lost = Signal(32), Signal(LOST_BITS)
        pending = Signal(len(Event))
        kept = [Signal(Noted, name=f"kept{i}") for i in range(len(Event))]
        head, of_head = Signal(64), Signal()

        chosen = Signal(len(Event))
        m.d.comb += chosen.eq(pending & (~pending + 1))
        code, detail, event = Signal(CODE_BITS), Signal(DETAIL_BITS), Signal(widths["event"])
        clash = Signal(len(Event))
        for i, kind in enumerate(Event):
            with m.If(chosen[i]):
                m.d.comb += [code.eq(kept[i].code), detail.eq(kept[i].detail), event.eq(kind)]
            with m.If(self.event[i] & (~pending[i] | chosen[i])):
                m.d.sync += kept[i].eq(self.noted[i])
        m.d.comb += [
            clash.eq(self.event & pending & ~chosen),
            write.addr.eq(written),
            write.data.eq(
                Cat(self.now[LOG_TIME_SHIFT : LOG_TIME_SHIFT + widths["time"]], event, code, detail)
            ),
            write.en.eq(pending != 0),
            read.addr.eq(self.address - 1),
        ]
        m.d.sync += [
            pending.eq(pending & ~chosen | self.event),
            written.eq(written + (pending != 0)),
            head.eq(Cat(written, lost, Const(self.depth, 16))),
            of_head.eq(self.address == 0),
        ]
        with m.If((clash != 0) & ~lost.all()):
            m.d.sync += lost.eq(lost + 1)
        with m.If(of_head):
            m.d.comb += self.data.eq(head)
        with m.Else():
            m.d.comb += self.data.eq(read.data)
        return m
