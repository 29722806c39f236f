"""The warden: what it lets through, cycle by cycle."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring

from ohmloom.hw.modes.engine import FIRST_LIMIT, LAST_LIMIT
from ohmloom.hw.modes.warden import Warden
from ohmloom.hw.timers import COUNT_BITS, Timers

from .conftest import GEOMETRY

GRANT = {
    "width": 9, "tile": 2, "once": 0, "source": 0,
}  # fmt: skip
LIMITS = {
    "gate_low": 0x8100, "gate_high": 0x9100, "gap_low": 0x8400, "gap_high": 0x8500,
    "rail_low": 0x7000, "rail_high": 0x9000, "limited": 1,
}  # fmt: skip
"""In the order in which the mode engine shows them."""
WEIGHED = 2 * len(LIMITS)
"""Cycles until limits that are shown all the time have been shown from first to last."""
STANDING = {"rail": 0x8800, "gate": 0x8200, "through": 0}


class Watched(wiring.Component):
    """A warden with its timer."""

    def __init__(self) -> None:
        self.warden = Warden(GEOMETRY)
        self.limits = Signal(data.ArrayLayout(16, len(LIMITS)))
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.warden = self.warden
        m.submodules.timers = timers = Timers([COUNT_BITS])
        wiring.connect(m, timers.channel[0], self.warden.timer)
        drive, last = self.warden.drive, Signal()
        m.d.comb += last.eq(drive.quarter >= LAST_LIMIT)
        m.d.sync += drive.quarter.eq(Mux(last, FIRST_LIMIT, drive.quarter + 1))
        m.d.comb += drive.limit.eq(self.limits[(drive.quarter - FIRST_LIMIT)[:3]])
        return m


async def grant(ctx, bench, **changes: int) -> None:
    """A grant with what stands, seen by the registers."""
    warden = bench.warden
    for n, (name, value) in enumerate(LIMITS.items()):
        ctx.set(bench.limits[n], changes.get(name, value))
    for name, value in (GRANT | changes).items():
        if name in GRANT:
            ctx.set(getattr(warden.drive, name), value)
    for name, value in (STANDING | changes).items():
        if name in STANDING:
            ctx.set(getattr(warden.standing, name), value)
    ctx.set(warden.core.tile, changes.get("core_tile", GRANT["tile"]))
    ctx.set(warden.core.source, changes.get("core_source", 0))
    await ctx.tick().repeat(WEIGHED)
    ctx.set(warden.drive.granted, changes.get("granted", 1))
    await ctx.tick()


async def request(ctx, warden, cycles: int) -> list[tuple[int, int]]:
    """Gate B and the request for the safe state, while gate B is asked for."""
    ctx.set(warden.core.gate_b, 1)
    seen = []
    for _ in range(cycles):
        seen.append((ctx.get(warden.fe.gate_b), ctx.get(warden.fe.safe)))
        await ctx.tick()
    ctx.set(warden.core.gate_b, 0)
    assert not ctx.get(warden.fe.gate_b) and not ctx.get(warden.fe.safe)
    await ctx.tick()
    return seen


OPEN, REFUSED = [(1, 0)], [(0, 1)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, OPEN),
        ({"granted": 0}, REFUSED),
        ({"core_tile": 3}, REFUSED),
        ({"rail": 0x9000}, OPEN),
        ({"rail": 0x9001}, REFUSED),
        ({"rail": 0x7000}, OPEN),
        ({"rail": 0x6FFF}, REFUSED),
        ({"gate": 0x8100}, OPEN),
        ({"gate": 0x80FF}, REFUSED),
        ({"gate": 0x9100}, OPEN),
        ({"gate": 0x9101}, REFUSED),
        ({"gate": 0x83FF}, OPEN),
        ({"gate": 0x8400}, REFUSED),
        ({"gate": 0x84FF}, REFUSED),
        ({"gate": 0x8500}, OPEN),
        ({"through": 1}, REFUSED),
        # Below 0 V the polarity is not limited.
        ({"rail": 0x7FFF, "through": 1, "gate": 0xFFFF}, OPEN),
        ({"rail": 0x7FFF, "through": 1, "limited": 3}, REFUSED),
        ({"rail": 0x8000, "through": 1, "limited": 2}, OPEN),
        # A current is no voltage.
        ({"core_source": 1}, REFUSED),
        ({"core_source": 1, "source": 1, "rail": 0xFFFF, "through": 1}, OPEN),
        ({"source": 1, "rail": 0xFFFF}, REFUSED),
    ],
)
def test_gate_b_opens_within_the_grant(simulate, changes, expected):
    bench = Watched()

    async def testbench(ctx):
        await grant(ctx, bench, **changes)
        assert await request(ctx, bench.warden, 1) == expected

    simulate(bench, testbench)


@pytest.mark.parametrize("width", [0, 1, 2, 9])
@pytest.mark.parametrize("asked", [1, 3, 12])
def test_an_opening_is_cut_at_its_cycle(simulate, width, asked):
    bench = Watched()

    async def testbench(ctx):
        await grant(ctx, bench, width=width)
        longest = width + 1
        expected = (OPEN * longest + REFUSED * asked)[:asked]
        for _ in range(3):
            assert await request(ctx, bench.warden, asked) == expected
            if asked > longest:  # what follows is the safe state's
                return

    simulate(bench, testbench)


@pytest.mark.parametrize(("once", "second"), [(0, OPEN * 2), (1, REFUSED * 2)])
def test_with_once_there_is_one_opening_a_grant(simulate, once, second):
    bench = Watched()

    async def testbench(ctx):
        warden = bench.warden
        for _ in range(2):
            await grant(ctx, bench, once=once)
            assert await request(ctx, warden, 2) == OPEN * 2
            assert await request(ctx, warden, 2) == second
            ctx.set(warden.drive.granted, 0)
            await ctx.tick()
            assert await request(ctx, warden, 1) == REFUSED

    simulate(bench, testbench)


@pytest.mark.parametrize("phase", range(len(LIMITS)))
def test_what_stands_is_weighed_when_all_limits_have_been_shown_since(simulate, phase):
    bench = Watched()

    async def testbench(ctx):
        warden = bench.warden
        for rail, expected in ((0x9001, REFUSED), (0x9000, OPEN)):
            await grant(ctx, bench)
            while ctx.get(warden.drive.quarter) != FIRST_LIMIT + phase:
                await ctx.tick()
            ctx.set(warden.standing.rail, rail)
            await ctx.tick().repeat(WEIGHED)
            assert await request(ctx, warden, 1) == expected

    simulate(bench, testbench)


def test_everything_else_passes(simulate):
    warden = Warden(GEOMETRY)
    bench = SimpleNamespace(core=warden.core, fe=warden.fe)

    async def testbench(ctx):
        for name in ("gate_a", "latch", "convert", "tile", "range", "safe"):
            for value in (1, 0):
                ctx.set(getattr(bench.core, name), value)
                assert ctx.get(getattr(bench.fe, name)) == value
        for name in ("ready", "loaded", "dac_idle", "adc_idle", "interlock", "active"):
            for value in (1, 0):
                ctx.set(getattr(bench.fe, name), value)
                assert ctx.get(getattr(bench.core, name)) == value
        ctx.set(bench.core.dac.payload.code, 0x1234)
        ctx.set(bench.core.dac.valid, 1)
        ctx.set(bench.fe.dac.ready, 1)
        assert ctx.get(bench.fe.dac.payload.code) == 0x1234
        assert ctx.get(bench.fe.dac.valid) and ctx.get(bench.core.dac.ready)
        ctx.set(bench.fe.samples.payload.code, 77)
        assert ctx.get(bench.core.samples.payload.code) == 77

    simulate(warden, testbench)
