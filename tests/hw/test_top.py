"""The whole controller over its serial line, behind the smallest front end there is."""

from __future__ import annotations

import gc
import random
import warnings
from dataclasses import replace

import numpy as np
import pytest
from amaranth import Cat, Module, Mux, Signal
from amaranth.back import rtlil
from amaranth.hdl import UnusedElaboratable
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ohmloom.hw.afe.array_card import ArrayCard
from ohmloom.hw.afe.interface import (
    Ceilings,
    FrontEndSignature,
    FrontEndTiming,
    PlaneStep,
    SwitchGroup,
    TimerChannel,
)
from ohmloom.hw.geometry import Geometry, GeometryError
from ohmloom.hw.isa import (
    ONCE,
    CellStatus,
    Dac,
    Grid,
    Loop,
    Op,
    PulseStatus,
    Reg,
    Sum,
    Train,
    conversion_index,
    encode,
    instruction,
    pack_add,
    pack_level,
    pack_pool,
    pack_pulse,
    pack_requant,
    unpack_outcome,
    unpack_result,
    unpack_sample,
)
from ohmloom.hw.link.coroutine import AsyncLinkClient
from ohmloom.hw.link.exchange import LinkError, LinkRefused, ModeRefused
from ohmloom.hw.link.protocol import Info, Space, depth
from ohmloom.hw.link.uart import BaudError
from ohmloom.hw.modes.engine import GRANT_CYCLES
from ohmloom.hw.profile import (
    Drive,
    Kind,
    ModeRecord,
    ModeStatus,
    Profile,
    ProfileStatus,
    TileMode,
    WayRecord,
    arm_key,
    pack_profile,
    quarters,
    unpack_tile,
)
from ohmloom.hw.top import Top

GEOMETRY = Geometry(
    rows=8, columns=8, tiles=4, act_width=9, program_depth=16, param_depth=16, act_depth=16
)
CLK_HZ, BAUD = 4_000_000, 1_000_000
CONVERT_CYCLES = 36
"""Of the front end here, which tells the core to let its inputs settle for 40."""
HALT = instruction(Op.HALT)


class PowersOfTwo(wiring.Component):
    """A front end without parts: even columns convert to the driven rows as a number."""

    PAIRS_APART = True

    def __init__(self, ready_cycles: int = 10) -> None:
        self.ready_cycles = ready_cycles
        super().__init__(
            {
                "core": In(FrontEndSignature(GEOMETRY)),
                "timer": Out(TimerChannel()),
                "tile_pins": Out(12),
                "range_pins": Out(3),
                "pulse_pin": Out(1),
                "rail_pins": Out(16),
                "sense_pins": In(16),
            }
        )

    def timing(self) -> FrontEndTiming:
        return FrontEndTiming(
            settle_ps=10**7, dac_settle_ps=10**7, switch_ps=10**6, pulse_min_ps=10**6
        )

    def ceilings(self) -> Ceilings:
        return Ceilings(
            low=(0,) * 4,
            high=(0xFFFF,) * 4,
            read=0x7FFF,
            sense=0x8000,
            width_ps=10**12,
            budget_ps=10**12,
            duty=1,
            energy_ps=10**22,
            watchdog_ps=10**12,
        )

    def plane_period_cycles(self) -> dict[PlaneStep, int]:
        return dict.fromkeys(PlaneStep, 40)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        core, timer = self.core, self.timer
        settings = {
            group: Signal.like(core.switch.payload, name=group.name) for group in SwitchGroup
        }
        pending = Signal.like(core.switch.payload)
        held = Signal(GEOMETRY.rows)
        left = Signal(range(CONVERT_CYCLES + 1))
        column = Signal(8)
        on = settings[SwitchGroup.COLUMNS].a & settings[SwitchGroup.GATES].b

        started = Signal()
        m.d.comb += [timer.start.eq(~started), timer.cycles.eq(self.ready_cycles)]
        m.d.sync += started.eq(1)
        with m.If(timer.done):
            m.d.sync += core.ready.eq(1)

        m.d.comb += [core.switch.ready.eq(core.ready & ~core.loaded), core.dac.ready.eq(core.ready)]
        m.d.comb += [core.dac_idle.eq(core.ready), core.adc_idle.eq(core.ready & (left == 0))]
        m.d.comb += core.active.eq(left != 0)
        with m.If(core.switch.valid & core.switch.ready):
            m.d.sync += [pending.eq(core.switch.payload), core.loaded.eq(1)]
        with m.If(core.latch):
            m.d.sync += core.loaded.eq(0)
            for group, setting in settings.items():
                with m.If(pending.group == group):
                    m.d.sync += setting.eq(pending)
        with m.If(core.dac.valid & (core.dac.payload.channel == Dac.RAIL_B)):
            m.d.sync += self.rail_pins.eq(core.dac.payload.code)
        with m.If(core.convert):
            m.d.sync += [
                held.eq(Mux(core.gate_a, settings[SwitchGroup.ROWS].a, 0)),
                left.eq(CONVERT_CYCLES),
            ]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += [
            column.eq(Cat((left - 1)[2], (left - 1)[:2])),
            core.samples.valid.eq((left != 0) & (left <= GEOMETRY.columns)),
            core.samples.payload["column"].eq(column),
            core.samples.payload["code"].eq(
                Mux(on.bit_select(column[:3], 1) & ~column[0], held ^ self.sense_pins, 0)
            ),
            self.tile_pins.eq(core.tile),
            self.range_pins.eq(core.range),
            self.pulse_pin.eq(core.gate_b),
        ]
        return m


