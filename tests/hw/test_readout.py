"""The averager: means of any codes, in order, and when the next conversion may come."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import unpack_sample
from ohmloom.hw.readout import Averager

GEOMETRY = Geometry(rows=8, columns=8)
READOUT = 10
CODES = st.one_of(st.integers(-(2**15), 2**15 - 1), st.sampled_from([-(2**15), 2**15 - 1, 0, 1]))


@pytest.fixture(scope="session")
def averaged(simulate):
    """``averaged(conversions, average, column, count)`` -> words, cycles of idle at each.

    A mean is announced in the cycle before it, and the last conversion of a group is known.
    """

    def run(conversions, average, column, count):
        dut = Averager(GEOMETRY)
        words, taken, now = [], [], 0
        announced = False

        async def bench(ctx):
            nonlocal now

            async def tick():
                nonlocal now, announced
                assert ctx.get(dut.write) == announced
                announced = bool(ctx.get(dut.found))
                if ctx.get(dut.write):
                    words.append(unpack_sample(ctx.get(dut.result)))
                now += 1
                await ctx.tick()

            for name, value in (("average", average), ("column", column), ("count", count)):
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.adc_idle, 1)
            for codes in conversions:
                while not ctx.get(dut.idle):
                    await tick()
                taken.append(now)
                assert ctx.get(dut.last) == (len(taken) % (1 << average) == 0)
                ctx.set(dut.convert, 1)
                await tick()
                ctx.set(dut.convert, 0)
                ctx.set(dut.adc_idle, 0)
                for n in range(READOUT - 1):
                    ctx.set(dut.samples.valid, n < len(codes))
                    ctx.set(dut.samples.payload["column"], 7 - n if n < 8 else 0)
                    ctx.set(dut.samples.payload["code"], codes[7 - n] & 0xFFFF if n < 8 else 0)
                    await tick()
                ctx.set(dut.samples.valid, 0)
                ctx.set(dut.adc_idle, 1)
            for _ in range(4 * count):
                await tick()

        simulate(dut, bench)
        return words, taken

    return run


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_means_are_exact(averaged, data):
    average, column = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 7))
    count = data.draw(st.integers(1, 8 - column))
    conversion = st.lists(CODES, min_size=8, max_size=8)
    size = 2 << average
    conversions = data.draw(st.lists(conversion, min_size=size, max_size=size))
    words, taken = averaged(conversions, average, column, count)
    wanted = []
    for start in (0, 1 << average):
        group = conversions[start : start + (1 << average)]
        for n in range(column, column + count):
            codes = [codes[n] for codes in group]
            railed = bool({-(2**15), 2**15 - 1} & set(codes))
            wanted.append((round(Fraction(sum(codes), len(codes))), railed))
    assert words == wanted
    steps = [b - a for a, b in zip(taken, taken[1:], strict=False)]
    walk = 3 * count
    assert steps == [READOUT + 1 + walk * ((n + 1) % (1 << average) == 0) for n in range(size - 1)]
