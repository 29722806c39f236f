"""The pmod front end against the models of its chips, at real clocks and sizes."""

import math
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth import Elaboratable, Module
from amaranth.back import rtlil
from amaranth.lib.wiring import In, connect
from amaranth.sim import Simulator

from ohmloom.hw.afe import ad5628, max11125
from ohmloom.hw.afe.ad7476a import AdcTimingError
from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.interface import PlaneStep, SwitchGroup, cycles_from_ps
from ohmloom.hw.afe.pmod import (
    CLIP_CODES,
    LIMIT_BASE,
    MID,
    PULSE_MIN_PS,
    T_ON_PS,
    PmodAdc,
    PmodCard,
    acquire_ps,
    input_taus_ps,
    pins_signature,
    settle_ps,
)
from ohmloom.hw.geometry import Geometry, GeometryError
from ohmloom.hw.isa import Dac
from ohmloom.hw.timers import COUNT_BITS, Timers
from ohmloom.hw.top import Top
from ohmloom.sim.converters.pmod import PmodConverters
from ohmloom.sim.cosim.chips.pmod import BreadboardFault, PmodChips

SMALL = Geometry(rows=4, columns=2, tiles=1, step=2)
LARGE = Geometry(rows=8, columns=8, tiles=1, step=2)
CASES = [
    pytest.param(geometry, clk_hz, id=f"{geometry.rows}x{geometry.columns}-{clk_hz // 10**6}MHz")
    for geometry in (SMALL, LARGE)
    for clk_hz in (48_000_000, 12_000_000)
]
each_adc = pytest.mark.parametrize("adc", PmodAdc, ids=lambda adc: adc.name)
ULX3S_HEADER_PINS = 56
LINES = ("row_a", "row_b", "row_ground", "column_tia", "column_ground", "gate_program", "gate_on")
PAGE = (Path(__file__).parents[3] / "docs" / "pmod.md").read_text()


class Bench(Elaboratable):
    """Card, chips, and the timer service with its time jump."""

    def __init__(self, geometry, clk_hz, *, jump=True, believed_hz=None, adc=PmodAdc.AD7476A):
        if adc is PmodAdc.MAX11125:
            geometry = replace(geometry, pulse=False)
        self.geometry = geometry
        self.card = PmodCard(geometry, believed_hz or clk_hz, adc)
        self.chips = PmodChips(geometry, clk_hz, adc)
        self.timers = Timers([COUNT_BITS])
        self.core = self.card.core
        self.jump = jump
        self.clk_hz = clk_hz

    def elaborate(self, platform):
        m = Module()
        m.submodules.card, m.submodules.chips = card, chips = self.card, self.chips
        m.submodules.timers = timers = self.timers
        connect(m, timers.channel[0], card.timer)
        for name, member in chips.pins.signature.members.items():
            here, there = getattr(card, name), getattr(chips.pins, name)
            m.d.comb += there.eq(here) if member.flow is In else here.eq(there)
        m.d.comb += [
            timers.quiet.eq(~card.core.active),
            timers.jump.eq(self.jump),
            chips.skipped.eq(timers.skipped),
        ]
        return m

    def run(self, bench, faults=False):
        """Run ``bench(ctx)`` once the card is ready; no chip may complain."""

        async def whole(ctx):
            await self.until(ctx, self.core.ready, limit=200_000)
            await bench(ctx)
            if not faults:
                assert not ctx.get(self.chips.fault), ctx.get(self.chips.faults)

        sim = Simulator(self)
        sim.add_clock(1 / self.clk_hz)
        sim.add_testbench(whole)
        sim.run()

    async def until(self, ctx, signal, limit=2_000):
        """Cycles until ``signal`` is high."""
        for waited in range(limit):
            if ctx.get(signal):
                return waited
            await ctx.tick()
        raise AssertionError(f"{signal.name} never came")

    def lines(self, ctx):
        return {name: ctx.get(getattr(self.chips, name)) for name in LINES}

    async def load(self, ctx, group, a, b):
        """Offer an update and let it be accepted."""
        switch = self.core.switch
        ctx.set(switch.payload["group"], group)
        ctx.set(switch.payload["a"], a)
        ctx.set(switch.payload["b"], b)
        ctx.set(switch.valid, 1)
        await self.until(ctx, switch.ready)
        await ctx.tick()
        ctx.set(switch.valid, 0)

    async def latch(self, ctx):
        ctx.set(self.core.latch, 1)
        await ctx.tick()
        ctx.set(self.core.latch, 0)

    async def switch(self, ctx, group, a, b):
        await self.load(ctx, group, a, b)
        await self.latch(ctx)

    async def write(self, ctx, channel, code):
        ctx.set(self.core.dac.payload.channel, channel)
        ctx.set(self.core.dac.payload.code, code)
        ctx.set(self.core.dac.valid, 1)
        await self.until(ctx, self.core.dac.ready)
        await ctx.tick()
        ctx.set(self.core.dac.valid, 0)
        await self.until(ctx, self.core.dac_idle)

    async def convert(self, ctx, raw):
        """A conversion of straight binary codes; the samples by column, and its cycles."""
        core, samples = self.core, {}
        before = ctx.get(self.chips.sample)
        ctx.set(core.convert, 1)
        await ctx.tick()
        ctx.set(core.convert, 0)
        cycles = 1
        while not ctx.get(core.adc_idle):
            if ctx.get(self.chips.sample) != before:
                for i, code in enumerate(raw):
                    ctx.set(self.chips.codes[i], code)
            if ctx.get(core.samples.valid):
                payload = core.samples.payload
                column = ctx.get(payload["column"])
                assert column not in samples
                samples[column] = ctx.get(payload["code"])
            await ctx.tick()
            cycles += 1
            assert cycles < 4_000, "the conversion never ended"
        return [samples[column] for column in sorted(samples)], cycles


