"""Write-verify: the order of its steps, exact pulses, verdicts, and the cells it walks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.lib import memory
from amaranth.lib.wiring import connect

from ohmloom.hw.afe.interface import SwitchGroup
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import CellStatus, Dac, pack_level, unpack_result
from ohmloom.hw.timers import Timers
from ohmloom.hw.verify import WriteVerify

GEOMETRY = Geometry(rows=16, columns=8, param_depth=64)
LEVELS = {0: (0x9000, -50, 50), 1: (0xA123, 900, 1100), 255: (0xFFFF, 32000, 32767)}
"""Gate code and window of the levels in the tests' table."""
TABLE = 17
"""Parameter address of level 0; higher addresses than the memory has wrap round."""
REGISTERS = {
    "levels": TABLE,
    "tries": 3,
    "average": 0,
    "stuck": 0,
    "set_cycles": 25,
    "reset_cycles": 40,
    "rail_set": 0xB000,
    "rail_reset": 0x1000,
}
BETWEEN = 12345
"""In no level's window."""


class Bench(Elaboratable):
    """Engine, cell and parameter memory, and timers, wired as in the top."""

    def __init__(self, cells, timing, clk_hz, jump):
        table = [0] * GEOMETRY.param_depth
        for level, window in LEVELS.items():
            table[(TABLE + level) % GEOMETRY.param_depth] = pack_level(*window)
        self.cell = memory.Memory(shape=32, depth=GEOMETRY.cells, init=cells)
        self.param = memory.Memory(shape=64, depth=GEOMETRY.param_depth, init=table)
        self.engine = WriteVerify(GEOMETRY, timing, clk_hz)
        self.timers = Timers(1)
        self.jump = jump

    def elaborate(self, platform):
        m = Module()
        m.submodules.cell, m.submodules.param = self.cell, self.param
        m.submodules.engine = engine = self.engine
        m.submodules.timers = timers = self.timers
        connect(m, timers.channel[0], engine.timer)
        level, store, read = self.cell.read_port(), self.cell.write_port(), self.param.read_port()
        m.d.comb += [
            level.addr.eq(engine.cell_address),
            engine.cell_data.eq(level.data),
            store.addr.eq(engine.cell_address),
            store.data.eq(engine.cell_result),
            store.en.eq(engine.cell_write),
            read.addr.eq(engine.param_address),
            engine.param_data.eq(read.data),
            timers.quiet.eq(~(engine.active | engine.fe.active)),
            timers.jump.eq(self.jump),
        ]
        return m


@dataclass
class Run:
    """``results`` of the cells; ``now`` at the end; ``idle``: cells left as they were."""

    results: list[tuple[int, int, CellStatus]] = field(default_factory=list)
    untouched: list[int] = field(default_factory=list)
    now: int = 0
    skipped: int = 0


@pytest.fixture(scope="session")
def execute(simulate, front_end, front_end_times):
    """``execute(levels, codes, cell=..., program=..., ...)`` -> ``Run``, front end.

    ``codes`` are what reads bring, in order; every column but the selected one
    converts to another number. ``told`` are the times that the engine works with.
    """

    def run(
        levels, codes, cell=0, program=1, count=None, times=None, told=None, jump=False, **changes
    ):
        times = times or front_end_times()
        memory_words = [*levels, *[0x55AA] * (GEOMETRY.cells - len(levels))]
        dut = Bench(memory_words, (told or times).timing, times.CLK_HZ, jump)
        engine, now = dut.engine, dut.timers.now
        script: Iterator[int] = iter(codes)

        def code_of(held):
            code = next(script)
            sensed = held.setting.column
            return [code if sensed == 1 << n else ~code for n in range(GEOMETRY.columns)]

        fe = front_end(engine.fe, now, code_of, times)
        result = Run()

        async def bench(ctx):
            for name, value in (REGISTERS | changes).items():
                ctx.set(getattr(engine, name), value)
            ctx.set(engine.program, program)
            ctx.set(engine.operand.tile, 77)
            ctx.set(engine.operand.cell, cell)
            ctx.set(engine.operand.count, len(levels) if count is None else count)
            ctx.set(engine.start, 1)
            await ctx.tick()
            ctx.set(engine.start, 0)
            while not ctx.get(engine.done):
                await ctx.tick()
            result.now = ctx.get(now)
            await ctx.tick()
            assert not ctx.get(engine.active)
            words = [ctx.get(dut.cell.data[n]) for n in range(GEOMETRY.cells)]
            result.results = [unpack_result(word) for word in words[: len(levels)]]
            result.untouched = words[len(levels) :]
            result.skipped = ctx.get(dut.timers.skipped)

        simulate(dut, bench, background=[fe.run], cycles=20_000)
        assert next(script, None) is None, "a read did not happen"
        assert set(result.untouched) <= {0x55AA}
        return result, fe

    return run


