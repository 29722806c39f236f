"""Post-processing: the gateware against the numpy engine, in exact cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.lib import memory
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ohmloom.hw import postprocess
from ohmloom.hw.bounds import BOUNDS
from ohmloom.hw.cycles import pool_cycles, post_cycles
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import (
    POOL_WORDS,
    TABLE_WORDS,
    WINDOW_FIELDS,
    Grid,
    Instruction,
    Loop,
    Op,
    Reg,
    Sum,
    encode,
    instruction,
    pack_add,
    pack_pool,
    pack_requant,
    pack_table,
)
from ohmloom.hw.post.add import ResidualAdd
from ohmloom.hw.post.argmax import ArgMax
from ohmloom.hw.post.lut import LookUp
from ohmloom.hw.post.pool import Pool
from ohmloom.hw.post.requant import Requantiser
from ohmloom.hw.post.widths import sum_bits, value_bits
from ohmloom.hw.postprocess import PostProcessor
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load
from ohmloom.sim.engine import EngineError, NumpyEngine

WIDE = Geometry(rows=8, columns=8, tiles=1, act_depth=64, param_depth=192)
NARROW = replace(WIDE, act_width=9, acc_width=32)
SINGLE = replace(NARROW, single=True)
SERIAL = replace(WIDE, residual=False, compact=True)
SMALL = replace(NARROW, residual=False, compact=True, act_depth=61)
COMPACT = replace(WIDE, compact=True)
FULL = (-(2**15), 2**15 - 1)
HALT = instruction(Op.HALT)


class Bench(Elaboratable):
    """The post-processor between its memories."""

    def __init__(self, geometry: Geometry, act, params, acc) -> None:
        mask = (1 << geometry.act_width) - 1
        self.dut = PostProcessor(geometry)
        self.act = memory.Memory(
            shape=geometry.act_width, depth=geometry.act_depth, init=[int(v) & mask for v in act]
        )
        self.param = memory.Memory(shape=64, depth=geometry.param_depth, init=params)
        mask = (1 << geometry.acc_width) - 1
        self.acc = memory.Memory(
            shape=geometry.acc_width, depth=geometry.accumulators, init=[int(v) & mask for v in acc]
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        m.submodules.act, m.submodules.param = self.act, self.param
        m.submodules.acc = self.acc
        act, write = self.act.read_port(), self.act.write_port()
        param, acc = self.param.read_port(), self.acc.read_port()
        m.d.comb += [
            act.addr.eq(dut.act_address),
            dut.act_read_data.eq(act.data),
            write.addr.eq(dut.act_address),
            write.data.eq(dut.act_data),
            write.en.eq(dut.act_write),
            param.addr.eq(dut.param_address),
            dut.param_data.eq(param.data),
            acc.addr.eq(dut.acc_address),
            dut.acc_value.eq(acc.data),
        ]
        return m


@dataclass
class Case:
    """Memories, bounds and instructions."""

    program: Sequence[Instruction]
    act: Sequence[int] = ()
    params: Sequence[int] = ()
    acc: Sequence[int] = ()
    clamp: tuple[int, int] = FULL
    geometry: Geometry = WIDE


@dataclass
class Outcome:
    """Activations, and for each instruction its cycles; the last one may have failed."""

    act: list[int]
    cycles: list[int]
    failed: bool = False


@pytest.fixture(scope="session")
def gateware(simulate):
    """``gateware(case)`` -> what the RTL makes of it, up to the first fault."""

    def run(case: Case, limit: int = 20_000) -> Outcome:
        geometry = case.geometry
        bench = Bench(geometry, case.act, list(case.params), case.acc)
        dut = bench.dut
        outcome = Outcome([], [])

        async def test(ctx):
            ctx.set(dut.clamp_lo, case.clamp[0])
            ctx.set(dut.clamp_hi, case.clamp[1])
            for instr in case.program:
                ctx.set(dut.instruction, encode(instr))
                ctx.set(dut.start, 1)
                assert not ctx.get(dut.active)
                await ctx.tick()
                ctx.set(dut.start, 0)
                cycles = 1
                while not ctx.get(dut.done):
                    assert ctx.get(dut.active)
                    cycles += 1
                    await ctx.tick()
                outcome.cycles.append(cycles)
                outcome.failed = bool(ctx.get(dut.fault))
                assert not (outcome.failed and ctx.get(dut.act_write))
                await ctx.tick()
                assert not ctx.get(dut.active)
                if outcome.failed:
                    break
            width = geometry.act_width
            for word in range(geometry.act_depth):
                raw = ctx.get(bench.act.data[word])
                outcome.act.append(raw - ((raw >> width - 1) << width))

        simulate(bench, test, cycles=limit)
        return outcome

    return run


def _engine(geometry: Geometry) -> NumpyEngine:
    image = Image(
        geometry=geometry,
        code=(HALT,),
        entries={"infer": 0},
        params=np.zeros(geometry.param_depth, np.uint64),
        tiles=1,
        input=Span(0, geometry.act_depth),
        layers=(LayerSpan("all", Span(0, geometry.act_depth)),),
    )
    array = SimulatedArray(load("ideal"), 1, geometry.rows, geometry.columns, 0)
    return NumpyEngine(image, array, Converters(), 1_000_000, 0)


ENGINES: dict[Geometry, NumpyEngine] = {}


def reference(case: Case) -> Outcome:
    """The same by the numpy engine."""
    geometry = case.geometry
    made = ENGINES.get(geometry) or ENGINES.setdefault(geometry, _engine(geometry))
    made.registers[Reg.CLAMP_LO], made.registers[Reg.CLAMP_HI] = case.clamp
    batch = made._batch(np.zeros(1, np.int64))
    batch.act[0, : len(case.act)] = case.act
    batch.acc[0, : len(case.acc)] = case.acc
    params = np.zeros(geometry.param_depth, np.uint64)
    params[: len(case.params)] = np.array(list(case.params), np.uint64)
    outcome = Outcome([], [])
    for instr in case.program:
        made.image = replace(made.image, code=(instr, HALT), params=params)
        outcome.cycles.append(cycles(instr, params, geometry))
        try:
            made._run("infer", batch)
        except EngineError:
            outcome.failed = True
            break
        assert post_cycles(instr, params.tolist(), geometry) == outcome.cycles[-1]
    outcome.act = batch.act[0].tolist()
    return outcome


def cycles(instr: Instruction, params, geometry: Geometry) -> int:
    """Cycles of the unit, as docs/gateware.md has them."""
    scaling = 4
    if geometry.compact and not geometry.residual:
        value = max(geometry.acc_width, geometry.pool * (geometry.act_width + 16))
        scaling = 2 + max(max(value, 32) + 25, geometry.act_width + 63)
    match instr.op:
        case Op.REQUANT:
            return (2 + scaling) * instr["count"]
        case Op.LUT:
            return 3 * instr["count"]
        case Op.ADD:
            return 2 + 7 * instr["count"]
        case Op.ARGMAX:
            return 2 + instr["count"]
        case _:
            # The fields by hand: rows, columns, then the count of each loop.
            words = [int(word) for word in params[instr["param"] : instr["param"] + POOL_WORDS]]
            reads = (words[0] & 0xFF) * (words[0] >> 8 & 0xFF)
            inner, middle, outer = (word & 0xFFFF for word in words[1:])
            window = reads + 2 + (scaling if instr["average"] else 0)
            return 3 + inner * middle * outer * (window + 1) + 2 * (middle * outer + outer)


def compare(gateware, case: Case) -> Outcome:
    """Both; they must agree."""
    found, wanted = gateware(case), reference(case)
    assert found.failed == wanted.failed
    if not wanted.failed:
        assert found.act == wanted.act
        assert found.cycles == wanted.cycles
    else:
        assert len(found.cycles) == len(wanted.cycles)
        assert found.cycles[:-1] == wanted.cycles[:-1]
    return found


# -- programs at random ---------------------------------------------------------------


def signed_bits(bits: int):
    """Signed integers, the extremes often among them."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, -1, 1]))