@each_adc
@pytest.mark.parametrize(("geometry", "clk_hz"), CASES)
def test_initialisation_leaves_every_row_on_mid_rail(geometry, clk_hz, adc):
    bench = Bench(geometry, clk_hz, adc=adc)

    async def check(ctx):
        rows, columns = (1 << geometry.rows) - 1, (1 << geometry.columns) - 1
        assert bench.lines(ctx) == dict.fromkeys(LINES, 0) | {
            "row_ground": rows,
            "column_ground": columns,
        }
        codes = bench.chips.rails
        assert [ctx.get(codes[rail]) for rail in (Dac.RAIL_A, Dac.RAIL_B)] == [0x8000] * 2
        assert not ctx.get(bench.core.active)
        now = ctx.get(bench.timers.now)
        assert now * 10**12 >= (ad5628.POWER_UP_PS + ad5628.REFERENCE_PS) * clk_hz

    bench.run(check)


@each_adc
@pytest.mark.parametrize(("geometry", "clk_hz"), CASES)
def test_the_cost_model_has_the_cycles_of_every_handshake(handshakes, geometry, clk_hz, adc):
    bench = Bench(geometry, clk_hz, adc=adc)
    wanted = bench.card.cycles()

    async def check(ctx):
        found = await handshakes(ctx, bench.core)
        assert found == {name: getattr(wanted, name) for name in found} and len(found) == 5

    bench.run(check)
    assert set(wanted.settle) == {cycles_from_ps(bench.card.timing().settle_ps, clk_hz)}
    assert wanted.dac_settle == cycles_from_ps(bench.card.timing().dac_settle_ps, clk_hz)


@each_adc
@pytest.mark.parametrize("step", [PlaneStep.SWITCH, PlaneStep.READOUT])
@pytest.mark.parametrize(("geometry", "clk_hz"), CASES)
def test_cycles_are_those_of_the_formulas(geometry, clk_hz, step, adc):
    bench = Bench(geometry, clk_hz, adc=adc)
    wanted = bench.card.plane_period_cycles()[step]

    async def switch(ctx):
        ctx.set(bench.core.latch, 1)
        ctx.set(bench.core.switch.valid, 1)
        assert ctx.get(bench.core.switch.ready)
        await ctx.tick()
        assert await bench.until(ctx, bench.core.switch.ready) + 1 == wanted

    async def readout(ctx):
        for _ in range(2):
            assert (await bench.convert(ctx, [0x800] * geometry.columns))[1] == wanted

    bench.run(switch if step is PlaneStep.SWITCH else readout)