class Serial:
    """The byte pipe of ``AsyncLinkClient`` on the controller's serial lines."""

    def __init__(self, top: Top) -> None:
        self.top = top
        self.bit = CLK_HZ // BAUD
        self.received = bytearray()

    async def listen(self, ctx) -> None:
        """A background testbench: sample ``tx`` in the middle of every bit."""
        while True:
            await ctx.negedge(self.top.tx)
            levels = 0
            for i in range(10):
                for _ in range(self.bit // 2 if i == 0 else self.bit):
                    await ctx.tick()
                levels |= ctx.get(self.top.tx) << i
            assert levels >> 9 == 1, "stop bit is low"
            self.received.append(levels >> 1 & 0xFF)

    def on(self, ctx) -> AsyncLinkClient:
        self.ctx = ctx
        return AsyncLinkClient(self, timeout=0.002)

    async def write(self, data: bytes) -> None:
        for byte in data:
            for i in range(10):
                self.ctx.set(self.top.rx, (byte << 1 | 0x200) >> i & 1)
                await self.ctx.tick().repeat(self.bit)

    async def read(self, timeout: float) -> bytes:
        for _ in range(int(timeout * CLK_HZ) // 8):
            if self.received:
                break
            await self.ctx.tick().repeat(8)
        received = bytes(self.received)
        self.received.clear()
        return received


FAST_AND_COMPACT = [pytest.param(False, id="fast"), pytest.param(True, id="compact")]


@pytest.fixture(
    scope="session",
    params=[FAST_AND_COMPACT[0], pytest.param(True, id="compact", marks=pytest.mark.slow)],
)
def controller(request, simulate):
    """``controller(test, watch=...)``: ``test(ctx, top, client)`` beside ``watch(ctx, top)``."""

    def run(test, watch=None, ready_cycles=10):
        geometry = replace(GEOMETRY, compact=request.param)
        top = Top(geometry, CLK_HZ, BAUD, PowersOfTwo(ready_cycles))
        serial = Serial(top)

        async def bench(ctx):
            await test(ctx, top, serial.on(ctx))

        async def beside(ctx):
            if watch is not None:
                await watch(ctx, top)

        simulate(top, bench, background=[serial.listen, beside], cycles=200_000)

    return run


def words(*program) -> list[int]:
    return [encode(instr) for instr in program]


@pytest.mark.slow  # the fuzz reaches them all
def test_every_memory_is_reached_from_end_to_end(controller):
    async def test(ctx, top, client):
        assert await client.ping() == Info.of(GEOMETRY, CLK_HZ)
        rng = random.Random(3)
        spaces = {
            Space.PROGRAM: 64, Space.PARAM: 64, Space.ACT: GEOMETRY.act_width,
            Space.LEVEL: 8, Space.WEAR: 32,
        }  # fmt: skip
        given = {}
        for space, bits in spaces.items():
            given[space] = [rng.getrandbits(bits) for _ in range(depth(space, GEOMETRY))]
            await client.write_words(space, 0, given[space])
        # Each space has kept its own words although all of them were written.
        for space, wanted in given.items():
            where = Space.CELL if space is Space.LEVEL else space
            assert await client.read_words(where, 0, len(wanted)) == wanted, space.name
            with pytest.raises(LinkRefused, match="BAD_ADDRESS"):
                await client.read_words(where, len(wanted), 1)
        # Targets are the wider word of the memory of levels and results.
        targets = [-(1 << 15), -1, 0, (1 << 15) - 1]
        await client.write_words(Space.TARGET, 2, targets)
        found = await client.read_words(Space.CELL, 1, 6)
        assert found[1:5] == [target & 0xFFFF for target in targets]
        assert [found[0], found[5]] == [given[Space.LEVEL][1], given[Space.LEVEL][6]]

    controller(test)


def test_a_tiny_program_runs_and_reports_its_cycles(controller):
    async def test(ctx, top, client):
        program = words(
            instruction(Op.SET, reg=Reg.TIA_RANGE, value=5), instruction(Op.WAIT, cycles=3000), HALT
        )
        await client.ping()
        await client.write_words(Space.PROGRAM, 7, program)
        assert ctx.get(top.pins.range_pins) == 0
        plain = await client.run(7, 1)
        assert plain.saturations == 0
        # 3 for SET, 3 and the wait, 4 for the run itself.
        assert plain.cycles == 3 + 3 + 3000 + 5
        assert ctx.get(top.pins.range_pins) == 5
        assert ctx.get(top.skipped) == 0
        ctx.set(top.jump, 1)
        assert await client.run(7, 2) == plain
        assert ctx.get(top.skipped) > 1000
        status = await client.status()
        assert not status.running and status.last == plain and status.frames_bad == 0

    controller(test)


def test_a_run_waits_until_the_front_end_is_ready(controller):
    ready = 5000

    async def test(ctx, top, client):
        await client.write_words(Space.PROGRAM, 0, words(instruction(Op.NOP), HALT))
        begun = ctx.get(top.now)
        first = await client.run(0, 0)
        assert ready - begun - 1500 < first.cycles < ready - begun  # less the RUN on the line
        assert (await client.run(0, 0)).cycles == 3 + 5

    controller(test, ready_cycles=ready)


@pytest.mark.parametrize("controller", FAST_AND_COMPACT, indirect=True)
def test_a_layer_runs_from_activations_to_activations(controller):
    x = np.array([-256, 255, 1, 0, -1, 77, -100, 13])
    layer = (
        instruction(Op.WAIT, cycles=1000),  # until the link has answered and is quiet
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-200),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=200),
        instruction(Op.MVM, tile=3, act=0, first=0, rows=8, planes=9, signed=1, clear=1),
        instruction(Op.REQUANT, out=12, param=12, count=4),
        HALT,
        instruction(Op.READ, tile=0, cell=9, count=1),
        HALT,
    )
    requant = [(0, 1, 0), (5000, 1, 0), (1000, 3, 7), (2100, 1, 1)]

    async def test(ctx, top, client):
        await client.ping()
        await client.write_words(Space.PROGRAM, 0, words(*layer))
        await client.write_words(Space.ACT, 0, (x & 0x1FF).tolist())
        await client.write_words(Space.PARAM, 12, [pack_requant(*each) for each in requant])
        plain = await client.run(0, 0xDEAD)
        acc = int(x @ (1 << np.arange(8)))
        wanted = [
            min(max(round((acc + bias) * mantissa / (1 << shift)), -200), 200)
            for bias, mantissa, shift in requant
        ]
        assert min(wanted) == -200 and max(wanted) == 200 and len(set(wanted)) == 4
        assert await client.read_words(Space.ACT, 12, 4) == [each & 0x1FF for each in wanted]
        assert ctx.get(top.tag.inference) == 1
        assert ctx.get(top.tag.epoch) == 0xDEAD
        assert ctx.get(top.tag.index) == conversion_index(3, 8)
        # The same again, with time jumps, after a read has moved all the switches.
        await client.write_words(Space.ACT, 12, [0] * 4)
        ctx.set(top.jump, 1)
        await client.run(len(layer) - 2, 0)
        assert await client.run(0, 1) == plain
        assert ctx.get(top.skipped) > 300
        assert await client.read_words(Space.ACT, 12, 4) == [each & 0x1FF for each in wanted]
        # A fault behind the pins is not hidden: one line that is read wrong.
        ctx.set(top.pins.sense_pins, 1)
        await client.run(0, 0xDEAD)
        assert await client.read_words(Space.ACT, 12, 4) != [each & 0x1FF for each in wanted]

    controller(test)


