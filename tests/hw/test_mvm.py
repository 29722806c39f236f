"""The MVM engine with its accumulators, against numpy, behind a front end that settles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.lib import memory
from amaranth.lib.wiring import connect
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ohmloom.hw.accumulator import Accumulator
from ohmloom.hw.afe.interface import SwitchGroup
from ohmloom.hw.cycles import FrontEndCycles, mvm_cycles
from ohmloom.hw.geometry import MOST_SHIFT, Geometry
from ohmloom.hw.isa import Scheme, conversion_index
from ohmloom.hw.mvm import MvmEngine
from ohmloom.hw.timers import Timers

GEOMETRY = Geometry(rows=8, columns=8, act_width=9, act_depth=32)
ROWS, COLUMNS = GEOMETRY.rows, GEOMETRY.columns
ALL = (1 << COLUMNS) - 1


class Bench(Elaboratable):
    """Engine, accumulators, activation memory and timers, wired as in the top."""

    def __init__(self, geometry, act, timing, clk_hz, jump):
        self.act = memory.Memory(
            shape=GEOMETRY.act_width,
            depth=GEOMETRY.act_depth,
            init=[int(word) & (1 << GEOMETRY.act_width) - 1 for word in act],
        )
        self.engine = MvmEngine(geometry, timing, clk_hz)
        self.accumulator = Accumulator(geometry)
        self.timers = Timers([self.engine.timer.signature.bits])
        self.jump = jump

    def elaborate(self, platform):
        m = Module()
        m.submodules.act = self.act
        m.submodules.engine = engine = self.engine
        m.submodules.accumulator = accumulator = self.accumulator
        m.submodules.timers = timers = self.timers
        connect(m, timers.channel[0], engine.timer)
        read = self.act.read_port()
        m.d.comb += [
            read.addr.eq(engine.act_address),
            engine.act_data.eq(read.data),
            accumulator.samples.valid.eq(engine.fe.samples.valid),
            accumulator.samples.payload.eq(engine.fe.samples.payload),
            accumulator.enable.eq(engine.acc_enable),
            accumulator.shift.eq(engine.acc_shift),
            accumulator.negate.eq(engine.acc_negate),
            accumulator.clear.eq(engine.acc_clear),
            engine.acc_idle.eq(accumulator.idle),
            timers.quiet.eq(~(engine.active | engine.fe.active)),
            timers.jump.eq(self.jump),
        ]
        if engine.geometry.single:
            m.d.comb += accumulator.single.eq(engine.acc_single)
        return m


@dataclass
class Mvm:
    """One instruction; ``fresh``: someone else has used the switches before it."""

    first: int = 0
    rows: int = ROWS
    planes: int = 3
    signed: int = 0
    clear: int = 1
    shift: int = 0
    scheme: Scheme = Scheme.DIFFERENTIAL
    act: int = 0
    tile: int = 3
    pc: int = 5
    epoch: int = 9
    fresh: bool = False


@dataclass
class Run:
    """What came of it: accumulators, cycles of each instruction, and the front end."""

    acc: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    skipped: int = 0


@pytest.fixture(scope="session")
def execute(simulate, front_end, front_end_times):
    """``execute(act, g, instructions, times=..., told=..., jump=...)`` -> ``Run``, front end.

    ``told`` are the times that the engine works with, by default the right ones; the
    columns are those of ``g``. ``ranges`` are the settling times of TIA ranges; with
    ``slices=False`` the engine takes no shift, with ``single`` it takes a scheme.
    """

    def run(
        act,
        g,
        instructions,
        times=None,
        told=None,
        jump=False,
        ranges=(),
        tia_range=0,
        slices=True,
        single=False,
    ):
        times = times or front_end_times()
        columns = g.shape[1]
        geometry = replace(GEOMETRY, columns=columns, slices=slices, single=single)
        timing = replace((told or times).timing, range_settle_ps=ranges)
        dut = Bench(geometry, act, timing, times.CLK_HZ, jump)
        engine, accumulator, now = dut.engine, dut.accumulator, dut.timers.now

        def code_of(held):
            s = held.setting
            driven = np.array([held.gate_a & s.row_a >> row & 1 for row in range(ROWS)])
            sensed = np.array([s.column & s.gate_on >> col & 1 for col in range(columns)])
            return (driven @ g * sensed).tolist()

        fe = front_end(engine.fe, now, code_of, times)
        result = Run()

        async def bench(ctx):
            ctx.set(engine.range, tia_range)
            for op in instructions:
                ctx.set(engine.fresh, op.fresh)
                await ctx.tick()
                ctx.set(engine.fresh, 0)
                for name in (
                    *("tile", "act", "first", "rows", "planes", "signed", "clear", "shift"),
                ):
                    ctx.set(getattr(engine.operand, name), getattr(op, name))
                if single:
                    ctx.set(engine.scheme, op.scheme)
                ctx.set(engine.pc, op.pc)
                ctx.set(engine.epoch, op.epoch)
                ctx.set(engine.start, 1)
                begun = ctx.get(now)
                await ctx.tick()
                ctx.set(engine.start, 0)
                while not ctx.get(engine.done):
                    await ctx.tick()
                result.cycles.append(ctx.get(now) - begun)
                await ctx.tick()
            assert not ctx.get(engine.active) and not ctx.get(engine.fe.gate_a)
            for k in range(geometry.accumulators):
                ctx.set(accumulator.address, k)
                await ctx.tick()
                result.acc.append(ctx.get(accumulator.value))
            result.skipped = ctx.get(dut.timers.skipped)

        simulate(dut, bench, background=[fe.run], cycles=20_000)
        return result, fe

    return run


def product(act: np.ndarray, g: np.ndarray, op: Mvm) -> list[int]:
    """Differences of column sums of the bits that the planes cover, shifted."""
    window = slice(op.first, op.first + op.rows)
    bits = act[op.act : op.act + ROWS][window] & (1 << op.planes) - 1
    if op.signed:
        bits = bits - ((bits >> (op.planes - 1)) << op.planes)
    if op.scheme is Scheme.DIFFERENTIAL:
        return ((bits @ (g[window, 0::2] - g[window, 1::2])) << op.shift).tolist()
    sums = (bits @ (g[window, 1:] - g[window, :1])) << op.shift
    return (-sums if op.scheme is Scheme.SUBTRACTED else sums).tolist()


RNG = np.random.default_rng(1)
ACT = RNG.integers(-256, 256, GEOMETRY.act_depth)
G = RNG.integers(0, 2000, (ROWS, COLUMNS))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    window=st.integers(0, ROWS - 1).flatmap(
        lambda first: st.tuples(st.just(first), st.integers(1, ROWS - first))
    ),
    planes=st.integers(1, 9),
    signed=st.integers(0, 1),
    act=st.integers(0, GEOMETRY.act_depth - ROWS),
    shift=st.integers(0, MOST_SHIFT),
)
@example(seed=0, window=(7, 1), planes=1, signed=1, act=24, shift=0)
@example(seed=0, window=(0, 8), planes=9, signed=1, act=0, shift=MOST_SHIFT)
def test_equals_numpy(execute, seed, window, planes, signed, act, shift):
    rng = np.random.default_rng(seed)
    x = rng.integers(-256, 256, GEOMETRY.act_depth)
    g = rng.integers(0, 2000, (ROWS, COLUMNS))
    op = Mvm(*window, planes=planes, signed=signed, act=act, shift=shift)
    result, fe = execute(x, g, [op])
    assert result.acc == product(x, g, op)
    assert fe.faults == []


def test_one_flipped_conductance_is_seen(execute):
    result, _ = execute(ACT, G, [Mvm(planes=9, signed=1)])
    other = G.copy()
    other[3, 5] ^= 1
    assert result.acc != product(ACT, other, Mvm(planes=9, signed=1))


def test_clear_begins_a_sum_and_its_absence_goes_on_with_it(execute):
    parts = [Mvm(first=0, rows=3), Mvm(first=3, rows=5, clear=0), Mvm(act=8, clear=0)]
    result, _ = execute(ACT, G, [Mvm(act=16), *parts])
    assert result.acc == np.sum([product(ACT, G, op) for op in parts], axis=0).tolist()


def test_slices_are_weighed_and_summed_and_take_no_other_time(execute):
    parts = [Mvm(planes=9, signed=1, shift=n * 4, clear=not n) for n in range(3)]
    result, _ = execute(ACT, G, parts)
    assert result.acc == np.sum([product(ACT, G, op) for op in parts], axis=0).tolist()
    plain, _ = execute(ACT, G, [replace(op, shift=0) for op in parts])
    assert result.cycles == plain.cycles


def test_a_shift_that_is_ignored_is_seen(execute):
    op = Mvm(planes=9, signed=1, shift=3)
    result, _ = execute(ACT, G, [op], slices=False)
    assert result.acc == product(ACT, G, replace(op, shift=0)) != product(ACT, G, op)


def padded(sums: list[int]) -> np.ndarray:
    """With the accumulators that are left alone, of a controller with single columns."""
    return np.pad(sums, (0, COLUMNS - len(sums)))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    schemes=st.lists(st.sampled_from(Scheme), min_size=1, max_size=4),
    planes=st.integers(1, 9),
    signed=st.integers(0, 1),
    shift=st.integers(0, MOST_SHIFT),
)
@example(seed=0, schemes=list(Scheme), planes=9, signed=1, shift=MOST_SHIFT)
@example(seed=0, schemes=[Scheme.SUBTRACTED], planes=1, signed=1, shift=0)
def test_schemes_add_up(execute, seed, schemes, planes, signed, shift):
    rng = np.random.default_rng(seed)
    x = rng.integers(-256, 256, GEOMETRY.act_depth)
    g = rng.integers(0, 2000, (ROWS, COLUMNS))
    parts = [
        Mvm(planes=planes, signed=signed, shift=shift, clear=not n, scheme=each, act=8 * n)
        for n, each in enumerate(schemes)
    ]
    before = Mvm(scheme=Scheme.SINGLE)  # which the first part clears
    result, fe = execute(x, g, [before, *parts], single=True)
    assert fe.faults == []
    assert result.acc == np.sum([padded(product(x, g, op)) for op in parts], axis=0).tolist()


def test_a_scheme_that_is_ignored_is_seen(execute):
    op = Mvm(planes=9, signed=1, scheme=Scheme.SUBTRACTED)
    wrong = replace(op, scheme=Scheme.SINGLE)
    result, _ = execute(ACT, G, [wrong], single=True)
    assert result.acc == padded(product(ACT, G, wrong)).tolist()
    assert result.acc != padded(product(ACT, G, op)).tolist()


def test_no_sample_arrives_before_the_accumulators_are_clear(execute, front_end_times):
    # Many columns, which take one cycle a pair to clear, and a front end that is faster.
    times = front_end_times(settle=1, load=1, readout=66)
    g = RNG.integers(0, 2000, (ROWS, 64))
    for op in (Mvm(planes=1), Mvm(planes=3, act=8)):
        result, fe = execute(ACT, g, [Mvm(), op], times)
        assert result.acc == product(ACT, g, op)
        assert fe.faults == []
        single = replace(op, scheme=Scheme.SINGLE)  # of which there are twice as many
        result, fe = execute(ACT, g, [Mvm(), single], times, single=True)
        assert result.acc == [*product(ACT, g, single), 0]
        assert fe.faults == []


def test_rows_move_only_after_the_last_ones_are_held(execute, front_end_times):
    # Switches much faster, and as fast, as everything else.
    for times in (front_end_times(load=1), front_end_times(settle=10, readout=10, load=1)):
        _, fe = execute(ACT, G, [Mvm(planes=5)], times)
        assert fe.faults == []
        latches = [cycle for cycle, group in fe.latches if group is SwitchGroup.ROWS]
        held = [conversion.cycle for conversion in fe.conversions]
        assert len(latches) == len(held) == 5
        assert all(a + times.settle <= b for a, b in zip(latches, held, strict=True))
        assert all(a < b for a, b in zip(held, latches[1:], strict=False))


def test_a_conversion_that_comes_too_early_is_seen(execute, front_end_times):
    times = front_end_times()
    op = Mvm(planes=9, signed=1)
    result, fe = execute(ACT, G, [op], times, told=replace(times, settle=times.settle - 1))
    assert fe.faults and "before the inputs have settled" in fe.faults[0]
    assert result.acc != product(ACT, G, op)


@pytest.mark.parametrize(
    ("settle", "readout", "load", "rules"),
    [
        (60, 20, 4, "settle"),
        (33, 35, 4, "readout"),
        (12, 70, 4, "readout"),
        (12, 20, 50, "update"),
        (1, 10, 1, "update"),
    ],
)
def test_takes_exactly_the_cycles_of_the_longest_step(
    execute, front_end_times, settle, readout, load, rules
):
    times = front_end_times(settle=settle, readout=readout, load=load)
    # A switch update begins with the gathering of its bits, one row a cycle; latch and
    # convert are never in one cycle.
    steps = {"settle": settle + 1, "readout": readout, "update": ROWS + 2 + load}
    assert max(steps, key=lambda name: steps[name]) == rules
    planes = 6
    result, fe = execute(ACT, G, [Mvm(), Mvm(planes=planes)], times)
    period = steps[rules]
    assert result.cycles[1] == steps["update"] + settle + (planes - 1) * period + readout
    held = [conversion.cycle for conversion in fe.conversions[-planes:]]
    assert np.diff(held).tolist() == [period] * (planes - 1)


@settings(max_examples=60, deadline=None)
@given(
    settle=st.integers(0, 70),
    readout=st.integers(ROWS + 3, 90),
    load=st.integers(1, 60),
    recover=st.integers(1, 90),
    hold=st.integers(1, 90),
    wide=st.booleans(),
    single=st.booleans(),
    ops=st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 1), st.booleans()), min_size=1, max_size=3
    ),
)
@example(
    settle=1,
    readout=66,
    load=1,
    recover=1,
    hold=1,
    wide=True,
    single=False,
    ops=[(1, 1, False)] * 2,
)
@example(
    settle=1, readout=66, load=1, recover=1, hold=1, wide=True, single=True, ops=[(1, 1, False)] * 2
)
@example(
    settle=60, readout=20, load=1, recover=70, hold=1, wide=False, single=False, ops=[(4, 0, True)]
)
@example(
    settle=5, readout=20, load=9, recover=3, hold=17, wide=False, single=False, ops=[(6, 1, False)]
)
def test_takes_exactly_what_the_cost_model_says(
    execute, front_end_times, settle, readout, load, recover, hold, wide, single, ops
):
    columns = 64 if wide else COLUMNS
    readout = max(readout, columns + 2)
    recover, hold = min(recover, settle + readout), min(hold, readout)
    times = front_end_times(settle=settle, readout=readout, load=load, recover=recover, hold=hold)
    front_end = FrontEndCycles(
        settle=(settle,) * 8,
        load=load,
        recover=recover,
        readout=readout,
        hold=hold,
        write=(times.shift,) * 4,
        dac_settle=times.dac_settle,
    )
    g = np.zeros((ROWS, columns), int)
    program = [Mvm(planes=planes, clear=clear, fresh=fresh) for planes, clear, fresh in ops]
    result, fe = execute(ACT, g, program, times, single=single)
    geometry = replace(GEOMETRY, columns=columns, single=single)
    assert result.cycles == [
        mvm_cycles(
            geometry,
            front_end,
            op.planes,
            clear=bool(op.clear),
            configured=bool(n) and not op.fresh,
        )
        for n, op in enumerate(program)
    ]
    assert fe.faults == []


@pytest.mark.parametrize(("tia_range", "settle"), [(0, 40), (1, 90), (2, 300), (3, 300)])
def test_the_wait_is_that_of_the_range(execute, front_end_times, tia_range, settle):
    """From the first instruction on, by the formula with S of that range."""
    times = front_end_times(settle=settle)
    ranges = (40_000, 90_000, 300_000)
    act, g = range(32), np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    ops = [Mvm(planes=4), Mvm(planes=4)]
    told = front_end_times()
    plain, _ = execute(act, g, ops, times=times)
    result, fe = execute(act, g, ops, times=times, told=told, ranges=ranges, tia_range=tia_range)
    assert fe.faults == [] and result.acc == plain.acc and result.cycles == plain.cycles
    if settle > 40:
        _, fe = execute(act, g, ops, times=times, told=told, ranges=ranges, tia_range=0)
        assert any("before the inputs have settled" in fault for fault in fe.faults)


def test_the_first_one_sets_columns_and_gates_and_the_next_one_need_not(execute, front_end_times):
    times = front_end_times()
    result, fe = execute(ACT, G, [Mvm(), Mvm(), Mvm(fresh=True)], times)
    configure = [(SwitchGroup.COLUMNS, ALL, 0), (SwitchGroup.GATES, 0, ALL)]
    others = [update[1:] for update in fe.updates if update[1] is not SwitchGroup.ROWS]
    assert others == configure * 2
    extra = len(configure) * (times.load + 1)
    assert result.cycles == [result.cycles[1] + extra, result.cycles[1], result.cycles[1] + extra]
    assert all(conversion.setting.column == ALL for conversion in fe.conversions)
    assert all(conversion.setting.gate_on == ALL for conversion in fe.conversions)


def test_the_switches_show_the_bits_of_the_window_and_rail_b_nothing(execute):
    op = Mvm(first=2, rows=4, planes=4, act=8)
    _, fe = execute(ACT, G, [op])
    shown = [(held.setting.row_a, held.setting.row_b, held.gate_a) for held in fe.conversions]
    bits = [
        sum((int(ACT[8 + row]) >> plane & 1) << row for row in range(2, 6)) for plane in range(4)
    ]
    assert shown == [(mask, 0, 1) for mask in bits]


def test_conversions_carry_their_name_and_tile(execute):
    ops = [
        Mvm(pc=0xABCD, epoch=2**32 - 1, planes=4, tile=4095),
        Mvm(pc=0, epoch=0, planes=2),
        Mvm(pc=7, planes=3, shift=MOST_SHIFT),  # which the name does not say
    ]
    _, fe = execute(ACT, G, ops)
    names = [(held.tag, held.tile) for held in fe.conversions]
    assert names == [
        ((1, op.epoch, conversion_index(op.pc, plane)), op.tile)
        for op in ops
        for plane in range(op.planes)
    ]


def test_time_jumps_change_nothing_but_the_wait(execute, front_end_times):
    times = front_end_times(settle=300)
    ops = [Mvm(planes=9, signed=1), Mvm(first=1, rows=2, clear=0)]
    plain, fe = execute(ACT, G, ops, times)
    jumped, other = execute(ACT, G, ops, times, jump=True)
    assert (jumped.acc, jumped.cycles) == (plain.acc, plain.cycles)
    assert other.conversions == fe.conversions and other.updates == fe.updates
    assert plain.skipped == 0 and jumped.skipped > 8 * 200
