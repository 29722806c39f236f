"""The array card's driver against the models of its chips, at real clocks and sizes."""

import math
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth import Elaboratable, Module
from amaranth.lib.wiring import In, Out, connect
from amaranth.sim import Simulator

from ohmloom.hw.afe import ad7606, ad7606c
from ohmloom.hw.afe.ad7606c import BANDWIDTH_HZ
from ohmloom.hw.afe.adgs1414d import T_ON_PS
from ohmloom.hw.afe.array_card import (
    PULSE_MIN_PS,
    SOURCE_PS,
    STOP_CYCLES,
    ArrayCard,
    pins_signature,
    settle_ps,
)
from ohmloom.hw.afe.chained_card import ChainedCard
from ohmloom.hw.afe.interface import PlaneStep, SwitchGroup, cycles_from_ps
from ohmloom.hw.afe.tia import AMPLIFIER_BANDWIDTH_HZ, pole_ps
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.timers import Timers
from ohmloom.sim.cosim.chips.array_card import ArrayCardChips
from ohmloom.sim.cosim.chips.pin_chain import PinChainModel

SMALL = Geometry(rows=8, columns=8)
SIZES = [
    (geometry, clk_hz)
    for geometry in (SMALL, Geometry(rows=16, columns=24), Geometry())
    for clk_hz in (48_000_000, 12_000_000)
]
SIZES += [
    (Geometry(rows=16, columns=16, tiles=1, power=False, compact=True), 12_000_000),
    (Geometry(rows=24, columns=8, compact=True), 12_000_000),
    (Geometry(rows=8, columns=24, compact=True), 48_000_000),
]
ADCS = (ad7606c.PART, ad7606.PART)
TOO_FAST = (Geometry(rows=8, columns=24, compact=True), 48_000_000, ad7606.PART)


def name_of(geometry, clk_hz):
    size = f"{geometry.rows}x{geometry.columns}-{clk_hz // 10**6}MHz"
    return size + "-compact" * geometry.compact


CASES = [pytest.param(*size, id=name_of(*size)) for size in SIZES]
ADC_CASES = [
    pytest.param(*size, adc, id=f"{name_of(*size)}-{adc.name}")
    for size in SIZES
    for adc in ADCS
    if (*size, adc) != TOO_FAST
]
each_adc = pytest.mark.parametrize(("geometry", "clk_hz", "adc"), ADC_CASES)
ULX3S_HEADER_PINS = 56
GROUPS = {
    SwitchGroup.ROWS: ("row_a", "row_b", "row_ground"),
    SwitchGroup.COLUMNS: ("column_tia", "column_ground"),
    SwitchGroup.GATES: ("gate_program", "gate_on", "gate_ground"),
}


class Bench(Elaboratable):
    """Card, chips, and the timer service with its time jump."""

    delay = 0
    """Cycles from the card to the pins of switches, tile bus and range."""

    def __init__(
        self,
        geometry,
        clk_hz,
        *,
        jump=True,
        believed_hz=None,
        card=ArrayCard,
        adc=ad7606c.PART,
    ):
        self.geometry = geometry
        self.card = card(geometry, believed_hz or clk_hz, adc=adc)
        self.chips = ArrayCardChips(geometry, clk_hz, adc)
        self.timers = Timers([self.card.timer.signature.bits])
        self.core = self.card.core
        self.jump = jump
        self.clk_hz = clk_hz

    def elaborate(self, platform):
        m = Module()
        m.submodules.card, m.submodules.chips = card, chips = self.card, self.chips
        m.submodules.timers = timers = self.timers
        connect(m, timers.channel[0], card.timer)
        pins = self.pins(m)
        for name, member in pins.signature.members.items():
            here, there = getattr(card, name), getattr(pins, name)
            m.d.comb += there.eq(here) if member.flow is In else here.eq(there)
        m.d.comb += [
            timers.quiet.eq(~card.core.active),
            timers.jump.eq(self.jump),
            chips.skipped.eq(timers.skipped),
        ]
        return m

    def pins(self, m):
        """What the card's pins are connected to."""
        return self.chips.pins

    def run(self, bench):
        """Run ``bench(ctx)`` once the card is ready; no chip may complain."""

        async def whole(ctx):
            await self.until(ctx, self.core.ready, limit=30_000)
            await bench(ctx)
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

    def lines(self, ctx, group):
        return tuple(ctx.get(getattr(self.chips, name)) for name in GROUPS[group])

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
        # The edge leaves the card, and the model's outputs follow two cycles later.
        await ctx.tick().repeat(3 + self.delay)

    async def convert(self, ctx, codes):
        """A conversion of ``codes``; the samples in order of arrival, and its cycles."""
        core, samples = self.core, []
        before = ctx.get(self.chips.sample)
        ctx.set(core.convert, 1)
        await ctx.tick()
        ctx.set(core.convert, 0)
        cycles = 1
        while not ctx.get(core.adc_idle):
            if ctx.get(self.chips.sample) != before:
                for i, code in enumerate(codes):
                    ctx.set(self.chips.codes[i], code)
                before = ctx.get(self.chips.sample)
            if ctx.get(core.samples.valid):
                payload = core.samples.payload
                samples.append((ctx.get(payload["column"]), ctx.get(payload["code"])))
            await ctx.tick()
            cycles += 1
            assert cycles < 2_000, "the conversion never ended"
        return samples, cycles