def test_cells_are_programmed_and_read(controller, allow):
    setup = [
        instruction(Op.SET, reg=reg, value=value)
        for reg, value in {
            Reg.LEVELS: 4, Reg.TRIES: 2, Reg.SET_CYCLES: 50, Reg.RESET_CYCLES: 60,
            Reg.RAIL_SET: 0xC000, Reg.RAIL_RESET: 0x3000,
        }.items()
    ]  # fmt: skip
    program = [
        *setup,
        instruction(Op.DAC, channel=Dac.RAIL_A, code=0x8100),
        instruction(Op.PROGRAM, tile=2, cell=7, count=4),
        HALT,
        instruction(Op.READ, tile=1, cell=62, count=2),
        HALT,
    ]
    pulses = []

    async def watch(ctx, top):
        before, pins = 0, top.pins
        while True:
            *_, level, tile, rail = await ctx.tick().sample(
                pins.pulse_pin, pins.tile_pins, pins.rail_pins
            )
            if level and not before:
                pulses.append([tile, rail, 0])
            if level:
                pulses[-1][-1] += 1
            before = level

    async def test(ctx, top, client):
        await client.ping()
        await allow(client, 2)
        await client.write_words(Space.PROGRAM, 0, words(*program))
        await client.write_words(Space.PARAM, 4, [pack_level(1, 0, 0), pack_level(2, 2, 2)])
        await client.write_words(Space.LEVEL, 0, [0, 1, 0, 0])
        await client.run(0, 0)
        # Cells 7 to 10: column 7 of row 0, then columns 0 to 2 of row 1.
        results = [unpack_result(word) for word in await client.read_words(Space.CELL, 0, 4)]
        assert results == [
            (0, 1, CellStatus.DONE),
            (2, 1, CellStatus.DONE),
            (0, 1, CellStatus.DONE),
            (2, 2, CellStatus.NOT_CONVERGED),
        ]
        assert pulses == [[2, 0x3000, 60], [2, 0xC000, 50]] * 5
        await client.run(len(setup) + 3, 0)
        results = [unpack_result(word) for word in await client.read_words(Space.CELL, 0, 2)]
        assert results == [(128, 0, CellStatus.READ), (0, 0, CellStatus.READ)]
        assert len(pulses) == 10

    controller(test, watch)


