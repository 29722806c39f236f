"""Shift-and-add, against numpy, at full sample rate and in any column order."""

import numpy as np
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.accumulator import Accumulator
from ohmloom.hw.geometry import MOST_SHIFT, Geometry
from ohmloom.hw.pair_accumulator import PairAccumulator

GEOMETRY = Geometry(rows=8, columns=16, act_width=9, acc_width=44)


def accumulate(
    planes: list[tuple[list[int], list[int]]],
    negate_last: bool,
    made: type = Accumulator,
    shift: int = 0,
) -> tuple[list, int]:
    """Feed each plane's ``(order, codes)``; the accumulators and the saturation count.

    What was in them before is cleared. ``shift`` is that of the first plane.
    """
    dut = made(GEOMETRY)
    adjacent = made is Accumulator
    values: list[int] = []
    saturations = 0

    async def bench(ctx):
        nonlocal saturations
        ctx.set(dut.enable, 1)
        for column in range(0, GEOMETRY.columns, 2):
            ctx.set(dut.samples.payload["column"], column)
            ctx.set(dut.samples.payload["code"], 0xABCD + column)
            ctx.set(dut.samples.valid, 1)
            await ctx.tick()
        ctx.set(dut.samples.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.idle)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for _ in range(GEOMETRY.pairs):
            assert not ctx.get(dut.idle)
            await ctx.tick()
        assert ctx.get(dut.idle)
        for plane, (order, codes) in enumerate(planes):
            ctx.set(dut.shift, shift + plane)
            ctx.set(dut.negate, negate_last and plane == len(planes) - 1)
            before = None
            for column in order:
                if column >> 1 == before and not adjacent:
                    ctx.set(dut.samples.valid, 0)
                    await ctx.tick()
                before = column >> 1
                ctx.set(dut.samples.payload["column"], column)
                ctx.set(dut.samples.payload["code"], codes[column] & 0xFFFF)
                ctx.set(dut.samples.valid, 1)
                await ctx.tick()
            ctx.set(dut.samples.valid, 0)
            while not ctx.get(dut.idle):
                await ctx.tick()
        for k in range(GEOMETRY.pairs):
            ctx.set(dut.address, k)
            await ctx.tick()
            values.append(ctx.get(dut.value))
        saturations = ctx.get(dut.saturations)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return values, saturations


code = st.integers(-(2**15), 2**15 - 1)
plane = st.tuples(
    st.permutations(range(GEOMETRY.columns)),
    st.lists(code, min_size=GEOMETRY.columns, max_size=GEOMETRY.columns),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(plane, min_size=1, max_size=GEOMETRY.act_width),
    st.booleans(),
    st.integers(0, MOST_SHIFT).map(lambda shift: (Accumulator, shift))
    | st.just((PairAccumulator, 0)),
)
def test_equals_numpy(planes, negate_last, accumulator):
    made, shift = accumulator
    values, saturations = accumulate(planes, negate_last, made, shift)
    total = np.zeros(GEOMETRY.pairs, np.int64)
    for p, (_, codes) in enumerate(planes):
        difference = np.array(codes[0::2], np.int64) - np.array(codes[1::2], np.int64)
        weight = -(1 << p) if negate_last and p == len(planes) - 1 else 1 << p
        total += difference * weight
    assert values == (total << shift).tolist()
    rails = sum(c in (-(2**15), 2**15 - 1) for _, codes in planes for c in codes)
    assert saturations == rails


def test_one_wrong_bit_is_seen():
    order, codes = list(range(16)), [100] * 16
    wrong = [*codes[:5], codes[5] ^ 1, *codes[6:]]
    assert accumulate([(order, codes)], False) != accumulate([(order, wrong)], False)