def story(fe) -> list[tuple]:
    """What the front end saw, in order, without the cycles."""
    events = [(cycle, "load", group, a, b) for cycle, group, a, b in fe.updates]
    events += [(cycle, "latch", group) for cycle, group in fe.latches]
    events += [(cycle, "rail", channel, code) for cycle, channel, code in fe.writes]
    events += [(pulse.cycle, "pulse", pulse.width) for pulse in fe.pulses]
    events += [(held.cycle, "convert") for held in fe.conversions]
    return [tuple(event[1:]) for event in sorted(events, key=lambda event: event[0])]


def switch(group: SwitchGroup, a: int, b: int) -> list[tuple]:
    return [("load", group, a, b), ("latch", group)]


ROWS, COLUMNS, GATES = SwitchGroup.ROWS, SwitchGroup.COLUMNS, SwitchGroup.GATES


def attempt(row: int, column: int) -> list[tuple]:
    """One attempt on a cell: RESET, SET, read."""
    row, column = 1 << row, 1 << column
    return [
        ("rail", Dac.RAIL_B, REGISTERS["rail_reset"]),
        *switch(ROWS, 0, row),
        *switch(COLUMNS, 0, 0),
        *switch(GATES, 0, column),
        ("pulse", REGISTERS["reset_cycles"]),
        ("rail", Dac.RAIL_B, REGISTERS["rail_set"]),
        *switch(GATES, column, 0),
        ("pulse", REGISTERS["set_cycles"]),
        *read(row, column),
    ]


def read(row: int, column: int) -> list[tuple]:
    """Switches of a read; the masks of the line."""
    return [
        *switch(ROWS, row, 0),
        *switch(COLUMNS, column, 0),
        *switch(GATES, 0, column),
        ("convert",),
    ]


def test_an_attempt_is_reset_set_and_read_in_this_order(execute):
    result, fe = execute([1, 0], [1000, BETWEEN, 0], cell=GEOMETRY.columns * 3 + 5)
    assert story(fe) == [
        ("rail", Dac.GATE_PROGRAM, LEVELS[1][0]),
        *attempt(3, 5),
        ("rail", Dac.GATE_PROGRAM, LEVELS[0][0]),
        *attempt(3, 6),
        *attempt(3, 6),
    ]
    assert result.results == [(1000, 1, CellStatus.DONE), (0, 2, CellStatus.DONE)]
    assert fe.faults == []


def test_pulses_see_their_cell_rail_and_gate_voltage_alone(execute):
    _, fe = execute([255], [32767], cell=GEOMETRY.columns * 15 + 7)
    reset, set_ = fe.pulses
    assert vars(reset.setting) == {
        "row_a": 0, "row_b": 1 << 15, "column": 0, "gate_program": 0, "gate_on": 1 << 7
    }  # fmt: skip
    assert vars(set_.setting) == {
        "row_a": 0, "row_b": 1 << 15, "column": 0, "gate_program": 1 << 7, "gate_on": 0
    }  # fmt: skip
    assert reset.rails[Dac.RAIL_B] == REGISTERS["rail_reset"]
    assert set_.rails[Dac.RAIL_B] == REGISTERS["rail_set"]
    assert set_.rails[Dac.GATE_PROGRAM] == LEVELS[255][0]
    (held,) = fe.conversions
    assert held.gate_a and held.tile == 77 and held.tag[0] == 0


@pytest.mark.parametrize(("set_cycles", "reset_cycles"), [(3, 4), (1000, 7), (4, 513)])
def test_pulses_last_exactly_the_cycles_asked_for(execute, set_cycles, reset_cycles):
    result, fe = execute([0], [0], set_cycles=set_cycles, reset_cycles=reset_cycles)
    assert [pulse.width for pulse in fe.pulses] == [reset_cycles, set_cycles]


def test_a_pulse_is_never_shorter_than_the_front_end_can_make(execute, front_end_times):
    times = front_end_times(pulse_min=9)
    _, fe = execute([0], [0], times=times, set_cycles=8, reset_cycles=0)
    assert [pulse.width for pulse in fe.pulses] == [9, 9]


@pytest.mark.parametrize("slow", ["dac_settle", "switch", "load", "shift"])
def test_the_gate_waits_for_switches_and_rails(execute, front_end_times, slow):
    _, fe = execute([0, 1], [0, BETWEEN, 900], times=front_end_times(**{slow: 90}))
    assert len(fe.pulses) == 6
    assert fe.faults == []


@pytest.mark.parametrize("slow", ["dac_settle", "switch"])
def test_a_gate_that_does_not_wait_is_seen(execute, front_end_times, slow):
    times = front_end_times(**{slow: 90})
    _, fe = execute([0], [0], times=times, told=replace(times, **{slow: 30}))
    assert any("gate B is open before" in fault for fault in fe.faults)