def test_clipped_codes_are_counted_run_by_run(controller):
    mvm = instruction(Op.MVM, tile=0, act=0, first=0, rows=8, planes=3, signed=0, clear=1)

    async def test(ctx, top, client):
        await client.ping()
        await client.write_words(Space.PROGRAM, 0, words(mvm, mvm, HALT))
        await client.write_words(Space.ACT, 0, [0] * 8)
        for rail, clipped in ((0x7FFF, 4 * 3 * 2), (0x7FFE, 0), (0x8000, 4 * 3 * 2)):
            ctx.set(top.pins.sense_pins, rail)
            assert (await client.run(0, 0)).saturations == clipped

    controller(test)


def test_a_program_that_runs_into_something_else_says_so(controller):
    async def test(ctx, top, client):
        await client.ping()
        await client.write_words(Space.PROGRAM, 0, [*words(instruction(Op.NOP)), 63, *words(HALT)])
        with pytest.raises(LinkError, match="no instruction"):
            await client.run(0, 0)
        assert (await client.status()).last.illegal
        assert (await client.run(2, 0)).cycles == 5
        assert not (await client.status()).last.illegal

    controller(test)


def test_post_processing_reaches_its_memories_and_is_stopped_at_their_end(controller):
    grid = Grid(1, 3, 0, 1, (Loop(2, 3, 1), ONCE, ONCE))
    add = Sum(a=8, b=9, mantissa_a=3, mantissa_b=-1, bias=4, shift=2)
    pool = instruction(Op.POOL, act=0, out=8, param=2, average=0)
    program = (
        instruction(Op.SET, reg=Reg.CLAMP_LO, value=-256),
        instruction(Op.SET, reg=Reg.CLAMP_HI, value=255),
        pool,
        instruction(Op.ADD, out=10, param=8, count=1),
        instruction(Op.ARGMAX, act=0, out=11, count=11, last=0),
        HALT,
        instruction(Op.POOL, act=11, out=8, param=2, average=0),
        HALT,
        instruction(Op.ARGMAX, act=6, out=11, count=11, last=0),
        HALT,
    )
    x = [-3, -9, -100, 77, 200, 5, -256, 1]

    async def test(ctx, top, client):
        await client.ping()
        await client.write_words(Space.PROGRAM, 0, words(*program))
        await client.write_words(Space.PARAM, 2, pack_pool(grid))
        await client.write_words(Space.PARAM, 8, pack_add(add))
        await client.write_words(Space.ACT, 0, [value & 0x1FF for value in x])
        done = await client.run(0, 0)
        # -3 * 3 - 200 + 4 is -205, a quarter of it -51.25.
        wanted = [-3, 200, -51, 4]
        assert await client.read_words(Space.ACT, 8, 4) == [value & 0x1FF for value in wanted]
        # SET, SET, 2 windows of 3, one sum, 11 values.
        assert done.cycles == 5 + 3 + 3 + (8 + 2 * 6 + 2 * 2) + (7 + 7) + (7 + 11)
        for address in (6, 8):  # at a read past the end; before it is started
            with pytest.raises(LinkError):
                await client.run(address, 0)
            assert (await client.status()).last.illegal
        assert await client.run(0, 0) == done

    controller(test)