class ChainedBench(Bench):
    """The chips behind the 74HC595s of a chained card."""

    def __init__(self, geometry, clk_hz):
        super().__init__(geometry, clk_hz, card=ChainedCard)
        self.delay = 2 * self.card.chain.period

    def pins(self, m):
        m.submodules.chain = chain = PinChainModel(self.geometry, self.card.adc_part)
        connect(m, chain.card, self.chips.pins)
        return chain.pins


def expected(group, width, a, b):
    """Lines on each of the group's ways; a line asked onto two goes to ground."""
    every = (1 << width) - 1
    if group is SwitchGroup.COLUMNS:
        return a & ~b, (a & ~b) ^ every
    return a & ~b, b & ~a, ~(a ^ b) & every


@each_adc
def test_initialisation_leaves_everything_grounded_and_configured(geometry, clk_hz, adc):
    bench = Bench(geometry, clk_hz, adc=adc)
    rows, columns = (1 << geometry.rows) - 1, (1 << geometry.columns) - 1

    async def check(ctx):
        assert bench.lines(ctx, SwitchGroup.ROWS) == (0, 0, rows)
        assert bench.lines(ctx, SwitchGroup.COLUMNS) == (0, columns)
        assert bench.lines(ctx, SwitchGroup.GATES) == (0, 0, columns)
        assert [ctx.get(bench.chips.rails[i]) for i in range(4)] == [0x8000] * 4
        assert ctx.get(bench.chips.configured)
        assert ctx.get(bench.card.dac_clr)
        assert not ctx.get(bench.core.active)

    bench.run(check)


def test_initialisation_is_the_same_without_jumps():
    moments = {}
    for jump in (False, True):
        bench = Bench(SMALL, 12_000_000, jump=jump)

        async def check(ctx, bench=bench, jump=jump):
            moments[jump] = ctx.get(bench.timers.now), bench.lines(ctx, SwitchGroup.ROWS)
            assert (ctx.get(bench.timers.skipped) > 0) is jump

        bench.run(check)
    assert moments[False] == moments[True]


@each_adc
@pytest.mark.parametrize("step", [PlaneStep.SWITCH, PlaneStep.READOUT])
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
            assert (await bench.convert(ctx, [0] * geometry.columns))[1] == wanted

    bench.run(switch if step is PlaneStep.SWITCH else readout)


each_kind = pytest.mark.parametrize(("geometry", "clk_hz", "kind"), [
    *(pytest.param(*case.values, Bench, id=case.id) for case in CASES),
    *(pytest.param(geometry, 12_000_000, ChainedBench, id=f"chained-{n}")
      for n, geometry in enumerate((SIZES[-3][0], Geometry(rows=8, columns=16)))),
])  # fmt: skip


@each_kind
def test_the_cost_model_has_the_cycles_of_every_handshake(handshakes, geometry, clk_hz, kind):
    bench = kind(geometry, clk_hz)
    wanted = bench.card.cycles()

    async def check(ctx):
        found = await handshakes(ctx, bench.core)
        assert found == {name: getattr(wanted, name) for name in found} and len(found) == 5

    bench.run(check)
    timing = bench.card.timing()
    ranges = [cycles_from_ps(each, clk_hz) for each in timing.range_settle_ps]
    assert list(wanted.settle) == ranges + [max(ranges)] * (8 - len(ranges))
    assert wanted.dac_settle == cycles_from_ps(timing.dac_settle_ps, clk_hz)


