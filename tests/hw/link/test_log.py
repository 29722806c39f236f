"""The event log: what is kept, in which order, and what is lost."""

from __future__ import annotations

from ohmloom.hw.link.log import EventLog
from ohmloom.hw.link.log_entry import Entry
from ohmloom.hw.link.protocol import LOG_HEAD, Event, Reason, Trap

DEPTH = 8


async def read(ctx, dut, address):
    ctx.set(dut.address, address)
    await ctx.tick()
    return ctx.get(dut.data)


async def head(ctx, dut):
    return LOG_HEAD.unpack((await read(ctx, dut, 0)).to_bytes(8, "little"))


async def happen(ctx, dut, *events):
    """Events in one cycle: (event, code, detail)."""
    for event, code, detail in events:
        ctx.set(dut.noted[event - 1], {"code": code, "detail": detail})
    ctx.set(dut.event, sum(1 << event - 1 for event, _, _ in events))
    await ctx.tick()
    ctx.set(dut.event, 0)


def test_events_of_one_cycle_are_all_kept_in_the_order_of_their_numbers(simulate):
    dut = EventLog(DEPTH)

    async def testbench(ctx):
        ctx.set(dut.now, 0x1234_56AB)
        assert await head(ctx, dut) == (0, 0, DEPTH)
        happened = [
            (Event.STOP, Reason.WIDTH, 17),
            (Event.TRAP, Trap.RAN_OFF, 64),
            (Event.SATURATED, 0, 0xFFFF),
        ]
        await happen(ctx, dut, *happened)
        await ctx.tick().repeat(4)
        assert await head(ctx, dut) == (3, 0, DEPTH)
        found = [Entry.unpack(i, await read(ctx, dut, 1 + i)) for i in range(3)]
        assert found == [Entry(i, 0x1234_5600, *what) for i, what in enumerate(happened)]
        assert str(found[0]) == (
            "cycle 305419776: the guard stopped at word 17: a pulse was longer than its limit"
        )

    simulate(dut, testbench)


def test_the_oldest_is_written_over_and_a_clash_is_counted(simulate):
    dut = EventLog(DEPTH)

    async def testbench(ctx):
        for n in range(DEPTH + 3):
            await happen(ctx, dut, (Event.ENDED, 0, n))
        await ctx.tick().repeat(2)
        # One of a kind in each cycle is no clash.
        assert await head(ctx, dut) == (DEPTH + 3, 0, DEPTH)
        details = [Entry.unpack(0, await read(ctx, dut, 1 + i)).detail for i in range(DEPTH)]
        assert details == [8, 9, 10, 3, 4, 5, 6, 7]
        # The first of a kind waits behind another event: a second one meanwhile is lost.
        await happen(ctx, dut, (Event.STOP, 1, 0), (Event.ENDED, 0, 100))
        await happen(ctx, dut, (Event.ENDED, 0, 101))
        await ctx.tick().repeat(4)
        assert await head(ctx, dut) == (DEPTH + 5, 1, DEPTH)
        assert Entry.unpack(0, await read(ctx, dut, 1 + (DEPTH + 4) % DEPTH)).detail == 100

    simulate(dut, testbench)