def test_a_read_that_does_not_wait_is_seen(execute, front_end_times):
    times = front_end_times()
    _, fe = execute([0], [0], times=times, told=replace(times, settle=times.settle - 2))
    assert any("before the inputs have settled" in fault for fault in fe.faults)


@pytest.mark.parametrize("level", LEVELS)
def test_the_window_includes_its_bounds_and_nothing_else(execute, level):
    _, low, high = LEVELS[level]
    outside = [low - 1] if high == 32767 else [low - 1, high + 1]
    for inside in (low, high):
        result, _ = execute([level], [*outside, inside])
        assert result.results == [(inside, len(outside) + 1, CellStatus.DONE)]


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_a_cell_that_does_not_converge_is_given_up(execute, tries):
    codes = [BETWEEN] * (tries - 1) + [-32768, 1100]
    result, fe = execute([1, 1], codes, tries=tries)
    given_up, next_cell = result.results
    assert given_up == (-32768, tries, CellStatus.NOT_CONVERGED)
    assert next_cell == (1100, 1, CellStatus.DONE)
    assert len(fe.pulses) == 2 * (tries + 1)


def test_cells_are_walked_row_by_row_from_any_of_them(execute):
    start, count = GEOMETRY.columns * 2 + 3, 15
    _, fe = execute([0] * count, [0] * count, cell=start)
    walked = [
        (held.setting.row_a.bit_length() - 1, held.setting.column.bit_length() - 1)
        for held in fe.conversions
    ]
    assert walked == [divmod(cell, GEOMETRY.columns) for cell in range(start, start + count)]


def test_the_last_cell_of_the_tile_can_be_reached(execute):
    _, fe = execute([0], [0], cell=GEOMETRY.cells - 1)
    (held,) = fe.conversions
    assert (held.setting.row_a, held.setting.column) == (1 << 15, 1 << 7)


def test_read_neither_pulses_nor_judges(execute):
    codes = [BETWEEN, -1, 32767]
    result, fe = execute([1, 1, 1], codes, cell=7, program=0)
    assert result.results == [(code, 0, CellStatus.READ) for code in codes]
    cells = [divmod(cell, GEOMETRY.columns) for cell in (7, 8, 9)]
    assert story(fe) == [event for row, column in cells for event in read(1 << row, 1 << column)]
    assert fe.faults == []


def test_time_jumps_change_nothing_but_the_wait(execute, front_end_times):
    times = front_end_times(settle=200, dac_settle=100)
    case = {"times": times, "set_cycles": 500, "reset_cycles": 300}
    plain, fe = execute([0, 1], [0, BETWEEN, 1000], **case)
    jumped, other = execute([0, 1], [0, BETWEEN, 1000], jump=True, **case)
    assert (jumped.results, jumped.now) == (plain.results, plain.now)
    assert other.pulses == fe.pulses and other.conversions == fe.conversions
    assert plain.skipped == 0 and jumped.skipped > 3 * (500 + 300)


def test_a_read_is_the_mean_of_its_conversions_half_to_even(execute):
    codes = [1000, 1001, 1001, 1000]  # 1000.5
    result, fe = execute([1], codes, average=2)
    assert result.results == [(1000, 1, CellStatus.DONE)]
    assert len(fe.conversions) == 4 and len(fe.pulses) == 2
    gaps = {b.cycle - a.cycle for a, b in pairwise(fe.conversions)}
    assert len(gaps) == 1  # back to back: the lines settle once
    result, _ = execute([1, 0], [898, 899, BETWEEN, BETWEEN, 0, 1], average=1, tries=2)
    assert result.results == [(BETWEEN, 2, CellStatus.NOT_CONVERGED), (0, 1, CellStatus.DONE)]


@pytest.mark.parametrize(
    ("codes", "stuck", "status"),
    [
        ([500, 504, 502], 4, CellStatus.STUCK),
        ([500, 505, 502], 4, CellStatus.NOT_CONVERGED),
        ([-30000, 30000, 500], 60000, CellStatus.STUCK),
        ([-30000, 30001, 500], 60000, CellStatus.NOT_CONVERGED),
        ([500, 500, 500], 0, CellStatus.NOT_CONVERGED),
        ([500], 4, CellStatus.NOT_CONVERGED),
        ([500, 504, 1000], 4, CellStatus.DONE),
    ],
)
def test_a_cell_that_no_try_moves_is_stuck(execute, codes, stuck, status):
    result, _ = execute([1], codes, stuck=stuck, tries=len(codes))
    assert result.results == [(codes[-1], len(codes), status)]


def test_the_tries_of_one_cell_do_not_count_for_the_next(execute):
    codes = [0, 500, 2000, 2000]
    result, _ = execute([1, 1], codes, stuck=10, tries=2)
    assert [status for *_, status in result.results] == [
        CellStatus.NOT_CONVERGED, CellStatus.STUCK,
    ]  # fmt: skip
