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
from ohmloom.hw.isa import LINE_WORDS, CellStatus, Dac, pack_level, unpack_result
from ohmloom.hw.line import Line, Piece, pack_line
from ohmloom.hw.timers import COUNT_BITS, Timers
from ohmloom.hw.verify import WriteVerify

GEOMETRY = Geometry(rows=16, columns=8, param_depth=64)
LEVELS = {0: (0x9000, -50, 50), 1: (0xA123, 900, 1100), 255: (0xFFFF, 32000, 32767)}
"""Gate code and window of the levels in the tests' table."""
TABLE = 17
"""Parameter address of level 0; higher addresses than the memory has wrap round."""
REGISTERS = {
    "levels": TABLE,
    "line": 0,
    "tries": 3,
    "average": 0,
    "stuck": 0,
    "endurance": 0,
    "together": 0,
    "set_cycles": 25,
    "reset_cycles": 40,
    "rail_set": 0xB000,
    "rail_reset": 0x1000,
}
BETWEEN = 12345
"""In no level's window."""
LINE_ADDRESS = 30
LINE = Line(
    offset=-100,
    mantissa=0x4_8000,  # 4.5
    half=7,
    low=450,
    high=60_000,
    pieces=tuple(Piece(0x9000_00 + 0x1234_56 * n // 16, 0x1234_56 // 16 + n) for n in range(16)),
)


class Bench(Elaboratable):
    """Engine, cell and parameter memory, and timers, wired as in the top."""

    def __init__(self, cells, timing, clk_hz, jump, wear=()):
        table = [0] * GEOMETRY.param_depth
        table[LINE_ADDRESS : LINE_ADDRESS + LINE_WORDS] = pack_line(LINE)
        self.wear = memory.Memory(shape=32, depth=GEOMETRY.cells, init=wear)
        for level, window in LEVELS.items():
            table[(TABLE + level) % GEOMETRY.param_depth] = pack_level(*window)
        self.cell = memory.Memory(shape=32, depth=GEOMETRY.cells, init=cells)
        self.param = memory.Memory(shape=64, depth=GEOMETRY.param_depth, init=table)
        self.engine = WriteVerify(GEOMETRY, timing, clk_hz)
        self.timers = Timers([COUNT_BITS])
        self.jump = jump

    def elaborate(self, platform):
        m = Module()
        m.submodules.cell, m.submodules.param = self.cell, self.param
        m.submodules.wear = self.wear
        had, counted = self.wear.read_port(), self.wear.write_port()
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
            had.addr.eq(engine.wear_address),
            engine.wear_data.eq(had.data),
            counted.addr.eq(engine.wear_address),
            counted.data.eq(engine.wear_next),
            counted.en.eq(engine.wear_write),
            timers.quiet.eq(~(engine.active | engine.fe.active)),
            timers.jump.eq(self.jump),
        ]
        return m


@dataclass
class Run:
    """``results`` of the cells; ``now`` at the end; ``untouched``: cells left as they were.

    ``wear`` is the tile's at the end, ``worn_at`` the one when gate B opened, each time.
    """

    results: list[tuple[int, int, CellStatus]] = field(default_factory=list)
    untouched: list[int] = field(default_factory=list)
    now: int = 0
    skipped: int = 0
    wear: list[int] = field(default_factory=list)
    worn_at: list[list[int]] = field(default_factory=list)


@pytest.fixture(scope="session")
def execute(simulate, front_end, front_end_times):
    """``execute(levels, codes, cell=..., program=..., ...)`` -> ``Run``, front end.

    ``codes`` are what reads bring, in order, for reads of several columns one for each
    of them; every other column converts to another number. ``told`` are the times that
    the engine works with.
    """

    def run(
        levels, codes, cell=0, program=1, count=None, times=None, told=None, jump=False,
        wear=(), **changes
    ):  # fmt: skip
        times = times or front_end_times()
        memory_words = [*levels, *[0x55AA] * (GEOMETRY.cells - len(levels))]
        dut = Bench(memory_words, (told or times).timing, times.CLK_HZ, jump, wear)
        engine, now = dut.engine, dut.timers.now
        script: Iterator[int] = iter(codes)

        def code_of(held):
            sensed = [n for n in range(GEOMETRY.columns) if held.setting.column >> n & 1]
            if len(sensed) <= 1:
                code = next(script)
                return [code if n in sensed else ~code for n in range(GEOMETRY.columns)]
            found = dict(zip(sensed, next(script), strict=True))
            return [found.get(n, 0x7777) for n in range(GEOMETRY.columns)]

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
            result.wear = [ctx.get(dut.wear.data[n]) for n in range(GEOMETRY.cells)]

        async def watch(ctx):
            while True:
                await ctx.posedge(engine.fe.gate_b)
                result.worn_at.append([ctx.get(dut.wear.data[n]) for n in range(16)])

        simulate(dut, bench, background=[fe.run, watch], cycles=20_000)
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


def attempt(row: int, gates: dict[int, int]) -> list[tuple]:
    """One attempt on cells of a row, each with its gate code: RESET, SETs, read."""
    row, together = 1 << row, sum(1 << column for column in gates)
    sets = [
        [
            ("rail", Dac.GATE_PROGRAM, gate),
            *switch(GATES, 1 << column, 0),
            ("pulse", REGISTERS["set_cycles"]),
        ]
        for column, gate in gates.items()
    ]
    return [
        ("rail", Dac.RAIL_B, REGISTERS["rail_reset"]),
        *switch(ROWS, 0, row),
        *switch(COLUMNS, 0, 0),
        *switch(GATES, 0, together),
        ("pulse", REGISTERS["reset_cycles"]),
        ("rail", Dac.RAIL_B, REGISTERS["rail_set"]),
        *(event for pulse in sets for event in pulse),
        *read(row, together),
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
        *attempt(3, {5: LEVELS[1][0]}),
        *attempt(3, {6: LEVELS[0][0]}),
        *attempt(3, {6: LEVELS[0][0]}),
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


# Several cells of a row together.


def test_cells_of_a_row_are_reset_and_read_together(execute):
    reads = [[0, BETWEEN, 0], BETWEEN, 950]
    result, fe = execute(
        [0, 1, 0], reads, cell=GEOMETRY.columns * 2 + 4, together=3, tries=4, endurance=9
    )
    low, high = LEVELS[0][0], LEVELS[1][0]
    assert story(fe) == [
        *attempt(2, {4: low, 5: high, 6: low}),
        *attempt(2, {5: high}),
        *attempt(2, {5: high}),
    ]
    assert result.results == [
        (0, 1, CellStatus.DONE), (950, 3, CellStatus.DONE), (0, 1, CellStatus.DONE),
    ]  # fmt: skip
    assert fe.faults == []
    # One RESET for all, and a SET for each.
    assert [pulse.setting.gate_on for pulse in fe.pulses[:4]] == [0b111 << 4, 0, 0, 0]


def test_a_group_ends_at_its_size_at_the_row_and_at_the_last_cell(execute):
    count = GEOMETRY.columns + 5
    sizes = [3, 2, 3, 3, 2]  # from column 3: 3 + 2, a whole row, of which 2 at its end
    reads = [[0] * size if size > 1 else 0 for size in sizes]
    _, fe = execute([0] * count, reads, cell=3, together=3, program=0)
    assert [held.setting.column.bit_count() for held in fe.conversions] == sizes
    assert [held.setting.row_a for held in fe.conversions] == [1, 1, 2, 2, 2]
    spans = [held.setting.column for held in fe.conversions]
    assert spans == [0b111 << 3, 0b11 << 6, 0b111, 0b111 << 3, 0b11 << 6]


def test_a_whole_row_is_read_in_one_conversion(execute):
    codes = [100 * n - 350 for n in range(GEOMETRY.columns)]
    result, fe = execute([0] * 8, [codes], cell=16, together=8, program=0)
    assert [code for code, _, _ in result.results] == codes
    assert len(fe.conversions) == 1


def test_the_extremes_of_each_cell_of_a_group_are_its_own(execute):
    reads = [[500, 5000], [501, 9000], [499, 5000]]
    result, _ = execute([1, 1], reads, together=2, stuck=10)
    assert result.results == [
        (499, 3, CellStatus.STUCK), (5000, 3, CellStatus.NOT_CONVERGED),
    ]  # fmt: skip


# Targets.


@pytest.mark.parametrize("target", [-32768, -5, 99, 100, 101, 199, 200, 2000, 13_333, 32_767])
def test_gate_and_window_of_a_target_are_the_lines(execute, target):
    low, high = LINE.window(target)
    inside = [low, high]
    for found in inside:
        outside = [code for code in (low - 1, high + 1) if -32768 <= code <= 32767]
        result, fe = execute([target & 0xFFFF], [*outside, found], line=LINE_ADDRESS)
        assert result.results == [(found, len(outside) + 1, CellStatus.DONE)]
        gates = {code for _, channel, code in fe.writes if channel is Dac.GATE_PROGRAM}
        assert gates == {LINE.gate_code(target)}
        assert fe.faults == []


def test_targets_of_a_group_have_a_gate_each(execute):
    targets = [150, 9000, 13_000]
    _, fe = execute(targets, [targets], line=LINE_ADDRESS, together=3)
    gates = [code for _, channel, code in fe.writes if channel is Dac.GATE_PROGRAM]
    assert gates == [LINE.gate_code(target) for target in targets]
    assert len(set(gates)) == 3


def test_a_targets_gate_takes_38_cycles_more_than_a_levels(execute, front_end_times):
    times = front_end_times(shift=1)  # the DAC write before it hides nothing
    plain, _ = execute([1], [1000], times=times)
    computed, _ = execute([1000], [1000], line=LINE_ADDRESS, times=times)
    assert computed.now - plain.now == 38


# Wear.


def test_a_cycle_is_counted_before_its_pulses(execute):
    cell = GEOMETRY.columns + 2
    wear = [10 * n for n in range(GEOMETRY.cells)]
    result, fe = execute([1, 0], [BETWEEN, 1000, 0], cell=cell, wear=wear)
    expected = list(wear)
    expected[cell] += 2
    expected[cell + 1] += 1
    assert result.wear == expected
    counted = [at[cell] - wear[cell] for at in result.worn_at]
    assert counted == [1, 1, 2, 2, 2, 2]
    assert [at[cell + 1] - wear[cell + 1] for at in result.worn_at] == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(("left", "tries"), [(0, 0), (1, 1), (2, 2)])
def test_a_cell_that_has_had_its_cycles_is_left_alone(execute, left, tries):
    wear = [0] * 4 + [1000 - left]
    codes = [[0, 500]] + [501] * (left - 1) if left else [0]
    result, fe = execute([0, 1], codes, cell=3, wear=wear, endurance=1000, together=2)
    assert result.results == [
        (0, 1, CellStatus.DONE),
        ((499 + left) if left else 0, tries, CellStatus.WORN),
    ]
    assert result.wear[3:5] == [1, 1000]
    sets = [pulse for pulse in fe.pulses if pulse.setting.gate_program]
    assert sum(pulse.setting.gate_program == 1 << 4 for pulse in sets) == left
    assert all(pulse.setting.gate_on != 1 << 4 for pulse in fe.pulses[:2])


def test_nothing_moves_for_a_worn_cell(execute):
    result, fe = execute([1], [], cell=9, wear=[5] * 16, endurance=5)
    assert result.results == [(0, 0, CellStatus.WORN)]
    assert story(fe) == [] and result.wear[9] == 5


def test_without_an_endurance_cycles_are_counted_and_never_refused(execute):
    result, _ = execute([1], [1000], wear=[2**32 - 2])
    assert result.results == [(1000, 1, CellStatus.DONE)] and result.wear[0] == 2**32 - 1
    result, _ = execute([1], [1000], wear=[2**32 - 1])
    assert result.results == [(1000, 1, CellStatus.DONE)] and result.wear[0] == 2**32 - 1


def test_reading_wears_nothing(execute):
    result, _ = execute([1, 1], [0, 0], program=0, wear=[7, 7], endurance=7)
    assert result.wear[:2] == [7, 7]
    assert [status for *_, status in result.results] == [CellStatus.READ] * 2