@each_kind
def test_switch_updates_wait_for_their_latch(geometry, clk_hz, kind):
    bench = kind(geometry, clk_hz)
    rng = random.Random(1)

    async def check(ctx):
        state = {group: bench.lines(ctx, group) for group in SwitchGroup}
        for _ in range(8):
            group = rng.choice(list(SwitchGroup))
            width = geometry.rows if group is SwitchGroup.ROWS else geometry.columns
            a, b = rng.getrandbits(width), rng.getrandbits(width)
            await bench.load(ctx, group, a, b)
            await bench.until(ctx, bench.core.loaded)
            await ctx.tick().repeat(rng.randrange(1, 20))
            assert {g: bench.lines(ctx, g) for g in SwitchGroup} == state
            assert not ctx.get(bench.core.active)
            assert not ctx.get(bench.core.switch.ready)
            await bench.latch(ctx)
            state[group] = expected(group, width, a, b)
            assert {g: bench.lines(ctx, g) for g in SwitchGroup} == state
            assert not ctx.get(bench.core.loaded)

    bench.run(check)


def test_a_compact_card_at_a_clock_too_fast_for_its_converters_is_refused():
    geometry, clk_hz, adc = TOO_FAST
    with pytest.raises(ValueError, match="bits of AD7606 come .* not 48000000 Hz"):
        ArrayCard(geometry, clk_hz, adc=adc)


@each_adc
def test_read_out_gives_every_columns_code_once(geometry, clk_hz, adc):
    bench = Bench(geometry, clk_hz, adc=adc)
    rng = random.Random(2)

    async def check(ctx):
        for _ in range(3):
            codes = [rng.getrandbits(16) for _ in range(geometry.columns)]
            samples, _ = await bench.convert(ctx, codes)
            assert sorted(samples) == list(enumerate(codes))

    bench.run(check)


@pytest.mark.parametrize("offset", [0, 1, 17, 31, 60])
@pytest.mark.parametrize("clk_hz", [48_000_000, 12_000_000])
def test_switches_load_during_a_read_out(clk_hz, offset):
    geometry = SMALL
    bench = Bench(geometry, clk_hz)
    codes = [0x8000, 0x7FFF, 1, 0xFFFF, 0xAAAA, 0x5555, 0x0F0F, 0]
    samples = []

    async def check(ctx):
        before = bench.lines(ctx, SwitchGroup.ROWS)
        for i, code in enumerate(codes):
            ctx.set(bench.chips.codes[i], code)
        core = bench.core
        ctx.set(core.convert, 1)
        cycle, offered, loaded = 0, False, False
        while not (cycle and ctx.get(core.adc_idle) and loaded):
            assert ctx.get(core.active) or cycle == 0 or ctx.get(core.adc_idle)
            if cycle == offset:
                ctx.set(core.switch.payload["a"], 0x3C)
                ctx.set(core.switch.valid, 1)
                offered = True
            accepted = offered and ctx.get(core.switch.ready)
            if ctx.get(core.samples.valid):
                payload = core.samples.payload
                samples.append((ctx.get(payload["column"]), ctx.get(payload["code"])))
            await ctx.tick()
            ctx.set(core.convert, 0)
            if accepted:
                ctx.set(core.switch.valid, 0)
                offered = False
            loaded = loaded or bool(ctx.get(core.loaded))
            cycle += 1
            assert cycle < 2_000
        assert sorted(samples) == list(enumerate(codes))
        assert bench.lines(ctx, SwitchGroup.ROWS) == before
        await bench.latch(ctx)
        assert bench.lines(ctx, SwitchGroup.ROWS) == (0x3C, 0, 0xC3)

    bench.run(check)


