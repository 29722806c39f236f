"""A READ that chooses its range: the reads it makes, their moments, and its result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.lib.wiring import connect

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import CellStatus, unpack_reading, unpack_result
from ohmloom.hw.timers import COUNT_BITS, Timers
from ohmloom.hw.verify import WriteVerify

GEOMETRY = Geometry(rows=8, columns=8)
SETTLE = (40, 40, 50, 70, 90, 130)
"""Cycles of each range."""
AUTO = 8
HIGH = 32767


class Bench(Elaboratable):
    """Engine and timers; the cell memory is what it writes."""

    def __init__(self, timing, clk_hz):
        self.engine = WriteVerify(GEOMETRY, timing, clk_hz)
        self.timers = Timers([COUNT_BITS])

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine, m.submodules.timers = self.engine, self.timers
        connect(m, self.timers.channel[0], self.engine.timer)
        return m


@pytest.fixture(scope="module")
def read(simulate, front_end, front_end_times):
    """``read(codes, count, register, average)`` -> words, [(cycle, range, row, column)], A."""

    def run(codes, count=1, register=AUTO, average=0, together=8, program=0):
        times = front_end_times(settle=min(SETTLE))
        timing = replace(times.timing, range_settle_ps=tuple(1000 * n for n in SETTLE))
        dut = Bench(timing, times.CLK_HZ)
        engine, script = dut.engine, iter(codes)
        words, seen = [], []

        def code_of(held):
            code = next(script)
            return [code + n if held.setting.column >> n & 1 else ~code for n in range(8)]

        fe = front_end(engine.fe, dut.timers.now, code_of, times)

        async def bench(ctx):
            ctx.set(engine.tia_range, register)
            ctx.set(engine.average, average)
            ctx.set(engine.together, together)
            ctx.set(engine.operand.cell, 3)
            ctx.set(engine.operand.count, count)
            await ctx.tick().repeat(3)
            ctx.set(engine.start, 1)
            await ctx.tick()
            ctx.set(engine.start, 0)
            while not ctx.get(engine.done):
                if ctx.get(engine.cell_write):
                    words.append(ctx.get(engine.cell_result))
                if ctx.get(engine.fe.convert):
                    seen.append((ctx.get(dut.timers.now), ctx.get(engine.range)))
                await ctx.tick()

        simulate(dut, bench, background=[fe.run])
        assert fe.faults == [] and next(script, None) is None
        assert all(held.gate_a for held in fe.conversions)
        return words, seen, fe, times.readout

    return run


def test_each_cell_is_tried_from_range_0_and_read_where_it_stays(read):
    # Code 100 allows two ranges on, 2000 one more; the second cell is large.
    words, seen, fe, _ = read([100, 2000, 20000, 1000, 1003, 29492, 30000, 30001], 2, average=1)
    assert [tia_range for _, tia_range in seen] == [0, 2, 3, 3, 3, 0, 0, 0]
    columns = [held.setting.column.bit_length() - 1 for held in fe.conversions]
    assert columns == [3] * 5 + [4] * 3
    # Columns add their number to the code; the means go half to even.
    assert [unpack_reading(word) for word in words] == [(1004, 3, False), (30004, 0, False)]
    assert [unpack_result(word)[1:] for word in words] == [(0, CellStatus.READ)] * 2


def test_tries_take_exactly_their_cycles(read):
    words, seen, _, readout = read([5, 200, 20000, 1, 2], average=1)
    assert [tia_range for _, tia_range in seen] == [0, 3, 5, 5, 5]
    moments = [cycle for cycle, _ in seen]
    gaps = [b - a for a, b in zip(moments, moments[1:], strict=False)]
    # From conversion to conversion: 9 cycles and the range's settling where it moves.
    assert gaps == [
        readout + 9 + SETTLE[3],
        readout + 9 + SETTLE[5],
        readout + 7,
        readout + 1,
    ]


def test_a_rail_costs_one_range_and_is_told(read):
    words, seen, _, _ = read([5, HIGH - 3, 7000], 1)
    assert [tia_range for _, tia_range in seen] == [0, 3, 2]
    assert unpack_reading(words[0]) == (7003, 2, False)
    words, seen, _, _ = read([5, 29492, HIGH - 3, HIGH - 3], 1)
    assert [tia_range for _, tia_range in seen] == [0, 3, 3, 2]
    assert unpack_reading(words[0]) == (HIGH, 2, True)


@pytest.mark.parametrize("register", [0, 2, 5])
def test_a_range_of_the_register_is_waited_for_and_kept(read, register):
    words, seen, _, _ = read([7, 9], 4, register=register, average=1)
    assert [tia_range for _, tia_range in seen] == [register] * 2
    readings = [unpack_reading(word) for word in words]
    assert readings == [(8 + column, register, False) for column in range(3, 7)]


def test_the_wait_before_the_first_conversion_is_that_of_the_range(read):
    first = {}
    for register in (0, 3, 5, 6, 7, AUTO):
        codes = [20000, 20000] if register == AUTO else [20000]
        first[register] = read(codes, register=register)[1][0][0]
    assert first[3] - first[0] == SETTLE[3] - SETTLE[0]
    assert first[6] == first[7] == first[5]  # the longest, where there is no such range
    assert first[AUTO] == first[0]