def test_pins_are_those_of_the_front_end():
    top = Top(GEOMETRY, CLK_HZ, BAUD, PowersOfTwo())
    flows = {name: member.flow for name, member in top.pins.signature.members.items()}
    assert flows == {
        "tile_pins": Out,
        "range_pins": Out,
        "pulse_pin": Out,
        "rail_pins": Out,
        "sense_pins": In,
    }
    rtlil.convert(top, name="top", emit_src=False)


@pytest.mark.parametrize(
    ("geometry", "clk_hz", "baud"),
    [
        (
            Geometry(rows=8, columns=8, tiles=1, program_depth=16, act_depth=16),
            48_000_000,
            3_000_000,
        ),
        (Geometry(rows=8, columns=24, act_width=4, acc_width=16), 12_000_000, 1_000_000),
        (Geometry(rows=64, columns=64, acc_width=64), 48_000_000, 3_000_000),
        (Geometry(rows=248, columns=8, tiles=4096), 48_000_000, 115_200),
    ],
    ids=lambda value: f"{value.rows}x{value.columns}" if isinstance(value, Geometry) else None,
)
def test_elaborates_with_the_array_card(geometry, clk_hz, baud):
    top = Top(geometry, clk_hz, baud, ArrayCard(geometry, clk_hz))
    text = rtlil.convert(top, name="top", emit_src=False)
    assert f"wire width {2 * geometry.columns // 8} input" in text  # adc_dout