@pytest.mark.parametrize("clk_hz", [48_000_000, 12_000_000])
def test_dac_codes_arrive(clk_hz):
    bench = Bench(SMALL, clk_hz)
    rng = random.Random(3)

    async def check(ctx):
        core, state = bench.core, [0x8000] * 4
        for _ in range(10):
            channel, code = rng.randrange(4), rng.getrandbits(16)
            ctx.set(core.dac.payload.channel, channel)
            ctx.set(core.dac.payload.code, code)
            ctx.set(core.dac.valid, 1)
            await bench.until(ctx, core.dac.ready)
            await ctx.tick()
            ctx.set(core.dac.valid, 0)
            assert not ctx.get(core.dac_idle)
            assert ctx.get(core.active)
            await bench.until(ctx, core.dac_idle)
            state[channel] = code
            assert [ctx.get(bench.chips.rails[i]) for i in range(4)] == state
            assert not ctx.get(core.active)

    bench.run(check)


def test_gates_tile_and_range_follow_by_one_cycle_once_ready():
    bench = Bench(SMALL, 48_000_000)
    core, card = bench.core, bench.card
    pins = [card.gate_a, card.gate_b, card.tile_select, card.tia_range]
    requests = [core.gate_a, core.gate_b, core.tile, core.range]

    async def check(ctx):
        for value in (1, 0, 1):
            for request in requests:
                ctx.set(request, value)
            await ctx.tick()
            assert [ctx.get(pin) for pin in pins] == [value] * len(pins)

    bench.run(check)


def test_the_range_pins_are_the_source_s_while_it_is_selected():
    bench = Bench(SMALL, 48_000_000)
    core, card = bench.core, bench.card

    async def check(ctx):
        ctx.set(core.range, 5)
        ctx.set(core.source_range, 2)
        for source in (0, 1, 0):
            ctx.set(core.source, source)
            await ctx.tick()
            assert (ctx.get(card.source), ctx.get(card.tia_range)) == (source, 2 if source else 5)

    bench.run(check)


SENSOR_CASES = [(Bench, 48_000_000), (Bench, 12_000_000), (ChainedBench, 12_000_000)]
each_sensor = pytest.mark.parametrize(("kind", "clk_hz"), SENSOR_CASES)


def setting_cycles(clk_hz):
    """From two cycles after the change of range until the frames have been sent."""
    each = ad7606c.PART.serial_timing(clk_hz).frame_cycles(ad7606c.REGISTER_BITS)
    return len(ad7606c.CONFIGURATION) * (each + 2) + 1


@each_sensor
def test_the_temperature_range_puts_every_channel_on_its_sensor_and_another_one_off(kind, clk_hz):
    bench = kind(SMALL, clk_hz)
    core, chips = bench.core, bench.chips

    async def check(ctx):
        for tia_range, sensor in ((2, 0), (7, 0xFF), (5, 0), (7, 0xFF), (6, 0)):
            ctx.set(core.range, tia_range)
            await ctx.tick().repeat(2)
            cycles = await bench.until(ctx, core.adc_idle)
            assert ctx.get(core.ready) and ctx.get(chips.sensor) == sensor
            assert ctx.get(chips.configured)
            assert cycles == (0 if tia_range == 2 else setting_cycles(clk_hz))
            await ctx.tick().repeat(bench.delay + 1)
            # The TIAs have no such range: they are in the least sensitive one.
            assert ctx.get(chips.pins.tia_range) == (0 if tia_range == 7 else tia_range)
            samples, _ = await bench.convert(ctx, list(range(8)))
            assert sorted(samples) == [(i, i) for i in range(8)]

    bench.run(check)


@pytest.mark.parametrize("clk_hz", [48_000_000, 12_000_000])
@pytest.mark.parametrize("to", [7, 3])
def test_a_conversion_is_whole_wherever_the_range_changes_in_it(clk_hz, to):
    bench = Bench(SMALL, clk_hz)
    core, chips, codes = bench.core, bench.chips, [7, 1, 2, 3, 4, 5, 6, 0]
    off, on = (0, 0xFF) if to == 7 else (0xFF, 0)

    async def check(ctx):
        whole = 0
        for offset in (-2, -1, 0, 1, 2, 3, 5, 8, 13, 40, 90, 140):
            ctx.set(core.range, 10 - to)
            await ctx.tick().repeat(2)
            await bench.until(ctx, core.adc_idle)
            for i, code in enumerate(codes):
                ctx.set(chips.codes[i], code)
            taken, samples = None, []
            for cycle in range(-2, 1_500):
                if cycle == offset:
                    ctx.set(core.range, to)
                # An engine converts when its time has come and the converters are idle.
                strobe = cycle >= 0 and taken is None and ctx.get(core.adc_idle)
                ctx.set(core.convert, strobe)
                if strobe:
                    taken = ctx.get(chips.sensor)
                if ctx.get(core.samples.valid):
                    samples.append(ctx.get(core.samples.payload["column"]))
                if samples:
                    assert len(samples) == 8 or ctx.get(chips.sensor) == taken
                await ctx.tick()
            assert sorted(samples) == list(range(8)) and taken in (off, on)
            assert ctx.get(chips.sensor) == on and ctx.get(core.adc_idle)
            whole += taken == off
        assert 0 < whole < 12

    bench.run(check)