@pytest.mark.parametrize(("geometry", "clk_hz"), CASES)
def test_switches_wait_for_their_latch_and_rows_for_their_gate(geometry, clk_hz):
    bench = Bench(geometry, clk_hz)
    rng = random.Random(1)
    rows, columns = (1 << geometry.rows) - 1, (1 << geometry.columns) - 1

    async def check(ctx):
        core = bench.core
        await bench.write(ctx, Dac.GATE_PROGRAM, (LIMIT_BASE + 1) << 12)
        for _ in range(6):
            a, b = rng.getrandbits(geometry.rows), rng.getrandbits(geometry.rows)
            before = bench.lines(ctx)
            await bench.load(ctx, SwitchGroup.ROWS, a, b)
            await ctx.tick().repeat(rng.randrange(1, 9))
            assert ctx.get(core.loaded) and not ctx.get(core.switch.ready)
            assert bench.lines(ctx) == before
            await bench.latch(ctx)
            assert bench.lines(ctx) == before | {"row_ground": rows}  # the gates are closed
            for gate_a, gate_b in ((1, 0), (0, 1), (1, 1), (0, 0)):
                ctx.set(core.gate_a, gate_a)
                ctx.set(core.gate_b, gate_b)
                await ctx.tick()
                on_a, on_b = a & ~b if gate_a else 0, b & ~a if gate_b else 0
                found = bench.lines(ctx)
                assert (found["row_a"], found["row_b"]) == (on_a, on_b)
                assert found["row_ground"] == rows & ~(on_a | on_b)
        for _ in range(6):
            a, b = rng.getrandbits(geometry.columns), rng.getrandbits(geometry.columns)
            await bench.switch(ctx, SwitchGroup.GATES, a, b)
            found, program, on = bench.lines(ctx), a & ~b, b & ~a
            assert found["gate_program"] | found["gate_on"] == program | on
            assert bool(found["gate_program"]) is bool(program)
            await bench.switch(ctx, SwitchGroup.GATES, 0, 0)
            await bench.switch(ctx, SwitchGroup.COLUMNS, a, 0)
            found = bench.lines(ctx)
            assert (found["column_tia"], found["column_ground"]) == (a, columns & ~a)
            assert not found["gate_program"] | found["gate_on"]
            await bench.switch(ctx, SwitchGroup.COLUMNS, 0, 0)

    bench.run(check)


@pytest.mark.parametrize("code", [0x8000, 0x9000, 0xA123, 0xBFFF, 0xC000, 0x1000, 0xFFFF])
def test_a_gate_code_chooses_a_resistor_or_none(code):
    bench = Bench(SMALL, 12_000_000)
    resistor = (code >> 12) - LIMIT_BASE
    chosen = resistor if 1 <= resistor <= 3 else 0
    converters = PmodConverters(limit_amperes=(1e-5, 2e-5, 4e-5))
    assert float(converters.i_cc(code)) == (0.0, 1e-5, 2e-5, 4e-5)[chosen]

    async def check(ctx):
        await bench.write(ctx, Dac.GATE_PROGRAM, code)
        await bench.switch(ctx, SwitchGroup.GATES, 0b10, 0)
        assert bench.lines(ctx)["gate_program"] == (0b10 if chosen else 0)
        assert ctx.get(bench.card.limit) == chosen
        await bench.switch(ctx, SwitchGroup.GATES, 0, 0b01)
        assert bench.lines(ctx)["gate_on"] == 0b01 and ctx.get(bench.card.limit) == 0

    bench.run(check)