@st.composite
def cases(draw, geometry: Geometry) -> Case:
    """Up to six instructions that the sequencer would start, on whatever is in memory."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth, width = geometry.act_depth, geometry.act_width
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    few = draw(st.sampled_from([2, 5, high]))  # few different values: ties
    act = rng.integers(max(low, -few), min(high, few), depth, endpoint=True)
    act[rng.integers(0, depth, 4)] = draw(st.sampled_from([low, high]))
    slack = draw(st.sampled_from([0, 0, 0, 9]))  # entries that no activation holds, rarely
    entries = rng.integers(low - slack, high + slack, 256, endpoint=True).clip(*FULL)
    params = pack_table(entries.tolist())
    program = []
    for _ in range(draw(st.integers(1, 6))):
        op = draw(st.sampled_from([u.OP for u in postprocess.UNITS if geometry.has(u.OP)]))
        address = st.integers(0, depth - 1)
        match op:
            case Op.REQUANT:
                count = draw(st.integers(1, geometry.accumulators))
                instr = instruction(
                    op, out=draw(st.integers(0, depth - count)), param=len(params), count=count
                )
                params += [
                    pack_requant(
                        draw(signed_bits(32)),
                        draw(st.integers(0, 2**24 - 1)),
                        draw(st.integers(0, 63)),
                    )
                    for _ in range(count)
                ]
            case Op.LUT:
                count = draw(st.integers(1, 24))
                start = st.integers(0, depth - count)
                instr = instruction(op, act=draw(start), out=draw(start), table=0, count=count)
            case Op.ADD:
                count = draw(st.integers(1, 12))
                instr = instruction(
                    op, out=draw(st.integers(0, depth - count)), param=len(params), count=count
                )
                params += pack_add(
                    Sum(
                        a=draw(st.integers(0, depth - count + 1)),
                        b=draw(st.integers(0, depth - count)),
                        mantissa_a=draw(signed_bits(25)),
                        mantissa_b=draw(signed_bits(25)),
                        bias=draw(signed_bits(32)),
                        shift=draw(st.integers(0, 63)),
                    )
                )
            case Op.POOL:
                average = draw(st.booleans())
                small, step = st.integers(1, 3), st.sampled_from([0, 1, 2, 5, 9, 14])
                a, b, c = (Loop(draw(small), draw(step), draw(step)) for _ in range(3))
                grid = Grid(draw(small), draw(small), draw(step), draw(step), (a, b, c))
                start = st.integers(0, depth // 2)
                instr = instruction(
                    op, act=draw(start), out=draw(start), param=len(params), average=average
                )
                params += pack_pool(grid)
                if average:
                    mantissa, shift = draw(st.integers(1, 2**24 - 1)), draw(st.integers(18, 30))
                    params.append(pack_requant(draw(st.integers(-40, 40)), mantissa, shift))
            case _:
                count = draw(st.integers(1, depth))
                instr = instruction(
                    op,
                    act=draw(st.integers(0, depth - count)),
                    out=draw(address),
                    count=count,
                    last=draw(st.booleans()),
                )
        assert all(bound.holds(instr, geometry) for bound in BOUNDS[op])
        program.append(instr)
    bounds = sorted((draw(signed_bits(width)), draw(signed_bits(width))))
    acc = [draw(signed_bits(geometry.acc_width)) for _ in range(geometry.accumulators)]
    return Case(program, act.tolist(), params, acc, (bounds[0], bounds[1]), geometry)


@pytest.mark.parametrize(
    "geometry",
    [WIDE, NARROW, SINGLE, SERIAL, SMALL, pytest.param(COMPACT, marks=pytest.mark.slow)],
    ids=["16 bits", "9 bits", "single columns", "serial", "9 bits, serial", "compact with ADD"],
)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_program_of_any_instructions_gives_the_bits_of_the_engine(gateware, geometry, data):
    compare(gateware, data.draw(cases(geometry)))


# -- requantise -----------------------------------------------------------------------

requantisations = st.tuples(
    signed_bits(39), signed_bits(32), st.integers(0, 2**24 - 1), st.integers(0, 63)
)


def requantise(
    gateware, rows: list[tuple[int, int, int, int]], low: int, high: int, geometry: Geometry = WIDE
) -> Outcome:
    """Rows of accumulator, bias, mantissa and shift, to address 10 onwards."""
    instr = instruction(Op.REQUANT, out=10, param=5, count=len(rows))
    params = [0] * 5 + [pack_requant(*row[1:]) for row in rows]
    acc = [row[0] for row in rows]
    return gateware(Case([instr], (), params, acc, (low, high), geometry))


both_scalers = pytest.mark.parametrize("geometry", [WIDE, SERIAL], ids=["parallel", "serial"])


@both_scalers
@settings(max_examples=25, deadline=None)
@given(
    st.lists(requantisations, min_size=1, max_size=4),
    st.lists(signed_bits(16), min_size=2, max_size=2),
)
@example([(1, 0, 1, 1), (3, 0, 1, 1), (-1, 0, 1, 1), (-3, 0, 1, 1)], FULL)
@example([(2**39 - 1, 2**31 - 1, 2**24 - 1, 40), (-(2**39), -(2**31), 2**24 - 1, 63)], FULL)
@example([(2**39 - 1, 2**31 - 1, 2**24 - 1, 0), (-(2**39), -(2**31), 2**24 - 1, 0)], (-9, -5))
def test_requantisation_equals_exact_rounding(gateware, geometry, rows, bounds):
    low, high = sorted(bounds)
    found = requantise(gateware, rows, low, high, geometry).act[10 : 10 + len(rows)]
    # Python's round of a Fraction is half to even.
    exact = [round(Fraction((acc + bias) * m, 1 << shift)) for acc, bias, m, shift in rows]
    assert found == [min(max(value, low), high) for value in exact]


@both_scalers
def test_relu_is_a_clamp(gateware, geometry):
    rows = [(-900, 0, 1, 0), (90, 0, 1, 0), (900, 0, 1, 0)]
    assert requantise(gateware, rows, 0, 255, geometry).act[10:13] == [0, 90, 255]


# -- look-up --------------------------------------------------------------------------


def test_every_entry_is_found_from_every_value_of_eight_bits(gateware):
    entries = [(37 * n * n + 11 * n) % 65536 - 32768 for n in range(256)]
    geometry = replace(WIDE, act_depth=512)
    values = list(range(-128, 128))
    lut = instruction(Op.LUT, act=0, out=256, table=1, count=256)
    params = [0] * TABLE_WORDS + pack_table(entries)
    made = gateware(Case([lut], values, params, geometry=geometry))
    assert made.act[256:] == [entries[value & 0xFF] for value in values]
    assert made.act[:256] == values and made.cycles == [3 * 256]


def test_only_the_low_byte_counts(gateware):
    lut = instruction(Op.LUT, act=0, out=8, table=0, count=4)
    made = gateware(Case([lut], [0x1207, -249, 7, 263], pack_table(list(range(256)))))
    assert made.act[8:12] == [7] * 4


def test_an_entry_that_no_activation_holds_ends_the_run_before_it_is_written(gateware):
    entries = list(range(256))
    entries[5], entries[6] = 256, -256
    lut = instruction(Op.LUT, act=0, out=8, table=0, count=3)
    for act, failed in (([4, 5, 4], True), ([4, 6, 6], False), ([6, 4, 4], False)):
        made = compare(gateware, Case([lut], act, pack_table(entries), geometry=NARROW))
        assert made.failed == failed
    made = gateware(Case([lut], [4, 5, 4], pack_table(entries), geometry=NARROW))
    # Two entries are taken, and a fault ends it in the cycle after its own.
    assert made.act[8:11] == [4, 0, 0] and made.cycles == [6 + 1]


# -- residual addition ----------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(signed_bits(16), signed_bits(16)), min_size=1, max_size=8),
    signed_bits(25),
    signed_bits(25),
    signed_bits(32),
    st.integers(0, 63),
)
@example([(-(2**15), -(2**15)), (2**15 - 1, -(2**15))], -(2**24), -(2**24), 2**31 - 1, 25)
@example([(1, 0), (3, 0), (-1, 0), (-3, 0), (1, 1)], 1, 1, 0, 1)
def test_a_sum_equals_exact_rounding(gateware, pairs, mantissa_a, mantissa_b, bias, shift):
    n = len(pairs)
    act = [a for a, _ in pairs] + [0] * (8 - n) + [b for _, b in pairs]
    add = instruction(Op.ADD, out=40, param=3, count=n)
    params = [0] * 3 + pack_add(Sum(0, 8, mantissa_a, mantissa_b, bias, shift))
    case = Case([add], act, params)
    exact = [round(Fraction(a * mantissa_a + b * mantissa_b + bias, 1 << shift)) for a, b in pairs]
    assert compare(gateware, case).act[40 : 40 + n] == [
        min(max(v, FULL[0]), FULL[1]) for v in exact
    ]


@pytest.mark.parametrize(("a", "b"), [(62, 0), (0, 62)])
def test_a_sum_ends_the_run_where_an_operand_ends(gateware, a, b):
    add = instruction(Op.ADD, out=30, param=0, count=3)
    act = list(range(64))
    made = compare(gateware, Case([add], act, pack_add(Sum(a, b, 1, 1, 0, 0))))
    assert made.failed
    assert made.act[30:33] == [62, 64, 32]  # what was written before stays


# -- argmax ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "first", "last"),
    [
        ([5], 0, 0),
        ([1, 2, 3], 2, 2),
        ([3, 2, 1], 0, 0),
        ([-5, -3, -3, -4], 1, 2),
        ([-32768] * 6, 0, 5),
        ([32767, -32768, 32767], 0, 2),
        ([0, -1, 0, -1, 0, -1], 0, 4),
    ],
)
def test_argmax_takes_the_first_or_the_last_of_equal_ones(gateware, values, first, last):
    for flag, wanted in ((0, first), (1, last)):
        instr = instruction(Op.ARGMAX, act=2, out=0, count=len(values), last=flag)
        made = compare(gateware, Case([instr], [0, 0, *values]))
        assert made.act[0] == wanted and made.cycles == [2 + len(values)]


# -- pool -----------------------------------------------------------------------------


def pool(act: int, out: int, param: int = 0, average: int = 0) -> Instruction:
    return instruction(Op.POOL, act=act, out=out, param=param, average=average)


def test_a_pool_reads_its_windows_in_the_order_of_its_loops(gateware):
    # Two channels, NHWC, of 5 x 6; windows of 2 x 3 that overlap.
    act = np.random.default_rng(2).integers(-30, 30, (5, 6, 2))
    geometry = replace(WIDE, act_depth=128)
    grid = Grid(2, 3, 12, 2, (Loop(2, 1, 1), Loop(4, 2, 2), Loop(4, 12, 8)))
    made = gateware(Case([pool(0, 64)], act.ravel().tolist(), pack_pool(grid), geometry=geometry))
    windows = np.lib.stride_tricks.sliding_window_view(act, (2, 3), axis=(0, 1))
    assert made.act[64:96] == windows.max(axis=(-2, -1)).ravel().tolist()
    assert made.cycles == [pool_cycles(grid, average=False)]


def test_the_width_of_a_sum_holds_the_largest_window():
    extent = max(field.maximum for field in WINDOW_FIELDS if field.positive)
    for width in (4, 9, 16):
        geometry = replace(WIDE, act_width=width)
        most = extent * extent << width - 1
        assert most < 1 << sum_bits(geometry) - 1
        assert most < 1 << value_bits(geometry) - 1
        assert most >= 1 << sum_bits(geometry) - 3  # and is not much too wide


@pytest.mark.slow
def test_the_sum_of_the_largest_window_does_not_overflow(gateware):
    geometry = replace(WIDE, act_depth=16)
    # The same activation 255 x 255 times: no window has more.
    params = [*pack_pool(Grid(255, 255, 0, 0)), pack_requant(-(2**31), 1, 17)]
    case = Case([pool(0, 1, average=1)], [-32768], params, geometry=geometry)
    exact = round(Fraction(255 * 255 * -32768 - 2**31, 1 << 17))
    assert FULL[0] < exact and gateware(case, 100_000).act[1] == exact


@pytest.mark.parametrize(
    "grid",
    [
        Grid(1, 2, 0, 1, (Loop(1, 0, 0),) * 3),
        Grid(2, 1, 1, 0, (Loop(1, 0, 0),) * 3),
        Grid(1, 1, 0, 0, (Loop(2, 1, 0), Loop(1, 0, 0), Loop(1, 0, 0))),
        Grid(1, 1, 0, 0, (Loop(1, 0, 0), Loop(2, 0xFFFF, 0), Loop(1, 0, 0))),
        Grid(1, 1, 0, 0, (Loop(1, 0, 0), Loop(1, 0, 0), Loop(2, 0, 1))),
    ],
)
def test_a_pool_that_runs_past_the_end_ends_the_run(gateware, grid):
    for average in (0, 1):
        params = [*pack_pool(grid), pack_requant(0, 1, 0)]
        made = compare(gateware, Case([pool(63, 63, average=average)], range(64), params))
        assert made.failed
    fits = compare(gateware, Case([pool(20, 20)], range(64), pack_pool(replace(grid, rows=1))))
    assert fits.failed == (grid.loops[1].act_step == 0xFFFF)


@pytest.mark.parametrize("word", range(POOL_WORDS))
def test_a_pool_of_nothing_ends_the_run(gateware, word):
    params = pack_pool(Grid(1, 1, 0, 0))
    params[word] &= ~0xFF
    assert compare(gateware, Case([pool(0, 0)], range(64), params)).failed


def test_the_next_instruction_after_a_fault_finds_the_units_idle(gateware, simulate):
    bench = Bench(WIDE, range(64), pack_pool(Grid(2, 2, 60, 1)), ())
    dut = bench.dut

    async def test(ctx):
        argmax = instruction(Op.ARGMAX, act=0, out=5, count=64, last=0)
        for instr, fault in ((pool(3, 0), 1), (argmax, 0), (pool(3, 0), 1), (pool(2, 1), 0)):
            ctx.set(dut.instruction, encode(instr))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            while not ctx.get(dut.done):
                await ctx.tick()
            assert ctx.get(dut.fault) == fault
            await ctx.tick()
        assert [ctx.get(bench.act.data[word]) for word in (0, 1, 5)] == [0, 63, 63]

    simulate(bench, test, cycles=500)


# -- two-dimensional pools, as docs/isa.md lowers them ---------------------------------


@dataclass(frozen=True)
class Axis:
    """One axis of a pool in ONNX's terms."""

    size: int
    kernel: int
    stride: int
    before: int
    after: int
    ceil: bool

    @property
    def outputs(self) -> int:
        room = self.size + self.before + self.after - self.kernel
        count = (-(-room // self.stride) if self.ceil else room // self.stride) + 1
        # A window that would begin in the padding behind the last value is none.
        return count - (self.ceil and (count - 1) * self.stride >= self.size + self.before)

    def window(self, n: int) -> tuple[int, int, int]:
        """First value and past the last one of output ``n``, and its length with padding."""
        start = n * self.stride - self.before
        padded = min(start + self.kernel, self.size + self.after) - start
        return max(start, 0), min(start + self.kernel, self.size), padded

    def runs(self) -> list[tuple[int, int, int, int, int, int]]:
        """Outputs whose windows are alike: first output, count, first value, step, two lengths."""
        runs: list[tuple[int, int, int, int, int, int]] = []
        for n in range(self.outputs):
            low, high, padded = self.window(n)
            if runs:
                first, count, begin, step, extent, length = runs[-1]
                stepped = low - self.window(n - 1)[0]
                if (extent, length) == (high - low, padded) and (count == 1 or step == stepped):
                    runs[-1] = (first, count + 1, begin, stepped, extent, length)
                    continue
            runs.append((n, 1, low, 0, high - low, padded))
        return runs


def divide(n: int) -> int:
    """The parameter word of a division by ``n``."""
    shift = 23 + (n - 1).bit_length()
    return pack_requant(0, round(Fraction(1 << shift, n)), shift)


def lower(
    channels: int, rows: Axis, columns: Axis, channels_last: bool, out: int, divisor: str
) -> tuple[list[Instruction], list[int]]:
    """Instructions and parameters of a pool of the tensor at 0; ``divisor`` "" is the largest."""

    def steps(height: int, width: int) -> tuple[int, int, int]:
        """Words from one channel, row and column to the next."""
        return (1, width * channels, channels) if channels_last else (height * width, width, 1)

    channel, row, column = steps(rows.size, columns.size)
    to_channel, to_row, to_column = steps(rows.outputs, columns.outputs)
    program, params = [], []
    for y, y_count, y_begin, y_step, height, padded_height in rows.runs():
        for x, x_count, x_begin, x_step, width, padded_width in columns.runs():
            grid = Grid(
                height, width, row, column,
                (
                    Loop(x_count, x_step * column, to_column),
                    Loop(y_count, y_step * row, to_row),
                    Loop(channels, channel, to_channel),
                ),
            )  # fmt: skip
            program.append(
                pool(
                    y_begin * row + x_begin * column,
                    out + y * to_row + x * to_column,
                    len(params),
                    bool(divisor),
                )
            )
            params += pack_pool(grid)
            if divisor:
                padded = divisor == "padding included"
                params.append(divide(padded_height * padded_width if padded else height * width))
    return program, params


def by_numpy(values: np.ndarray, rows: Axis, columns: Axis, divisor: str) -> np.ndarray:
    """A pool of channels x rows x columns in floats, window after window."""
    result = np.empty((len(values), rows.outputs, columns.outputs))
    for y in range(rows.outputs):
        for x in range(columns.outputs):
            top, bottom, height = rows.window(y)
            left, right, width = columns.window(x)
            window = values[:, top:bottom, left:right]
            if not divisor:
                result[:, y, x] = window.max(axis=(1, 2))
            elif divisor == "padding included":
                result[:, y, x] = window.sum(axis=(1, 2)) / (height * width)
            else:
                result[:, y, x] = window.mean(axis=(1, 2))
    return result


axes = st.builds(
    Axis,
    size=st.integers(3, 7),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    before=st.integers(0, 2),
    after=st.integers(0, 2),
    ceil=st.booleans(),
).filter(lambda axis: max(axis.before, axis.after) < axis.kernel)
DIVISORS = ["", "padding included", "padding excluded"]


def check_pool(execute, rows, columns, channels, channels_last, divisor, seed) -> int:
    """Compare a lowered pool with numpy's; the number of instructions."""
    count, out_count = (
        channels * rows.size * columns.size,
        channels * rows.outputs * columns.outputs,
    )
    values = np.random.default_rng(seed).integers(-128, 128, (channels, rows.size, columns.size))
    geometry = replace(WIDE, act_depth=1024)
    program, params = lower(channels, rows, columns, channels_last, count, divisor)
    act = (values.transpose(1, 2, 0) if channels_last else values).ravel().tolist()
    found = np.array(execute(Case(program, act, params, geometry=geometry)).act)
    assert found[:count].tolist() == act
    found = found[count : count + out_count]
    if channels_last:
        found = found.reshape(rows.outputs, columns.outputs, channels).transpose(2, 0, 1)
    exact = by_numpy(values, rows, columns, divisor)
    # A mantissa of 24 bits for 1/n moves a tie, but nothing else.
    assert (np.abs(found.reshape(exact.shape) - exact) <= 0.5 + 1e-4 * bool(divisor)).all()
    assert (found.reshape(exact.shape) == np.rint(exact))[np.abs(exact % 1 - 0.5) > 1e-4].all()
    return len(program)


@settings(max_examples=100, deadline=None)
@given(
    axes, axes, st.integers(1, 3), st.booleans(), st.sampled_from(DIVISORS), st.integers(0, 1000)
)
def test_a_lowered_pool_is_the_pool_of_the_definition(
    rows, columns, channels, channels_last, divisor, seed
):
    check_pool(reference, rows, columns, channels, channels_last, divisor, seed)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("divisor", DIVISORS)
def test_a_lowered_pool_runs_in_the_gateware(gateware, channels_last, divisor):
    # 3 x 3, stride 2, padding 1: three kinds of window each way. Rounding up adds a column.
    rows = Axis(7, 3, 2, 1, 1, False)
    columns = Axis(6, 3, 2, 1, 1, True)
    assert (rows.outputs, columns.outputs) == (4, 4)

    def both(case: Case) -> Outcome:
        return compare(gateware, case)

    assert check_pool(both, rows, columns, 2, channels_last, divisor, 5) == 9


def test_a_global_average_is_one_instruction(gateware):
    whole = Axis(5, 5, 1, 0, 0, False)
    assert check_pool(gateware, whole, whole, 3, False, "padding excluded", 6) == 1


def test_a_pool_without_padding_is_one_instruction(gateware):
    half = Axis(6, 2, 2, 0, 0, False)
    assert check_pool(gateware, half, half, 3, True, "", 7) == 1


# -- what finds a fault ---------------------------------------------------------------


class BiasForgotten(Requantiser):
    """A planted fault."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.scaler.bias.eq(0)
        return m


class FirstEntryOfTheWord(LookUp):
    """A planted fault."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.act_data.eq(self.param_data[:16])
        return m


class LastOfTheWindow(Pool):
    """A planted fault."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.act_data.eq(self.act_data_in)
        return m


class SecondOperandAlone(ResidualAdd):
    """A planted fault."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.scaler.accumulate.eq(0)
        return m


class AlwaysTheLast(ArgMax):
    """A planted fault."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.act_data.eq(self.instruction[38:54] - 1)
        return m


PLANTED = [BiasForgotten, FirstEntryOfTheWord, LastOfTheWindow, SecondOperandAlone, AlwaysTheLast]
"""One for each unit."""

EVERY_UNIT = {
    Op.REQUANT: instruction(Op.REQUANT, out=20, param=70, count=1),
    Op.LUT: instruction(Op.LUT, act=0, out=30, table=0, count=4),
    Op.POOL: pool(1, 40, 72),
    Op.ADD: instruction(Op.ADD, out=50, param=80, count=2),
    Op.ARGMAX: instruction(Op.ARGMAX, act=0, out=60, count=5, last=0),
}
PARAMS = [
    *pack_table([(n * 57 + 3) % 200 for n in range(256)]),
    *[0] * 6,
    pack_requant(1000, 3, 2),
    0,
    *pack_pool(Grid(1, 3, 0, 1)),
    *[0] * 4,
    *pack_add(Sum(0, 1, 3, 5, 7, 1)),
]


@pytest.mark.parametrize("unit", PLANTED)
def test_a_planted_fault_is_found(gateware, monkeypatch, unit):
    case = Case([EVERY_UNIT[unit.OP]], [9, 4, 8, 7, 1], PARAMS, [123])
    compare(gateware, case)
    faulty = tuple(unit if each.OP is unit.OP else each for each in postprocess.UNITS)
    monkeypatch.setattr(postprocess, "UNITS", faulty)
    with pytest.raises(AssertionError):
        compare(gateware, case)


def test_there_is_a_planted_fault_for_every_unit():
    assert {unit.OP for unit in PLANTED} == {unit.OP for unit in postprocess.UNITS}
    assert set(EVERY_UNIT) == {unit.OP for unit in postprocess.UNITS}


# -- leaving units out ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["lut", "pool", "residual", "argmax"])
def test_a_unit_can_be_left_out(gateware, name):
    geometry = replace(WIDE, **{name: False})
    left = [op for op in EVERY_UNIT if geometry.has(op)]
    assert len(left) == 4
    case = Case([EVERY_UNIT[op] for op in left], [9, 4, 8, 7, 1], PARAMS, [123])
    assert gateware(replace(case, geometry=geometry)).act == reference(case).act