def test_no_switch_takes_its_setting_while_the_converters_are_set():
    """So the settling before a conversion begins after the last frame."""
    bench = Bench(SMALL, 48_000_000)
    core, chips = bench.core, bench.chips

    async def check(ctx):
        for tia_range, sensor in ((7, 0xFF), (0, 0)):
            ctx.set(core.range, tia_range)
            await bench.load(ctx, SwitchGroup.ROWS, 1, 0)
            cycles = await bench.until(ctx, core.loaded)
            assert cycles > 200 and ctx.get(core.adc_idle)
            assert ctx.get(chips.sensor) == sensor and ctx.get(chips.configured)
            await bench.latch(ctx)

    bench.run(check)


@pytest.mark.parametrize("after", [1, 2, 3, 40, 200, 415, 500])
def test_safe_takes_the_converters_off_their_sensors(after):
    bench = Bench(SMALL, 48_000_000)
    core, chips = bench.core, bench.chips

    async def check(ctx):
        for still in (0, 7):
            ctx.set(core.range, 7)
            await ctx.tick().repeat(after)
            ctx.set(core.range, still)
            ctx.set(core.safe, 1)
            await ctx.tick().repeat(60)
            assert not ctx.get(core.ready)
            ctx.set(core.safe, 0)
            await bench.until(ctx, core.ready, limit=30_000)
            assert ctx.get(chips.sensor) == 0 and ctx.get(chips.configured)
            assert ctx.get(core.adc_idle) == (still == 0)
            await bench.until(ctx, core.adc_idle)
            assert ctx.get(chips.sensor) == (0xFF if still else 0)
            ctx.set(core.range, 0)
            await ctx.tick().repeat(2)
            await bench.until(ctx, core.adc_idle)

    bench.run(check)


def test_converters_without_a_sensor_are_left_alone():
    bench = Bench(SMALL, 12_000_000, adc=ad7606.PART)
    core = bench.core

    async def check(ctx):
        ctx.set(core.range, 7)
        for _ in range(20):
            await ctx.tick()
            assert ctx.get(core.adc_idle) and ctx.get(bench.card.tia_range) == 7
        assert not ctx.get(bench.chips.sensor)

    bench.run(check)


def test_a_sensor_slower_than_every_range_is_refused():
    slow = replace(ad7606c.PART, sensor_ps=10**10)
    with pytest.raises(ValueError, match="sensors of AD7606C-16 take 10000000000 ps and range 7"):
        ArrayCard(SMALL, 48_000_000, adc=slow)


def test_a_card_has_no_pins_for_what_there_is_not():
    plain = replace(SMALL, power=False)
    assert "source" not in pins_signature(plain).members
    assert pin_count(plain) == pin_count(SMALL) - 1
    assert pin_count(replace(SMALL, pulse=False)) == pin_count(plain)
    assert pin_count(replace(SMALL, tiles=1)) == pin_count(SMALL) - 12
    timings = [ArrayCard(geometry, 48_000_000).timing() for geometry in (SMALL, plain)]
    assert [timing.source_ps for timing in timings] == [SOURCE_PS, None]


def test_nothing_reaches_the_pins_before_ready():
    bench = Bench(SMALL, 12_000_000)
    core = bench.core

    async def watch(ctx):
        for request in (core.gate_a, core.gate_b, core.convert, core.switch.valid, core.dac.valid,
                        core.source):  # fmt: skip
            ctx.set(request, 1)
        while not ctx.get(core.ready):
            card = bench.card
            for signal in (card.gate_a, card.gate_b, card.adc_convst, card.source):
                assert not ctx.get(signal)
            assert not ctx.get(core.switch.ready) and not ctx.get(core.dac.ready)
            assert not ctx.get(core.adc_idle) and not ctx.get(core.dac_idle)
            await ctx.tick()

    sim = Simulator(bench)
    sim.add_clock(1 / bench.clk_hz)
    sim.add_testbench(watch)
    sim.run()