@pytest.mark.parametrize("clk_hz", [48_000_000, 12_000_000])
def test_rail_codes_lose_their_lowest_four_bits(clk_hz):
    bench = Bench(SMALL, clk_hz)
    rng = random.Random(3)

    async def check(ctx):
        state = {Dac.RAIL_A: 0x8000, Dac.RAIL_B: 0x8000}
        for _ in range(8):
            channel, code = rng.choice(list(Dac)), rng.getrandbits(16)
            await bench.write(ctx, channel, code)
            if channel in state:
                state[channel] = code & 0xFFF0
            assert {rail: ctx.get(bench.chips.rails[rail]) for rail in state} == state
            assert ctx.get(bench.chips.rails[Dac.GATE_ON]) == 0
            assert not ctx.get(bench.core.active)

    bench.run(check)


@each_adc
@pytest.mark.parametrize(("geometry", "clk_hz"), CASES)
def test_conversions_are_left_aligned_and_clip_before_the_end(geometry, clk_hz, adc):
    bench = Bench(geometry, clk_hz, adc=adc)
    rng = random.Random(2)
    edges = (0, CLIP_CODES - 1, CLIP_CODES, 2047, 2048, 4095 - CLIP_CODES, 4096 - CLIP_CODES, 4095)

    def expected(raw):
        if raw < CLIP_CODES:
            return 0x8000
        if raw >= 4096 - CLIP_CODES:
            return 0x7FFF
        return (raw - 2048 << 4) & 0xFFFF

    async def check(ctx):
        for i in range(len(edges)):
            raw = [edges[i], *(rng.getrandbits(12) for _ in range(geometry.columns - 1))]
            assert (await bench.convert(ctx, raw))[0] == [expected(each) for each in raw]

    bench.run(check)


def test_switches_may_move_one_cycle_after_the_strobe():
    """The select, which samples, falls with the switches still where they were."""
    bench = Bench(SMALL, 48_000_000)

    async def check(ctx):
        core = bench.core
        ctx.set(core.gate_a, 1)
        await bench.switch(ctx, SwitchGroup.ROWS, 0b0011, 0)
        await bench.load(ctx, SwitchGroup.ROWS, 0b1100, 0)
        ctx.set(core.convert, 1)
        await ctx.tick()
        ctx.set(core.convert, 0)
        ctx.set(core.latch, 1)
        assert not ctx.get(bench.card.adc_cs) and bench.lines(ctx)["row_a"] == 0b0011
        await ctx.tick()
        ctx.set(core.latch, 0)
        assert bench.lines(ctx)["row_a"] == 0b1100

    bench.run(check)


def test_nothing_is_loaded_before_the_last_column_is_sampled():
    """With one converter for all columns; the next setting can be shifted out meanwhile."""
    bench = Bench(LARGE, 48_000_000, adc=PmodAdc.MAX11125)
    hold = max11125.hold_cycles(8, bench.clk_hz, acquire_ps())

    async def check(ctx):
        core, chips = bench.core, bench.chips
        ctx.set(core.gate_a, 1)
        await bench.switch(ctx, SwitchGroup.ROWS, 0b0011, 0)
        ctx.set(core.convert, 1)
        await ctx.tick()
        ctx.set(core.convert, 0)
        await bench.load(ctx, SwitchGroup.ROWS, 0b1100, 0)
        assert await bench.until(ctx, core.loaded, limit=4_000) + 2 == hold
        # The select that samples the last column has just fallen.
        assert not ctx.get(bench.card.adc_cs) and bench.lines(ctx)["row_a"] == 0b0011
        await bench.latch(ctx)
        assert ctx.get(chips.channel) == 7
        await bench.until(ctx, core.adc_idle)
        assert bench.lines(ctx)["row_a"] == 0b1100

    bench.run(check)


def test_safe_does_not_wait_for_the_columns():
    bench = Bench(SMALL, 12_000_000, adc=PmodAdc.MAX11125)

    async def check(ctx):
        core = bench.core
        ctx.set(core.gate_a, 1)
        await bench.switch(ctx, SwitchGroup.ROWS, 0b0011, 0)
        ctx.set(core.convert, 1)
        await ctx.tick()
        ctx.set(core.convert, 0)
        await ctx.tick().repeat(3)
        ctx.set(core.safe, 1)
        await ctx.tick()
        assert not bench.lines(ctx)["row_a"] and not ctx.get(core.ready)
        ctx.set(core.safe, 0)
        await bench.until(ctx, core.ready, limit=200_000)
        raw = [100, 4000]
        assert (await bench.convert(ctx, raw))[0] == [(each - 2048 << 4) & 0xFFFF for each in raw]

    bench.run(check)