def test_a_rate_that_cannot_be_met_is_refused():
    with warnings.catch_warnings():
        # Amaranth warns of the components that were never finished.
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(BaudError, match="cannot make 3000000 baud"):
            Top(GEOMETRY, 25_000_000, 3_000_000, PowersOfTwo())


def test_banks_are_for_simulation():
    with pytest.raises(GeometryError, match="with banks is for simulation"):
        Top(replace(GEOMETRY, banks=True), CLK_HZ, BAUD, PowersOfTwo())


def test_a_front_end_that_samples_a_pair_at_once_is_not_for_a_compact_controller():
    class InOrder(PowersOfTwo):
        PAIRS_APART = False

    with pytest.raises(GeometryError, match="InOrder samples the columns of a pair in a row"):
        Top(replace(GEOMETRY, compact=True), CLK_HZ, BAUD, InOrder())
        gc.collect()


@pytest.mark.slow
def test_pulses_run_and_are_refused_and_stopped(controller, allow):
    train = Train(rail=0x9000, width=400, pulses=2, interval=600, inside=1, delay=100)
    pulse = instruction(Op.PULSE, tile=1, row=2, column=4, count=1, down=0, param=2)
    closed = []

    async def watch(ctx, top):
        for _ in range(3):  # two of the train that runs to its end, one of the next
            await ctx.posedge(top.pins.pulse_pin)
        await ctx.tick().repeat(50)
        ctx.set(top.abort, 1)
        await ctx.tick()
        ctx.set(top.abort, 0)
        closed.append((ctx.get(top.pins.pulse_pin), ctx.get(top.pins.rail_pins)))

    async def test(ctx, top, client):
        await client.ping()
        await allow(client, 1)
        ctx.set(top.pins.sense_pins, 1234)
        await client.write_words(Space.PROGRAM, 0, words(pulse, HALT))
        await client.write_words(Space.PARAM, 2, pack_pulse(train))
        done = await client.run(0, 0)
        # By the formulas of docs/gateware.md with L = S = 1 and D = 40.
        opening = 12 + 8 + 40
        rail_writes = 2 if top.geometry.compact else 0  # each waits for its limits
        closing = 3 + 1 + 1 + 40
        assert done.cycles == 10 + GRANT_CYCLES + opening + 600 + 400 + closing + rail_writes
        outcome, *samples = await client.read_words(Space.CELL, 0, 3)
        assert unpack_outcome(outcome) == (2, PulseStatus.DONE)
        assert [unpack_sample(word) for word in samples] == [(1234, False)] * 2

        await client.write_words(Space.PARAM, 2, pack_pulse(replace(train, delay=39)))
        with pytest.raises(LinkError):
            await client.run(0, 0)
        (outcome,) = await client.read_words(Space.CELL, 0, 1)
        assert unpack_outcome(outcome) == (0, PulseStatus.REFUSED)

        await client.write_words(Space.PARAM, 2, pack_pulse(train))
        with pytest.raises(LinkError):
            await client.run(0, 0)
        (outcome,) = await client.read_words(Space.CELL, 0, 1)
        assert unpack_outcome(outcome) == (0, PulseStatus.ABORTED)
        assert closed == [(0, 0x9000)] and ctx.get(top.pins.rail_pins) == 0x8000

    controller(test, watch)