@pytest.mark.parametrize("clk_hz", [48_000_000, 12_000_000])
@pytest.mark.parametrize("after", [1, 2, 37, 200])
def test_safe_opens_every_switch_and_clears_every_rail_and_then_it_starts_again(clk_hz, after):
    bench = Bench(SMALL, clk_hz)
    core, card, chips = bench.core, bench.card, bench.chips

    async def check(ctx):
        await bench.load(ctx, SwitchGroup.ROWS, 0x0F, 0xF0)
        await bench.until(ctx, core.loaded)
        await bench.latch(ctx)
        ctx.set(core.gate_b, 1)
        ctx.set(core.dac.payload.code, 0xC000)
        ctx.set(core.dac.valid, 1)
        ctx.set(core.convert, 1)
        await ctx.tick()
        ctx.set(core.dac.valid, 0)
        ctx.set(core.convert, 0)
        await bench.load(ctx, SwitchGroup.COLUMNS, 0xFF, 0)
        assert ctx.get(card.gate_b)
        await ctx.tick().repeat(after)
        # The guard closes the gates in the cycle of its decision, and is safe in the next.
        ctx.set(core.gate_b, 0)
        await ctx.tick()
        ctx.set(core.safe, 1)
        await ctx.tick().repeat(STOP_CYCLES - 1)
        assert not ctx.get(card.gate_b)
        assert not ctx.get(card.dac_clr) and not ctx.get(card.sw_reset)
        await ctx.tick().repeat(2)
        for _ in range(300):
            for group in SwitchGroup:
                assert not any(bench.lines(ctx, group))
            assert [ctx.get(chips.rails[i]) for i in range(4)] == [0x8000] * 4
            assert not ctx.get(core.ready)
            await ctx.tick()
        ctx.set(core.safe, 0)
        await bench.until(ctx, core.ready, limit=30_000)
        assert bench.lines(ctx, SwitchGroup.ROWS) == (0, 0, 0xFF)
        assert bench.lines(ctx, SwitchGroup.COLUMNS) == (0, 0xFF)
        assert [ctx.get(chips.rails[i]) for i in range(4)] == [0x8000] * 4
        samples, _ = await bench.convert(ctx, list(range(8)))
        assert sorted(samples) == [(i, i) for i in range(8)]

    bench.run(check)


def test_safe_interrupts_the_initialisation():
    bench = Bench(SMALL, 12_000_000)
    core, card = bench.core, bench.card

    async def check(ctx):
        for after in (3, 40, 150, 400):
            ctx.set(core.safe, 1)
            await ctx.tick().repeat(STOP_CYCLES)
            assert not ctx.get(card.dac_clr) and not ctx.get(card.sw_reset)
            ctx.set(core.safe, 0)
            await ctx.tick().repeat(after)
        await bench.until(ctx, core.ready, limit=30_000)

    bench.run(check)


def test_the_interlock_is_open_unless_its_pin_is_high():
    bench = Bench(SMALL, 12_000_000)

    async def check(ctx):
        for closed in (1, 0, 1):
            ctx.set(bench.chips.interlock, closed)
            await ctx.tick().repeat(2)
            assert ctx.get(bench.core.interlock) == 1 - closed

    bench.run(check)


@pytest.mark.parametrize(
    ("real_hz", "believed_hz"), [(200_000_000, 48_000_000), (60_000_000, 48_000_000)]
)
def test_a_card_built_for_a_slower_clock_is_caught(real_hz, believed_hz):
    bench = Bench(SMALL, real_hz, believed_hz=believed_hz)

    async def convert(ctx):
        await bench.convert(ctx, [0] * 8)

    with pytest.raises(AssertionError):
        bench.run(convert)


def test_pins_start_in_their_safe_state():
    members = pins_signature(Geometry()).members.items()
    safe = {name: member.init or 0 for name, member in members if member.flow is Out}
    high = {name for name, init in safe.items() if init}
    selects = {"sw_cs_rows", "sw_cs_columns", "sw_cs_gates", "adc_cs", "dac_sync", "dac_ldac"}
    assert high == selects | {"dac_sclk", "adc_sclk"}


