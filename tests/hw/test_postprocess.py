"""The requantiser against exact rational arithmetic, in exact cycles."""

from fractions import Fraction

from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import pack_requant
from ohmloom.hw.postprocess import Requantiser

GEOMETRY = Geometry(rows=8, columns=8, acc_width=40)


def expected(acc: int, bias: int, mantissa: int, shift: int, low: int, high: int) -> int:
    """Python's round of a Fraction is half to even."""
    return min(max(round(Fraction((acc + bias) * mantissa, 1 << shift)), low), high)


def requantise(cases: list[tuple[int, int, int, int]], low: int, high: int) -> tuple[dict, int]:
    dut = Requantiser(GEOMETRY)
    written: dict[int, int] = {}
    cycles = 0

    async def memories(ctx):
        while True:
            param, acc = ctx.get(dut.param_address), ctx.get(dut.acc_address)
            await ctx.tick()
            k = param - 5
            if 0 <= k < len(cases):
                ctx.set(dut.param_data, pack_requant(*cases[k][1:]))
            if acc < len(cases):
                ctx.set(dut.acc_value, cases[acc][0])

    async def bench(ctx):
        nonlocal cycles
        ctx.set(dut.operand.out, 100)
        ctx.set(dut.operand.param, 5)
        ctx.set(dut.operand.count, len(cases))
        ctx.set(dut.clamp_lo, low)
        ctx.set(dut.clamp_hi, high)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        done = False
        while not done:
            cycles += 1
            assert cycles < 1000
            if ctx.get(dut.act_write):
                raw = ctx.get(dut.act_data)
                raw -= (raw >> (GEOMETRY.act_width - 1)) << GEOMETRY.act_width
                written[ctx.get(dut.act_address)] = raw
            done = bool(ctx.get(dut.done))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(memories, background=True)
    sim.add_testbench(bench)
    sim.run()
    return written, cycles


case = st.tuples(
    st.integers(-(2**38), 2**38),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**24 - 1),
    st.integers(0, 63),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(case, min_size=1, max_size=4))
@example([(1, 0, 1, 1), (3, 0, 1, 1), (-1, 0, 1, 1), (-3, 0, 1, 1)])
@example([(2**39 - 1, 2**31 - 1, 2**24 - 1, 40), (-(2**39), -(2**31), 2**24 - 1, 63)])
def test_equals_exact_rounding(cases):
    low, high = -(2**15), 2**15 - 1
    written, _ = requantise(cases, low, high)
    assert written == {100 + k: expected(*c, low, high) for k, c in enumerate(cases)}


def test_relu_is_a_clamp():
    written, _ = requantise([(-900, 0, 1, 0), (90, 0, 1, 0), (900, 0, 1, 0)], 0, 255)
    assert written == {100: 0, 101: 90, 102: 255}


def test_takes_the_cycles_it_says():
    _, cycles = requantise([(7, 0, 1, 0)] * 3, 0, 255)
    assert cycles == 3 * Requantiser.CYCLES


def test_a_wrong_parameter_is_seen():
    good, _ = requantise([(1000, 10, 12345, 10)], -(2**15), 2**15 - 1)
    bad, _ = requantise([(1000, 10, 12345 ^ 64, 10)], -(2**15), 2**15 - 1)
    assert good != bad