def test_modes_hold_from_end_to_end(controller):
    """Without a profile nothing drives; with one, what a mode, a way and a lock bit allow."""
    within = Drive(0, 0xFFFF, 0, 0, 0x8000, 0x9000, 500, 0)
    profile = Profile(
        (
            ModeRecord(Kind.ANALOG, within),
            # Any code says "unwritten".
            ModeRecord(Kind.NONVOLATILE, within, write_once=True, unwritten=32767),
        ),
        (WayRecord(0, 1, within, param=2, sweep=False, irreversible=True),),
    )
    train = Train(rail=0x9000, width=400, pulses=1, inside=1, delay=100)
    pulse = instruction(Op.PULSE, tile=1, row=2, column=4, count=1, down=0, param=2)
    arm = instruction(Op.SET, reg=Reg.ARM, value=arm_key(1, 1))
    change = instruction(Op.MODE, tile=1, to=1)
    adopt, restore = instruction(Op.ADOPT), instruction(Op.RESTORE, tile=1, mode=0)
    program = [pulse, HALT, adopt, restore, pulse, HALT, change, HALT, arm, change, HALT]
    read = instruction(Op.READ, tile=1, cell=2 * GEOMETRY.columns + 4, count=1)
    ranges = [instruction(Op.SET, reg=Reg.TIA_RANGE, value=value) for value in (7, 0)]
    openings = []

    async def watch(ctx, top):
        before = 0
        while True:
            *_, level, rail, on, to = await ctx.tick().sample(
                top.pins.pulse_pin, top.pins.rail_pins, top.changing.on, top.changing.to
            )
            if level and not before:
                openings.append((rail, on, to if on else None))
            before = level

    async def refused(client, address) -> ModeStatus:
        with pytest.raises(ModeRefused) as caught:
            await client.run(address, 0)
        return caught.value.status

    async def test(ctx, top, client):
        await client.ping()
        await client.write_words(Space.PROGRAM, 0, words(*program))
        await client.write_words(Space.PARAM, 2, pack_pulse(train))
        assert await refused(client, 0) is ModeStatus.NO_PROFILE and openings == []
        await client.write_words(Space.PROFILE, 0, quarters(pack_profile(profile)))
        await client.run(2, 0)
        assert openings == [(0x9000, 0, None)]
        with pytest.raises(LinkRefused, match="LOCKED"):
            await client.write_words(Space.PROFILE, 0, [0])
        assert await refused(client, 6) is ModeStatus.UNARMED and len(openings) == 1
        (outcome,) = await client.read_words(Space.CELL, 0, 1)
        await client.run(8, 0)
        assert openings[1:] == [(0x9000, 1, 1)] * GEOMETRY.rows
        assert await client.read_words(Space.CELL, 0, 1) == [outcome]  # it was silent
        (word,) = await client.read_words(Space.MODE, 1, 1)
        assert unpack_tile(word) == (
            TileMode(True, False, 1), ModeStatus.OK, ProfileStatus.OK, True
        )  # fmt: skip
        assert await refused(client, 0) is ModeStatus.LOCKED and len(openings) == 9
        address = GEOMETRY.lock_address(1, 2, 4)
        await client.write_words(Space.LOCK, address, [1])
        await client.run(0, 0)
        assert len(openings) == 10
        assert await client.read_words(Space.LOCK, address, 1) == [0]
        assert await refused(client, 0) is ModeStatus.LOCKED and len(openings) == 10
        # A temperature says nothing of a written cell, a code of it does.
        for tia_range, unlocked in zip(ranges, (0, 1), strict=True):
            await client.write_words(Space.PROGRAM, 0, words(tia_range, read, HALT))
            await client.run(0, 0)
            assert await client.read_words(Space.LOCK, address, 1) == [unlocked]

    controller(test, watch)
