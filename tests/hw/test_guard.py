"""The guard: what it lets through, what it refuses, and how the safe state comes and goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from amaranth import Elaboratable, Module
from amaranth.lib import wiring

from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.interface import Ceilings, FrontEndTiming, SwitchGroup
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.guard import CeilingError, Guard, ceiling_values
from ohmloom.hw.isa import Dac, Op, Reg, encode, instruction, pack_level
from ohmloom.hw.link.coroutine import AsyncLinkClient
from ohmloom.hw.link.exchange import GuardStopped, LinkRefused
from ohmloom.hw.link.protocol import GuardState, Limit, Reason, Space
from ohmloom.hw.timers import COUNT_BITS, Timers
from ohmloom.sim.cosim.bench import Bench

CLK_HZ = 1_000_000_000
ZERO = 0x8000
GEOMETRY = Geometry(rows=8, columns=8)
TIMING = FrontEndTiming(settle_ps=6000, dac_settle_ps=20_000, switch_ps=5000, pulse_min_ps=2000)
DAC, SWITCH = 20, 5
CEILINGS = Ceilings(
    low=(ZERO - 100, ZERO - 1000, ZERO, ZERO),
    high=(ZERO + 100, ZERO + 900, ZERO + 500, ZERO + 500),
    read=80,
    sense=300,
    width_ps=5_000_000,
    budget_ps=9_000_000,
    duty=1,
    energy_ps=10**12,
    watchdog_ps=40_000_000,
    zero_code=ZERO,
)


class GuardBench(Elaboratable):
    """A guard, the timer service, and a front end that takes everything at once."""

    def __init__(
        self,
        ceilings: Ceilings = CEILINGS,
        timing: FrontEndTiming = TIMING,
        geometry: Geometry = GEOMETRY,
    ) -> None:
        self.guard = Guard(geometry, timing, ceilings, CLK_HZ, energy_shift=0)
        self.timers = Timers([COUNT_BITS] * 2)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.guard, m.submodules.timers = guard, timers = self.guard, self.timers
        wiring.connect(m, timers.channel[0], guard.timer)
        m.d.comb += [guard.skipped.eq(timers.skipped), timers.quiet.eq(1)]
        return m


class Driver:
    """What an engine and a host do to the guard."""

    def __init__(self, ctx, bench: GuardBench) -> None:
        self.ctx, self.bench, self.guard = ctx, bench, bench.guard
        self.core, self.afe, self.host = bench.guard.core, bench.guard.afe, bench.guard.host

    async def start(self) -> None:
        """The front end becomes ready, the host is heard, everything settles."""
        ctx, afe = self.ctx, self.afe
        for signal in (afe.ready, afe.dac.ready, afe.dac_idle, afe.switch.ready, afe.loaded):
            ctx.set(signal, 1)
        await self.hear()
        await ctx.tick().repeat(DAC + 2)

    async def hear(self) -> None:
        self.ctx.set(self.host.heard, 1)
        await self.ctx.tick()
        self.ctx.set(self.host.heard, 0)

    async def dac(self, channel: Dac, code: int) -> int:
        """Ask until it is taken or refused; cycles until then."""
        ctx, dac = self.ctx, self.core.dac
        ctx.set(dac.payload.channel, channel)
        ctx.set(dac.payload.code, code)
        ctx.set(dac.valid, 1)
        waited = 0
        while not ctx.get(dac.ready):
            assert not ctx.get(self.afe.dac.valid) and waited < 10
            await ctx.tick()
            waited += 1
        await ctx.tick()
        ctx.set(dac.valid, 0)
        return waited

    async def switch(self, group: SwitchGroup, a: int, b: int) -> None:
        ctx, switch = self.ctx, self.core.switch
        ctx.set(switch.payload.group, group)
        ctx.set(switch.payload.a, a)
        ctx.set(switch.payload.b, b)
        ctx.set(switch.valid, 1)
        await ctx.tick()
        ctx.set(switch.valid, 0)
        ctx.set(self.core.latch, 1)
        await ctx.tick()
        ctx.set(self.core.latch, 0)

    def health(self) -> tuple[GuardState, Reason, list[int]]:
        word = self.ctx.get(self.host.health)
        counters = [word >> 16 + 8 * i & 0xFF for i in range(4)]
        return GuardState(word & 0xFF), Reason(word >> 8 & 0xFF), counters

    async def pulse(self) -> int:
        """Ask for gate B until the guard closes it; cycles that it was open."""
        ctx, timers = self.ctx, self.bench.timers
        ctx.set(self.core.gate_b, 1)
        begun = ctx.get(timers.now)
        for _ in range(200_000):
            if not ctx.get(self.afe.gate_b):
                break
            await ctx.tick()
        width = ctx.get(timers.now) - begun
        await ctx.tick()
        ctx.set(self.core.gate_b, 0)
        return width


SOURCED = replace(TIMING, source_ps=30_000)
SOURCE = 30


def test_the_source_drives_longer_than_the_rail_may_and_only_that(simulate):
    bench = GuardBench(timing=SOURCED)

    async def test(ctx):
        driver = Driver(ctx, bench)
        ctx.set(bench.timers.jump, 1)
        await driver.start()
        await energetic(driver)
        for source_range in (2, 3):
            ctx.set(driver.core.source, 1)
            ctx.set(driver.core.source_range, source_range)
            await ctx.tick().repeat(SOURCE + 1)
            assert ctx.get(driver.afe.source) and ctx.get(driver.afe.source_range) == source_range
            ctx.set(driver.core.gate_b, 1)
            begun = ctx.get(bench.timers.now)
            while ctx.get(bench.timers.now) - begun < 30_000:
                ctx.set(driver.host.heard, 1)
                assert ctx.get(driver.afe.gate_b)
                await ctx.tick()
            ctx.set(driver.host.heard, 0)
            ctx.set(driver.core.gate_b, 0)
            await ctx.tick().repeat(3)
        ctx.set(driver.core.source, 0)
        await ctx.tick().repeat(SOURCE + 1)
        # Nothing of the rail's limits was used up, and all of them are there again.
        assert await driver.pulse() == min(5000, 10**9 // 400_000)
        assert driver.health()[:2] == (GuardState.SAFE, Reason.ENERGY)

    simulate(bench, test)


@pytest.mark.parametrize(
    ("timing", "geometry", "lasts"),
    [(SOURCED, GEOMETRY, 40_000), (TIMING, GEOMETRY, 5000),
     (SOURCED, replace(GEOMETRY, power=False), 5000)],
    ids=["watchdog", "front end without", "controller without"],
)  # fmt: skip
def test_a_source_that_is_not_there_frees_nothing(simulate, timing, geometry, lasts):
    """With one, the watchdog is what is left."""
    bench = GuardBench(timing=timing, geometry=geometry)

    async def test(ctx):
        driver = Driver(ctx, bench)
        ctx.set(bench.timers.jump, 1)
        await driver.start()
        ctx.set(driver.core.source, 1)
        await ctx.tick().repeat(SOURCE)
        await driver.hear()
        assert lasts - 2 <= await driver.pulse() <= lasts
        reason = Reason.LINK_LOST if lasts == 40_000 else Reason.WIDTH
        assert driver.health()[:2] == (GuardState.SAFE, reason)
        assert ctx.get(driver.afe.source) == (lasts == 40_000)

    simulate(bench, test)


@pytest.mark.parametrize(("waits", "opens"), [(SOURCE - 1, False), (SOURCE, True)])
@pytest.mark.parametrize("moves", ["source", "source_range"])
def test_the_line_has_settled_on_the_source_before_the_gate_opens(simulate, moves, waits, opens):
    bench = GuardBench(timing=SOURCED)

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        ctx.set(getattr(driver.core, moves), 1)
        await ctx.tick().repeat(1 + waits)
        ctx.set(driver.core.gate_b, 1)
        await ctx.tick()
        wanted = (GuardState.OPEN, Reason.NONE) if opens else (GuardState.SAFE, Reason.UNSETTLED)
        assert driver.health()[:2] == wanted

    simulate(bench, test)


@pytest.mark.parametrize("moves", ["source", "source_range"])
def test_the_source_does_not_move_under_an_open_gate(simulate, moves):
    bench = GuardBench(timing=SOURCED)

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        ctx.set(driver.core.gate_b, 1)
        await ctx.tick().repeat(5)
        assert ctx.get(driver.afe.gate_b)
        ctx.set(getattr(driver.core, moves), 1)
        assert not ctx.get(driver.afe.gate_b)
        await ctx.tick()
        assert driver.health()[:2] == (GuardState.SAFE, Reason.MOVED)

    simulate(bench, test)


async def energetic(driver: Driver) -> None:
    await driver.dac(Dac.RAIL_B, ZERO - 1000)
    await driver.dac(Dac.GATE_PROGRAM, ZERO + 200)
    await driver.dac(Dac.GATE_ON, ZERO + 400)
    await driver.switch(SwitchGroup.GATES, 1, 2)
    await driver.ctx.tick().repeat(DAC + 1)


async def exhausted(driver: Driver) -> None:
    """Two pulses of 4000 cycles, 10 cycles apart."""
    jump = driver.ctx.get(driver.bench.timers.jump)
    driver.ctx.set(driver.bench.timers.jump, 0)
    for _ in range(2):
        driver.ctx.set(driver.core.gate_b, 1)
        await driver.ctx.tick().repeat(4000)
        driver.ctx.set(driver.core.gate_b, 0)
        await driver.ctx.tick().repeat(10)
    driver.ctx.set(driver.bench.timers.jump, jump)


async def silent(driver: Driver) -> None:
    await driver.ctx.tick().repeat(1500 - DAC - 3)


@pytest.mark.parametrize("jump", [0, 1])
@pytest.mark.parametrize(
    ("ceilings", "before", "width", "reason"),
    [
        (CEILINGS, None, 5000, Reason.WIDTH),
        # 1000 codes x 400 codes, the higher of the two gate voltages.
        (replace(CEILINGS, energy_ps=400_000 * 1234 * 1000), energetic, 1234, Reason.ENERGY),
        (replace(CEILINGS, energy_ps=400_000 * 1235 * 1000 - 1000), energetic, 1234, Reason.ENERGY),
        # 9000 cycles, and half a cycle more for each since; 2 x 4000 are used.
        (CEILINGS, exhausted, 2 * (9000 - 8000 + 4010) - 1, Reason.DUTY),
        (replace(CEILINGS, watchdog_ps=2_000_000), silent, 500, Reason.LINK_LOST),
    ],
    ids=["width", "energy", "energy-less-one", "duty", "watchdog"],
)
def test_a_pulse_ends_at_the_limit_to_the_cycle(simulate, ceilings, before, width, reason, jump):
    bench = GuardBench(replace(ceilings, width_ps=10**8) if before is exhausted else ceilings)

    async def test(ctx):
        driver = Driver(ctx, bench)
        ctx.set(bench.timers.jump, jump)
        await driver.start()
        if before is not None:
            await before(driver)
        assert await driver.pulse() == width
        assert driver.health()[:2] == (GuardState.SAFE, reason)
        assert (ctx.get(bench.timers.skipped) > 0) is bool(jump)

    simulate(bench, test)


def test_pulses_within_the_limits_are_not_touched(simulate):
    bench = GuardBench()

    async def test(ctx):
        driver = Driver(ctx, bench)
        ctx.set(bench.timers.jump, 1)
        await driver.start()
        await driver.dac(Dac.RAIL_B, ZERO + 900)
        await ctx.tick().repeat(DAC + 1)
        for width in (1, 2, 5000, 40):
            ctx.set(driver.core.gate_b, 1)
            begun = ctx.get(bench.timers.now)
            while ctx.get(bench.timers.now) - begun < width:
                assert ctx.get(driver.afe.gate_b)
                await ctx.tick()
            ctx.set(driver.core.gate_b, 0)
            # Nothing is left in the timer service that would let the idle time jump.
            await ctx.tick().repeat(3)
            assert not ctx.get(bench.guard.timer.busy)
        assert driver.health() == (GuardState.OPEN, Reason.NONE, [0] * 4)

    simulate(bench, test)


async def code_above(d: Driver) -> None:
    await d.dac(Dac.RAIL_B, ZERO + 901)


async def code_below(d: Driver) -> None:
    await d.dac(Dac.GATE_ON, ZERO - 1)


async def two_ways(d: Driver) -> None:
    await d.switch(SwitchGroup.ROWS, 3, 6)


async def both_gates(d: Driver) -> None:
    d.ctx.set(d.core.gate_a, 1)
    d.ctx.set(d.core.gate_b, 1)


async def soon_after_a_dac(d: Driver) -> None:
    await d.dac(Dac.RAIL_B, ZERO)
    await d.ctx.tick().repeat(DAC - 1)
    d.ctx.set(d.core.gate_b, 1)


async def soon_after_a_latch(d: Driver) -> None:
    await d.switch(SwitchGroup.ROWS, 1, 2)
    await d.ctx.tick().repeat(SWITCH - 1)
    d.ctx.set(d.core.gate_b, 1)


async def on_a_loaded_update(d: Driver) -> None:
    d.ctx.set(d.core.switch.valid, 1)
    await d.ctx.tick()
    d.ctx.set(d.core.switch.valid, 0)
    await d.ctx.tick().repeat(DAC)
    d.ctx.set(d.core.gate_b, 1)


async def soon_after_the_read_rail(d: Driver) -> None:
    await d.dac(Dac.RAIL_A, ZERO + 1)
    d.ctx.set(d.core.gate_a, 1)


async def dac_in_a_pulse(d: Driver) -> None:
    d.ctx.set(d.core.gate_b, 1)
    await d.ctx.tick()
    await d.dac(Dac.GATE_ON, ZERO)


async def latch_in_a_pulse(d: Driver) -> None:
    d.ctx.set(d.core.gate_b, 1)
    await d.ctx.tick()
    d.ctx.set(d.core.latch, 1)


async def tile_in_a_pulse(d: Driver) -> None:
    d.ctx.set(d.core.gate_b, 1)
    await d.ctx.tick()
    d.ctx.set(d.core.tile, 1)


async def dac_while_reading(d: Driver) -> None:
    d.ctx.set(d.core.gate_a, 1)
    await d.ctx.tick()
    await d.dac(Dac.GATE_ON, ZERO)


async def read_too_high(d: Driver) -> None:
    await d.dac(Dac.RAIL_A, ZERO - 81)
    await d.ctx.tick().repeat(DAC + 1)
    d.ctx.set(d.core.gate_a, 1)


async def sense_too_high(d: Driver) -> None:
    await d.dac(Dac.RAIL_B, ZERO + 301)
    await d.switch(SwitchGroup.COLUMNS, 1, 0)
    await d.ctx.tick().repeat(DAC + 1)
    d.ctx.set(d.core.gate_b, 1)


async def interlock(d: Driver) -> None:
    d.ctx.set(d.afe.interlock, 1)


async def abort(d: Driver) -> None:
    d.ctx.set(d.host.abort, 1)


async def request(d: Driver) -> None:
    d.ctx.set(d.core.safe, 1)


async def too_long_ago(d: Driver) -> None:
    await d.ctx.tick().repeat(40_000)
    d.ctx.set(d.core.gate_b, 1)


REFUSALS = [
    (code_above, Reason.DAC_CODE, 0),
    (code_below, Reason.DAC_CODE, 0),
    (two_ways, Reason.SWITCH_CODE, 0),
    (both_gates, Reason.BOTH_GATES, 1),
    (soon_after_a_dac, Reason.UNSETTLED, 1),
    (soon_after_a_latch, Reason.UNSETTLED, 1),
    (on_a_loaded_update, Reason.UNSETTLED, 1),
    (soon_after_the_read_rail, Reason.UNSETTLED, 1),
    (dac_in_a_pulse, Reason.MOVED, 1),
    (latch_in_a_pulse, Reason.MOVED, 1),
    (tile_in_a_pulse, Reason.MOVED, 1),
    (dac_while_reading, Reason.MOVED, 1),
    (read_too_high, Reason.READ_VOLTAGE, 1),
    (sense_too_high, Reason.READ_VOLTAGE, 1),
    (interlock, Reason.INTERLOCK, 3),
    (abort, Reason.ABORT, 3),
    (request, Reason.REQUEST, 3),
    (too_long_ago, Reason.LINK_LOST, 3),
]


COMPACT = replace(GEOMETRY, compact=True)
SIZES = pytest.mark.parametrize("geometry", [GEOMETRY, COMPACT], ids=["fast", "compact"])


@SIZES
def test_a_code_waits_for_its_limits_where_they_are_in_a_memory(simulate, geometry):
    bench = GuardBench(geometry=geometry)

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        written = [Dac.RAIL_A, Dac.RAIL_B, Dac.RAIL_B, Dac.GATE_ON, Dac.RAIL_A]
        waits = [await driver.dac(channel, ZERO + 1) for channel in written]
        assert waits == ([0, 1, 0, 1, 1] if geometry.compact else [0] * 5)
        for channel in Dac:
            for code in (CEILINGS.low[channel], CEILINGS.high[channel], ZERO):
                await driver.dac(channel, code)
                assert driver.health()[:2] == (GuardState.OPEN, Reason.NONE)
                assert ctx.get(bench.guard.codes[channel]) == code

    simulate(bench, test)


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("channel", Dac)
@SIZES
def test_a_code_beside_its_limits_is_not_sent(simulate, geometry, channel, change):
    bench = GuardBench(geometry=geometry)
    bounds = CEILINGS.low if change < 0 else CEILINGS.high

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        await driver.dac(channel, bounds[channel])
        await driver.dac(Dac((channel + 1) % len(Dac)), ZERO)
        await driver.dac(channel, bounds[channel] + change)
        assert driver.health()[:2] == (GuardState.SAFE, Reason.DAC_CODE)
        assert ctx.get(bench.guard.codes[channel]) == bounds[channel]

    simulate(bench, test)


@SIZES
@pytest.mark.parametrize(
    ("ask", "reason", "counter"), REFUSALS, ids=[ask.__name__ for ask, _, _ in REFUSALS]
)
def test_what_is_refused_is_not_sent_and_brings_the_safe_state(
    simulate, ask, reason, counter, geometry
):
    bench = GuardBench(geometry=geometry)

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        assert driver.health() == (GuardState.OPEN, Reason.NONE, [0] * 4)
        await ask(driver)
        await ctx.tick()
        afe, counters = driver.afe, [0] * 4
        counters[counter] = 1
        assert driver.health()[:2] == (GuardState.SAFE, reason)
        for signal in (afe.gate_a, afe.gate_b, afe.dac.valid, afe.switch.valid, afe.latch):
            assert not ctx.get(signal)
        assert ctx.get(afe.safe) and not ctx.get(driver.core.ready)
        # It is counted in the cycle after.
        await ctx.tick()
        assert driver.health() == (GuardState.SAFE, reason, counters)

    simulate(bench, test)


PASSIVE = replace(GEOMETRY, passive=True)
BIASED = replace(CEILINGS, low=(ZERO - 100, ZERO - 1000, ZERO - 400, ZERO - 400), limiter=7)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize(
    ("rail", "program", "on", "b", "sensed", "opens"),
    [
        (300, -300, 0, 0, 0, True),
        (400, -200, 200, 0xFE, 0, True),
        (301, -300, 0, 0, 0, True),  # half, rounded up
        (302, -300, 0, 0, 0, False),
        (300, -302, 0, 0, 0, False),
        (400, -200, 200, 0, 0, False),  # the other columns are at 0 V
        (400, -200, 301, 0xFE, 0, False),
        (-300, 300, 0, 0, 0, True),
        (300, 300, 0, 0, 0, False),
        (100, -100, 0, 0, 1, False),
    ],
)
def test_no_other_cell_of_a_passive_array_gets_more_than_half(
    simulate, compact, rail, program, on, b, sensed, opens
):
    bench = GuardBench(BIASED, geometry=replace(PASSIVE, compact=compact))

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        codes = {Dac.RAIL_B: rail, Dac.GATE_PROGRAM: program, Dac.GATE_ON: on}
        for channel, code in codes.items():
            await driver.dac(channel, ZERO + code)
        await driver.switch(SwitchGroup.GATES, 1, b)
        await driver.switch(SwitchGroup.COLUMNS, sensed, 0)
        await ctx.tick().repeat(DAC + 1)
        standing = bench.guard.standing
        assert (ctx.get(standing.rail), ctx.get(standing.gate)) == (
            ZERO + rail - program, ZERO + BIASED.limiter,
        )  # fmt: skip
        ctx.set(driver.core.gate_b, 1)
        assert ctx.get(driver.afe.gate_b) == opens
        await ctx.tick()
        wanted = (GuardState.OPEN, Reason.NONE) if opens else (GuardState.SAFE, Reason.BIAS)
        assert driver.health()[:2] == wanted
        if not opens:
            await ctx.tick()
            assert driver.health()[2] == [0, 1, 0, 0]

    simulate(bench, test)


def test_the_energy_in_a_passive_array_is_that_of_cell_and_limiter(simulate):
    ceilings = replace(BIASED, energy_ps=600 * 7 * 1000 * 50)
    bench = GuardBench(ceilings, geometry=PASSIVE)

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        await driver.dac(Dac.RAIL_B, ZERO + 300)
        await driver.dac(Dac.GATE_PROGRAM, ZERO - 300)
        await driver.switch(SwitchGroup.GATES, 1, 0)
        await ctx.tick().repeat(DAC + 1)
        assert await driver.pulse() == 50
        assert driver.health()[:2] == (GuardState.SAFE, Reason.ENERGY)

    simulate(bench, test)


def test_every_reason_is_tested():
    cut = {Reason.WIDTH, Reason.DUTY, Reason.ENERGY, Reason.BIAS}
    assert {reason for _, reason, _ in REFUSALS} | cut | {Reason.NONE} == set(Reason)


def test_what_is_refused_never_leaves_even_in_its_own_cycle(simulate):
    bench = GuardBench()

    async def test(ctx):
        driver = Driver(ctx, bench)
        await driver.start()
        core, afe = driver.core, driver.afe
        ctx.set(core.gate_b, 1)
        assert ctx.get(afe.gate_b)
        for signal in (driver.host.abort, afe.interlock, core.latch, core.gate_a):
            ctx.set(signal, 1)
            assert not ctx.get(afe.gate_b) and not ctx.get(afe.latch) and not ctx.get(afe.gate_a)
            ctx.set(signal, 0)
            assert ctx.get(afe.gate_b)
        # A conversion inside a pulse is reading.
        ctx.set(core.convert, 1)
        assert ctx.get(afe.gate_b) and ctx.get(afe.convert)

    simulate(bench, test)


@SIZES
def test_limits_only_go_down_once_and_keep_what_stands(simulate, geometry):
    bench = GuardBench(geometry=geometry)

    async def test(ctx):
        driver = Driver(ctx, bench)
        host = driver.host
        await driver.start()
        await driver.dac(Dac.RAIL_B, ZERO + 300)

        async def lower(limit: Limit, value: int) -> str:
            ctx.set(host.limit_index, limit)
            ctx.set(host.limit_value, value)
            # Long before the link looks, which is eight cycles later.
            await ctx.tick().repeat(3)
            verdicts = [
                name
                for name in ("raises", "locked", "excludes")
                if ctx.get(getattr(host, f"limit_{name}"))
            ]
            ctx.set(host.limit, 1)
            await ctx.tick()
            ctx.set(host.limit, 0)
            return " ".join(verdicts)

        assert await lower(Limit.WIDTH, 5001) == "raises"
        assert await lower(Limit.WIDTH, 4000) == ""
        assert await lower(Limit.WIDTH, 3000) == "locked"
        assert await lower(Limit.LOW_RAIL_B, ZERO - 1001) == "raises"
        assert await lower(Limit.LOW_RAIL_B, ZERO + 1) == "excludes"
        assert await lower(Limit.LOW_RAIL_B, ZERO) == ""
        assert await lower(Limit.HIGH_RAIL_B, ZERO + 299) == "excludes"
        assert await lower(Limit.HIGH_RAIL_B, ZERO + 300) == ""
        assert await lower(Limit.DUTY, 0) == "raises"
        assert await lower(Limit.DUTY, 16) == "excludes"
        assert await lower(Limit.DUTY, 15) == ""
        lowered = ctx.get(host.health) >> 48
        taken = (Limit.WIDTH, Limit.LOW_RAIL_B, Limit.HIGH_RAIL_B, Limit.DUTY)
        assert lowered == sum(1 << limit for limit in taken)
        await ctx.tick().repeat(DAC)
        assert await driver.pulse() == 4000

    simulate(bench, test)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"low": (ZERO + 1, 0, 0, 0)}, "RAIL_A: 32769..32868 does not hold"),
        ({"high": (ZERO, ZERO, ZERO, 1 << 16)}, "GATE_ON"),
        ({"width_ps": 999}, "WIDTH = 0 at 1000000000 Hz"),
        ({"duty": 16}, "duty = 16"),
        ({"read": -1}, "negative"),
    ],
)
def test_ceilings_that_make_no_sense_are_refused(change, sentence):
    with pytest.raises(CeilingError, match=sentence):
        ceiling_values(replace(CEILINGS, **change), CLK_HZ)


@pytest.mark.parametrize("clk_hz", [12_000_000, 48_000_000])
def test_the_cards_ceilings_are_taken_at_real_clocks(clk_hz):
    card = ArrayCard(Geometry(), clk_hz)
    assert Guard(Geometry(), card.timing(), card.ceilings(), clk_hz)


# The whole controller on its card, over the serial line.

CARD_HZ, BAUD = 12_000_000, 3_000_000
SMALL = Geometry(
    rows=8, columns=8, tiles=2, act_width=8, program_depth=32, param_depth=16, act_depth=16
)
HALT = instruction(Op.HALT)
PROGRAM = [
    *(
        instruction(Op.SET, reg=reg, value=value)
        for reg, value in {
            Reg.LEVELS: 0, Reg.TRIES: 1, Reg.SET_CYCLES: 600, Reg.RESET_CYCLES: 600,
            Reg.RAIL_SET: 0x9000, Reg.RAIL_RESET: 0x7000,
        }.items()
    ),
    instruction(Op.DAC, channel=Dac.RAIL_A, code=0x8100),
    instruction(Op.DAC, channel=Dac.GATE_ON, code=0xC000),
    instruction(Op.PROGRAM, tile=0, cell=0, count=2),
    HALT,
]  # fmt: skip
READ, HIGH, LONG = 16, 20, 24
"""Entries: a read, a code that is too high, a wait."""


class Serial:
    """The byte pipe of ``AsyncLinkClient`` on the bench's serial lines."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.bit = CARD_HZ // BAUD
        self.received = bytearray()

    async def listen(self, ctx) -> None:
        while True:
            await ctx.negedge(self.bench.tx)
            levels = 0
            for i in range(10):
                for _ in range(self.bit // 2 if i == 0 else self.bit):
                    await ctx.tick()
                levels |= ctx.get(self.bench.tx) << i
            self.received.append(levels >> 1 & 0xFF)

    def on(self, ctx) -> AsyncLinkClient:
        self.ctx = ctx
        return AsyncLinkClient(self, timeout=0.001)

    async def write(self, data: bytes) -> None:
        for byte in data:
            for i in range(10):
                self.ctx.set(self.bench.rx, (byte << 1 | 0x200) >> i & 1)
                await self.ctx.tick().repeat(self.bit)

    async def read(self, timeout: float) -> bytes:
        for _ in range(int(timeout * CARD_HZ) // 8):
            if self.received:
                break
            await self.ctx.tick().repeat(8)
        received = bytes(self.received)
        self.received.clear()
        return received


@pytest.fixture(scope="session")
def whole(simulate, allow):
    """``whole(test)``: ``test(ctx, bench, client)`` once the card is ready."""

    def run(test):
        bench = Bench(SMALL, CARD_HZ, BAUD)
        serial = Serial(bench)

        async def testbench(ctx):
            ctx.set(bench.jump, 1)
            client = serial.on(ctx)
            await client.ping()
            await allow(client, 0)
            words = {0: PROGRAM, READ: [PROGRAM[6], instruction(Op.READ, tile=0, cell=0, count=1)]}
            words |= {HIGH: [instruction(Op.DAC, channel=Dac.RAIL_A, code=0xFFFF)]}
            words |= {LONG: [instruction(Op.WAIT, cycles=100_000_000)]}
            for address, program in words.items():
                code = [encode(each) for each in (*program, HALT)]
                await client.write_words(Space.PROGRAM, address, code)
            await client.write_words(Space.PARAM, 0, [pack_level(0x9000, -1, 1)])
            await client.write_words(Space.LEVEL, 0, [0, 0])
            await client.run(READ, 0)
            await test(ctx, bench, client)
            assert not ctx.get(bench.fault)

        simulate(bench, testbench, background=[serial.listen], cycles=400_000)

    return run


async def ready(ctx, client) -> None:
    """Until the card has been initialised again."""
    while (await client.health()).state is GuardState.STARTING:
        pass


@pytest.mark.slow
def test_a_program_that_asks_too_much_is_stopped_and_the_host_is_told_why(whole):
    async def test(ctx, bench, client):
        with pytest.raises(GuardStopped, match="DAC code lay outside") as stopped:
            await client.run(HIGH, 0)
        health = stopped.value.health
        assert (health.state, health.reason) == (GuardState.SAFE, Reason.DAC_CODE)
        assert (health.codes, health.gates, health.pulses, health.stops) == (1, 0, 0, 0)
        assert ctx.get(bench.rows) == ctx.get(bench.columns) == ctx.get(bench.gates) == 0
        assert ctx.get(bench.dac0) == 0x8000
        assert not ctx.get(bench.top.pins.dac_clr) and not ctx.get(bench.top.pins.sw_reset)
        # No run until the host has cleared it; then all is as after a reset.
        with pytest.raises(GuardStopped, match="DAC code"):
            await client.run(READ, 0)
        await client.clear()
        await ready(ctx, client)
        assert ctx.get(bench.rows) == 0xFF << 16
        assert not (await client.run(READ, 0)).stopped
        await client.run(0, 0)

    whole(test)


@pytest.mark.slow
def test_an_abort_ends_a_run_and_what_it_was_waiting_for(whole):
    async def test(ctx, bench, client):
        ctx.set(bench.jump, 0)
        exchange = client.exchanges.run(LONG, 0)
        step = next(exchange)
        await client.transport.write(step.send)
        for _ in range(2000):
            await ctx.tick()
        assert (await client.health()).state is GuardState.OPEN
        await client.abort()
        status = await client.status()
        assert not status.running and status.last.stopped
        assert (await client.health()).reason is Reason.ABORT
        await client.clear()
        ctx.set(bench.jump, 1)
        await ready(ctx, client)
        await client.run(READ, 0)

    whole(test)


def test_an_open_interlock_stops_and_keeps_everything_stopped(whole):
    async def test(ctx, bench, client):
        pins = bench.top.pins
        ctx.set(bench.chips.interlock, 0)
        # Two synchroniser stages, the guard's decision, and the card's own two cycles.
        await ctx.tick().repeat(2 + 2)
        assert not ctx.get(pins.dac_clr) and not ctx.get(pins.sw_reset)
        assert (await client.health()).reason is Reason.INTERLOCK
        with pytest.raises(LinkRefused, match="CAUSE"):
            await client.clear()
        with pytest.raises(GuardStopped, match="interlock"):
            await client.run(READ, 0)
        ctx.set(bench.chips.interlock, 1)
        assert (await client.health()).state is GuardState.SAFE
        await client.clear()
        await ready(ctx, client)
        await client.run(READ, 0)

    whole(test)


@pytest.mark.slow
def test_a_run_without_its_host_may_only_read(whole):
    async def test(ctx, bench, client):
        await client.lower({Limit.WATCHDOG: 1_000})
        # It reads, however long the host says nothing.
        await ctx.tick().repeat(2_000)
        await client.run(READ, 0)
        # The first pulse alone lasts for 600 cycles, after DACs and switches.
        with pytest.raises(GuardStopped, match="silent for too long"):
            await client.run(0, 0)
        assert not ctx.get(bench.gate_b)

    whole(test)


@pytest.mark.slow
def test_the_link_lowers_a_limit_once(whole):
    async def test(ctx, bench, client):
        await client.lower({Limit.WIDTH: 599, Limit.HIGH_RAIL_A: 0x8200})
        for limit, value, status in (
            (Limit.WIDTH, 500, "LOCKED"),
            (Limit.READ, 0x7FFF, "RAISES"),
            (Limit.LOW_RAIL_A, 0x8001, "EXCLUDES"),
        ):
            with pytest.raises(LinkRefused, match=f"refused LIMIT: {status}"):
                await client.lower({limit: value})
        assert (await client.health()).lowered == {Limit.WIDTH, Limit.HIGH_RAIL_A}
        with pytest.raises(GuardStopped, match="longer than its limit"):
            await client.run(0, 0)
        with pytest.raises(LinkRefused, match="LOCKED"):
            await client.lower({Limit.WIDTH: 1})

    whole(test)