def test_safe_takes_everything_off_and_starts_afresh():
    bench = Bench(SMALL, 12_000_000)

    async def check(ctx):
        core = bench.core
        await bench.write(ctx, Dac.RAIL_B, 0xF000)
        await bench.switch(ctx, SwitchGroup.ROWS, 0, 0b0001)
        await bench.switch(ctx, SwitchGroup.GATES, 0, 0b01)
        ctx.set(core.gate_b, 1)
        await ctx.tick()
        assert bench.lines(ctx)["row_b"] == 1
        # In the middle of a frame, which goes on to its end.
        ctx.set(core.dac.payload.channel, Dac.RAIL_A)
        ctx.set(core.dac.valid, 1)
        await ctx.tick()
        ctx.set(core.dac.valid, 0)
        await ctx.tick().repeat(9)
        ctx.set(core.safe, 1)
        await ctx.tick()
        found = bench.lines(ctx)
        assert not found["row_b"] and not found["gate_on"] and not ctx.get(core.ready)
        await ctx.tick().repeat(200)
        ctx.set(core.safe, 0)
        assert not ctx.get(core.ready)
        await bench.until(ctx, core.ready, limit=200_000)
        assert ctx.get(bench.chips.rails[Dac.RAIL_B]) == 0x8000
        assert bench.lines(ctx)["row_b"] == 0  # though the gate is still asked for

    bench.run(check)


def test_an_open_interlock_is_told():
    bench = Bench(SMALL, 12_000_000)

    async def check(ctx):
        for closed in (1, 0, 1):
            ctx.set(bench.chips.interlock, closed)
            await ctx.tick().repeat(3)
            assert ctx.get(bench.core.interlock) == 1 - closed

    bench.run(check)


def test_nothing_reaches_the_pins_before_ready():
    bench = Bench(SMALL, 12_000_000)
    core = bench.core

    async def watch(ctx):
        for request in (core.gate_a, core.gate_b, core.convert, core.switch.valid, core.dac.valid):
            ctx.set(request, 1)
        woken = False
        while not ctx.get(core.ready):
            lines = bench.lines(ctx)
            assert not any(lines[name] for name in ("row_a", "row_b", "gate_program", "gate_on"))
            assert not ctx.get(core.switch.ready) and not ctx.get(core.dac.ready)
            assert not ctx.get(core.adc_idle) and not ctx.get(core.dac_idle)
            assert not ctx.get(core.samples.valid)
            woken = woken or not ctx.get(bench.card.adc_cs)
            await ctx.tick()
        assert woken  # the conversion that is thrown away

    sim = Simulator(bench)
    sim.add_clock(1 / bench.clk_hz)
    sim.add_testbench(watch)
    sim.run()


