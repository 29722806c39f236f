"""The event log: what is kept, in which order, and what is lost."""

from __future__ import annotations

from ohmloom.hw.isa import PulseStatus
from ohmloom.hw.link.log import EventLog
from ohmloom.hw.link.log_entry import Entry
from ohmloom.hw.link.protocol import Event, Reason, Trap

DEPTH = 8


class Reader:
    """The link's side: counts, and reads entries."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.written = self.lost = 0

    async def count(self, ctx):
        dut = self.dut
        while True:
            written, lost = ctx.get(dut.written), ctx.get(dut.lost)
            ctx.set(dut.count_written, written)
            ctx.set(dut.count_lost, lost)
            self.written += written
            self.lost += lost
            await ctx.tick()

    async def read(self, ctx, number):
        ctx.set(self.dut.address, 1 + number % DEPTH)
        await ctx.tick()
        return Entry.unpack(number, ctx.get(self.dut.data))


async def happen(ctx, dut, *events):
    """Events in one cycle, and what is known of them then."""
    known = {name: value for event in events for name, value in event[1].items()}
    for name, value in known.items():
        ctx.set(getattr(dut, name), value)
    ctx.set(dut.event, sum(1 << event - 1 for event, _ in events))
    await ctx.tick()
    ctx.set(dut.event, 0)
    for name in ("pc", "code"):  # valid with the strobe only
        ctx.set(getattr(dut, name), 0x5)


def test_events_of_one_cycle_are_all_kept_in_the_order_of_their_numbers(simulate):
    dut = EventLog(DEPTH, 256)
    reader = Reader(dut)

    async def testbench(ctx):
        ctx.set(dut.now, 0x1234_56AB)
        known = {"pc": 17, "code": Trap.RAN_OFF, "reason": Reason.WIDTH, "saturations": 0xFFFF}
        await happen(ctx, dut, (Event.STOP, known), (Event.TRAP, known), (Event.SATURATED, known))
        await happen(ctx, dut, (Event.DROPPED, {}))
        await ctx.tick().repeat(8)
        assert (reader.written, reader.lost) == (4, 0)
        happened = [
            (Event.STOP, Reason.WIDTH, 17),
            (Event.TRAP, Trap.RAN_OFF, 17),
            (Event.SATURATED, 0, 0xFFFF),
            (Event.DROPPED, 0, 0),
        ]
        found = [await reader.read(ctx, i) for i in range(4)]
        assert found == [Entry(i, 0x1234_5600, *what) for i, what in enumerate(happened)]
        assert str(found[0]) == (
            "cycle 305419776: the guard stopped at word 17: a pulse was longer than its limit"
        )

    simulate(dut, testbench, background=[reader.count])


def test_a_pulse_that_failed_keeps_its_outcome_and_address(simulate):
    dut = EventLog(DEPTH, 256)
    reader = Reader(dut)

    async def testbench(ctx):
        late = {"pc": 9, "code": PulseStatus.LATE}
        await happen(ctx, dut, (Event.CLEARED, {}), (Event.PULSE, late))
        await ctx.tick().repeat(2)
        await happen(ctx, dut, (Event.TRAP, {"pc": 10, "code": Trap.ENGINE}))
        await ctx.tick().repeat(4)
        found = [await reader.read(ctx, i) for i in range(3)]
        assert [(each.event, each.code, each.detail) for each in found] == [
            (Event.CLEARED, 0, 0),
            (Event.PULSE, PulseStatus.LATE, 9),
            (Event.TRAP, Trap.ENGINE, 10),
        ]

    simulate(dut, testbench, background=[reader.count])


def test_the_oldest_is_written_over_and_a_clash_is_counted(simulate):
    dut = EventLog(DEPTH, 256)
    reader = Reader(dut)

    async def testbench(ctx):
        for n in range(DEPTH + 3):
            await happen(ctx, dut, (Event.ENDED, {"pc": n}))
        await ctx.tick().repeat(4)
        # One of a kind in each cycle is no clash.
        assert (reader.written, reader.lost) == (DEPTH + 3, 0)
        details = [(await reader.read(ctx, i)).detail for i in range(DEPTH)]
        assert details == [8, 9, 10, 3, 4, 5, 6, 7]
        # The first of a kind waits behind another event: a second one meanwhile is lost.
        await happen(ctx, dut, (Event.STOP, {"pc": 100}), (Event.ENDED, {}))
        await happen(ctx, dut, (Event.ENDED, {"pc": 100}))
        await ctx.tick().repeat(4)
        assert (reader.written, reader.lost) == (DEPTH + 5, 1)
        assert (await reader.read(ctx, DEPTH + 4)).detail == 100

    simulate(dut, testbench, background=[reader.count])
