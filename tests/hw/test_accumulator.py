"""Shift-and-add, against plain Python, at full sample rate and in any column order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ohmloom.hw.accumulator import Accumulator
from ohmloom.hw.geometry import MOST_SHIFT, Geometry
from ohmloom.hw.pair_accumulator import PairAccumulator

GEOMETRY = Geometry(rows=8, columns=16, act_width=9, acc_width=44)
SINGLE = replace(GEOMETRY, single=True)
ODD = replace(SINGLE, columns=24)


@dataclass
class Plane:
    """The codes of the columns, the order in which they come, and what they count.

    ``clear``: what was there before is zeroed first.
    """

    order: list[int]
    codes: list[int]
    shift: int = 0
    negate: bool = False
    single: bool = False
    clear: bool = False


def accumulate(
    planes: list[Plane], made: type = Accumulator, geometry: Geometry = GEOMETRY
) -> tuple[list[int], int]:
    """Feed each plane; the accumulators and the saturation count.

    What was in them before is cleared.
    """
    dut = made(geometry)
    adjacent = made is Accumulator
    values: list[int] = []
    saturations = 0

    async def cleared(ctx):
        assert ctx.get(dut.idle)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for _ in range(geometry.accumulators):
            assert not ctx.get(dut.idle)
            await ctx.tick()
        assert ctx.get(dut.idle)

    async def bench(ctx):
        nonlocal saturations
        ctx.set(dut.enable, 1)
        if geometry.single:
            ctx.set(dut.single, 1)
        for column in range(0, geometry.columns, 2):
            ctx.set(dut.samples.payload["column"], column)
            ctx.set(dut.samples.payload["code"], 0xABCD + column)
            ctx.set(dut.samples.valid, 1)
            await ctx.tick()
        ctx.set(dut.samples.valid, 0)
        await ctx.tick()
        await cleared(ctx)
        for plane in planes:
            if plane.clear:
                await cleared(ctx)
            ctx.set(dut.shift, plane.shift)
            ctx.set(dut.negate, plane.negate)
            if geometry.single:
                ctx.set(dut.single, plane.single)
            before = None
            for column in plane.order:
                if column >> 1 == before and not adjacent:
                    ctx.set(dut.samples.valid, 0)
                    await ctx.tick()
                before = column >> 1
                ctx.set(dut.samples.payload["column"], column)
                ctx.set(dut.samples.payload["code"], plane.codes[column] & 0xFFFF)
                ctx.set(dut.samples.valid, 1)
                await ctx.tick()
            ctx.set(dut.samples.valid, 0)
            while not ctx.get(dut.idle):
                await ctx.tick()
        for k in range(geometry.accumulators):
            ctx.set(dut.address, k)
            await ctx.tick()
            values.append(ctx.get(dut.value))
        saturations = ctx.get(dut.saturations)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return values, saturations


def defined(planes: list[Plane], geometry: Geometry) -> tuple[list[int], int]:
    """The same by definition, in accumulators that wrap."""
    acc, columns = [0] * geometry.accumulators, geometry.columns
    for plane in planes:
        if plane.clear:
            acc = [0] * geometry.accumulators
        weight = (-1 if plane.negate else 1) << plane.shift
        if plane.single:
            pairs = [(k, k + 1, 0) for k in range(columns - 1)]
        else:
            pairs = [(k, 2 * k, 2 * k + 1) for k in range(columns // 2)]
        for k, plus, minus in pairs:
            acc[k] += (plane.codes[plus] - plane.codes[minus]) * weight
    top = 1 << geometry.acc_width - 1
    rails = sum(c in (-(2**15), 2**15 - 1) for plane in planes for c in plane.codes)
    return [(each + top) % (2 * top) - top for each in acc], rails


code = st.integers(-(2**15), 2**15 - 1) | st.sampled_from([-(2**15), 2**15 - 1])


def planes_of(geometry: Geometry, **others: st.SearchStrategy) -> st.SearchStrategy[list[Plane]]:
    columns = geometry.columns
    plane = st.builds(
        Plane,
        st.permutations(range(columns)),
        st.lists(code, min_size=columns, max_size=columns),
        negate=st.booleans(),
        **others,
    )
    return st.lists(plane, min_size=1, max_size=geometry.act_width)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(
        st.just(Accumulator),
        planes_of(GEOMETRY, shift=st.integers(0, GEOMETRY.act_width - 1 + MOST_SHIFT)),
    )
    | st.tuples(
        st.just(PairAccumulator),
        planes_of(GEOMETRY, shift=st.integers(0, GEOMETRY.act_width - 1)),
    )
)
def test_pairs_are_those_of_the_definition(case):
    made, planes = case
    assert accumulate(planes, made) == defined(planes, GEOMETRY)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([SINGLE, ODD, replace(SINGLE, acc_width=20)]).flatmap(
        lambda geometry: st.tuples(
            st.just(geometry),
            planes_of(
                geometry,
                shift=st.integers(0, 24),
                single=st.booleans(),
                clear=st.sampled_from([False, False, False, True]),
            ),
        )
    )
)
@example((SINGLE, [Plane([*range(1, 16), 0], list(range(16)), single=True)]))
@example((SINGLE, [Plane(list(range(16)), [-(2**15)] * 16, shift=24, single=True)]))
def test_single_columns_are_those_of_the_definition(case):
    """With pairs between, in whatever order the reference comes."""
    geometry, planes = case
    assert accumulate(planes, geometry=geometry) == defined(planes, geometry)


@pytest.mark.parametrize("column", [0, 1, 5, 15])
@pytest.mark.parametrize("single", [False, True])
def test_one_wrong_bit_is_seen(column, single):
    plane = Plane(list(range(16)), [100 + n for n in range(16)], single=single)
    wrong = replace(plane, codes=[c ^ (n == column) for n, c in enumerate(plane.codes)])
    found, _ = accumulate([wrong], geometry=SINGLE)
    right, _ = defined([plane], SINGLE)
    other = [k for k in range(16) if found[k] != right[k]]
    if single:
        assert other == ([column - 1] if column else list(range(15)))
    else:
        assert other == [column >> 1]


def test_a_scheme_that_is_ignored_is_seen():
    plane = Plane(list(range(16)), [100 + 3 * n for n in range(16)], single=True)
    assert accumulate([replace(plane, single=False)], geometry=SINGLE) != defined([plane], SINGLE)


def test_a_compact_controller_has_pairs_alone():
    assert "single" not in Accumulator(replace(SINGLE, compact=True)).signature.members
    assert "single" in Accumulator(SINGLE).signature.members