def test_a_row_driven_without_mid_rail_is_a_fault_of_the_board():
    bench = Bench(SMALL, 12_000_000)

    async def check(ctx):
        # Past the core, a stray write to the mid-rail's channel.
        frame = bench.card.dac.frame
        await bench.switch(ctx, SwitchGroup.ROWS, 1, 0)
        ctx.set(bench.core.dac.payload.channel, Dac.RAIL_A)
        ctx.set(bench.core.dac.valid, 1)
        assert ctx.get(frame.payload["address"]) == Dac.RAIL_A != MID
        await ctx.tick()
        ctx.set(bench.core.dac.valid, 0)
        await bench.until(ctx, bench.core.dac_idle)
        ctx.set(bench.core.gate_a, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(bench.chips.faults.board) == BreadboardFault.NONE
        await bench.write(ctx, Dac.GATE_PROGRAM, (LIMIT_BASE + 2) << 12)
        await bench.switch(ctx, SwitchGroup.COLUMNS, 0b01, 0)
        await bench.switch(ctx, SwitchGroup.GATES, 0b01, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(bench.chips.faults.board) == BreadboardFault.GATE

    bench.run(check, faults=True)


@pytest.mark.parametrize(
    ("real_hz", "believed_hz"), [(200_000_000, 48_000_000), (60_000_000, 40_000_000)]
)
def test_a_card_built_for_a_slower_clock_is_caught(real_hz, believed_hz):
    bench = Bench(SMALL, real_hz, believed_hz=believed_hz)

    async def convert(ctx):
        await bench.convert(ctx, [0x123, 0x456])

    with pytest.raises(AssertionError):
        bench.run(convert)


def pin_count(geometry):
    return sum(
        getattr(member.shape, "width", member.shape)
        for member in pins_signature(geometry).members.values()
    )


def test_pins_start_in_their_safe_state():
    safe = {name: member.init or 0 for name, member in pins_signature(LARGE).members.items()}
    high = {name for name, init in safe.items() if init}
    assert high == {"dac_sync", "dac_sclk", "adc_cs", "adc_sclk", "interlock"}


@pytest.mark.parametrize("geometry", [SMALL, LARGE])
def test_pins_fit_the_header_and_the_page_says_how_many(geometry):
    count = pin_count(geometry)
    assert count == 2 * geometry.rows + 3 * geometry.columns + 8 <= ULX3S_HEADER_PINS
    assert re.search(rf"\| {geometry.rows} x {geometry.columns} \| {count} \|", PAGE)


def test_the_page_gives_the_cycles_of_every_step():
    wanted = [PmodCard(LARGE, hz).plane_period_cycles() for hz in (48_000_000, 12_000_000)]
    for step in PlaneStep:
        row = re.search(rf"\| {step.value} \|.*\| (\d+) \| (\d+) \|", PAGE)
        assert row, step
        assert [int(value) for value in row.groups()] == [cycles[step] for cycles in wanted]


def test_the_page_gives_the_cycles_with_the_board_s_own_converter():
    plain = replace(LARGE, pulse=False)
    cards = [PmodCard(plain, hz, PmodAdc.MAX11125) for hz in (48_000_000, 12_000_000)]
    wanted = [card.plane_period_cycles() for card in cards]
    for step, words in (
        (PlaneStep.SETTLE, "last column sampled, then settling"),
        (PlaneStep.READOUT, "conversion and read-out"),
    ):
        row = re.search(rf"\| with MAX11125: {words} \|.*\| (\d+) \| (\d+) \|", PAGE)
        assert row, step
        assert [int(value) for value in row.groups()] == [cycles[step] for cycles in wanted]
    assert f"= {acquire_ps() / 1e6:.1f} us" in PAGE


def test_one_converter_needs_as_many_pins_whatever_the_columns():
    for geometry in (SMALL, LARGE):
        members = pins_signature(geometry, PmodAdc.MAX11125).members
        assert members["adc_sdata"].shape == 1 and "adc_din" in members
        assert "adc_din" not in pins_signature(geometry).members


def test_a_reservoir_has_recovered_when_the_next_column_is_sampled():
    """Charge sharing of a full scale, then the sum of the time constants."""
    taus = sum(input_taus_ps(PmodAdc.MAX11125)[1:])
    shared = 36e-12 / (36e-12 + 1e-9)
    assert shared * math.exp(-acquire_ps() / taus) <= 2.0**-17
    assert shared * math.exp(-0.9 * acquire_ps() / taus) > 2.0**-17
    assert acquire_ps() > max11125.ACQUIRE_PS


def remainder(time_ps, adc):
    """Of a full-scale step through the cascade, by partial fractions of distinct poles."""
    taus = [tau * (1 + 1e-3 * i) for i, tau in enumerate(input_taus_ps(adc))]
    total = 0.0
    for i, tau in enumerate(taus):
        factor = math.prod(tau / (tau - other) for j, other in enumerate(taus) if j != i)
        total += factor * math.exp(-time_ps / tau)
    return total


@each_adc
def test_settling_ends_below_half_an_lsb_and_is_not_wasteful(adc):
    half_lsb = 2.0**-17
    available = settle_ps(adc) - T_ON_PS
    assert abs(remainder(0, adc) - 1) < 1e-6
    assert 0 < remainder(available, adc) < half_lsb
    assert remainder(0.85 * available, adc) > half_lsb


def test_timing_follows_the_clock():
    for clk_hz in (12_000_000, 48_000_000):
        card = PmodCard(SMALL, clk_hz)
        timing, period = card.timing(), card.plane_period_cycles()
        assert period[PlaneStep.SETTLE] == -(-timing.settle_ps * clk_hz // 10**12)
        assert timing.pulse_min_ps == max(PULSE_MIN_PS, -(-(10**12) // clk_hz))


@pytest.mark.parametrize(
    ("geometry", "clk_hz", "error", "sentence"),
    [
        (SMALL, 0, ValueError, "0 Hz is not positive"),
        (SMALL, 39_000, AdcTimingError, "the AD7476A takes 20000 to 20000000 Hz"),
        (Geometry(rows=10, columns=2, tiles=1, step=2), 10**7, GeometryError, "rows = 10: .* 8"),
        (Geometry(rows=8, columns=16, tiles=1), 10**7, GeometryError, "columns = 16: .* 8 at"),
        (Geometry(rows=8, columns=8), 10**7, GeometryError, "tiles = 64: .* has one"),
    ],
    ids=["no clock", "slow clock", "rows", "columns", "tiles"],
)
def test_what_cannot_be_met_is_refused(geometry, clk_hz, error, sentence):
    with pytest.raises(error, match=sentence):
        PmodCard(geometry, clk_hz)


def test_pulses_do_not_go_with_one_converter_for_all_columns():
    with pytest.raises(GeometryError, match="pulse = True: the MAX11125 samples one column"):
        PmodCard(SMALL, 10**7, PmodAdc.MAX11125)
    with pytest.raises(max11125.AdcTimingError, match="the MAX11125 takes 160000"):
        PmodCard(replace(SMALL, pulse=False), 300_000, PmodAdc.MAX11125)


def test_the_array_card_refuses_lines_that_are_not_its_chips():
    with pytest.raises(GeometryError, match="steps of 2 are not for the array card"):
        ArrayCard(Geometry(rows=8, columns=8, step=2), 48_000_000)


@each_adc
@pytest.mark.parametrize("lines", [2, 8])
def test_a_controller_with_it_elaborates(lines, adc):
    """Every signal has one driver, whatever the size."""
    geometry = Geometry(
        rows=lines, columns=lines, tiles=1, step=2, program_depth=16, act_depth=16,
        pulse=adc is PmodAdc.AD7476A,
    )  # fmt: skip
    top = Top(geometry, 48_000_000, 1_000_000, PmodCard(geometry, 48_000_000, adc))
    assert "adc_sdata" in rtlil.convert(top, name="top", emit_src=False)


def test_the_ceilings_let_through_what_the_converters_ask_for():
    ceilings = PmodCard(SMALL, 12_000_000).ceilings()
    card = PmodConverters(limit_amperes=(1e-5, 2e-5, 4e-5))
    wanted = {
        Dac.RAIL_A: [card.read_code(0.5), card.read_code(0.0)],
        Dac.RAIL_B: [card.dac_code(volts) for volts in (-1.25, 0.0, 1.249)],
        Dac.GATE_PROGRAM: card.gate_code(card.limit_amperes).tolist(),
        Dac.GATE_ON: [card.gate_on_code],
    }
    for channel, codes in wanted.items():
        for code in codes:
            assert ceilings.low[channel] <= code <= ceilings.high[channel], channel
    assert card.read_code(0.5) - ceilings.zero_code <= ceilings.read
    assert card.dac_code(0.6) > ceilings.high[Dac.RAIL_A]
    # A gate that is on counts for more than one behind any resistor.
    assert card.gate_on_code > max(wanted[Dac.GATE_PROGRAM]) > ceilings.zero_code