def pin_count(geometry):
    return sum(member.shape for member in pins_signature(geometry).members.values())


PAGE = (Path(__file__).parents[3] / "docs" / "array-card.md").read_text()


def test_pins_fit_the_header_and_the_page_says_how_many():
    assert pin_count(Geometry()) <= ULX3S_HEADER_PINS
    total = re.search(r"\| total \| (\d+) \|", PAGE)
    assert total and int(total.group(1)) == pin_count(Geometry())


def test_the_page_gives_the_cycles_of_every_step():
    wanted = [ArrayCard(Geometry(), hz).plane_period_cycles() for hz in (48_000_000, 12_000_000)]
    for step in PlaneStep:
        row = re.search(rf"\| {step.value} \|.*\| (\d+) \| (\d+) \|", PAGE)
        assert row, step
        assert [int(value) for value in row.groups()] == [cycles[step] for cycles in wanted]


def test_the_page_gives_the_frames_of_the_temperature_sensors():
    cycles = [setting_cycles(clk_hz) for clk_hz in (48_000_000, 12_000_000)]
    text = PAGE
    assert f"| frames, cycles | {cycles[0]} | {cycles[1]} |" in text
    assert f"| frames, time | {cycles[0] / 48:.1f} us | {cycles[1] / 12:.1f} us |" in text
    assert f"{len(ad7606c.CONFIGURATION)} frames, with" in text
    code = round(ad7606c.sensor_volts(25) / 10 * 32768)
    kelvin = (ad7606c.sensor_volts(26) - ad7606c.sensor_volts(25)) / 10 * 32768
    assert f"so 25 degC is code {code} and a kelvin {kelvin:.0f} codes" in text


def test_the_page_gives_the_ad7606_s_cycles():
    cards = [ArrayCard(Geometry(), hz, adc=ad7606.PART) for hz in (48_000_000, 12_000_000)]
    periods = [card.plane_period_cycles() for card in cards]
    for step, words in (
        (PlaneStep.SETTLE, "settling"),
        (PlaneStep.READOUT, "conversion and read-out"),
    ):
        row = re.search(rf"\| with AD7606: {words} \|.*\| (\d+) \| (\d+) \|", PAGE)
        assert row, step
        assert [int(value) for value in row.groups()] == [period[step] for period in periods]
    assert f"= {settle_ps(0, ad7606.PART) / 1e6:.1f} us |" in PAGE


def test_a_card_with_parts_without_registers_has_no_pin_for_them():
    plain, slow = pins_signature(SMALL).members, pins_signature(SMALL, ad7606.PART).members
    assert set(plain) - set(slow) == {"adc_sdi"}


def remainder(time_ps):
    """Of a full-scale step through TIA and ADC filter, exactly, as a fraction."""
    slow, fast = pole_ps(BANDWIDTH_HZ), pole_ps(AMPLIFIER_BANDWIDTH_HZ)
    return (slow * math.exp(-time_ps / slow) - fast * math.exp(-time_ps / fast)) / (slow - fast)


def test_settling_ends_below_half_an_lsb_and_is_not_wasteful():
    half_lsb = 2.0**-17
    available = settle_ps() - T_ON_PS
    assert 0 < remainder(available) < half_lsb
    assert remainder(0.85 * available) > half_lsb


def test_timing_follows_the_clock():
    for clk_hz in (12_000_000, 48_000_000):
        card = ArrayCard(SMALL, clk_hz)
        timing, period = card.timing(), card.plane_period_cycles()
        assert period[PlaneStep.SETTLE] == -(-timing.settle_ps * clk_hz // 10**12)
        assert timing.pulse_min_ps == max(PULSE_MIN_PS, -(-(10**12) // clk_hz))


@pytest.mark.parametrize(
    ("geometry", "clk_hz", "sentence"),
    [
        (Geometry(columns=248), 48_000_000, "31 ADC chips give 62 words every 32 cycles"),
        (SMALL, 0, "0 Hz is not positive"),
    ],
)
def test_what_cannot_be_met_is_refused(geometry, clk_hz, sentence):
    with pytest.raises(ValueError, match=sentence):
        ArrayCard(geometry, clk_hz)
