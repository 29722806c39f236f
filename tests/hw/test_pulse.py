"""The pulse sequencer: exact pulses, samples and stairs, what it refuses, and how it stops."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.lib import memory
from amaranth.lib.wiring import connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ohmloom.hw.afe.interface import SwitchGroup
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import (
    LIMIT_NEGATIVE,
    LIMIT_POSITIVE,
    PULSE_FIELDS,
    SWEEP_FIELDS,
    Dac,
    PulseStatus,
    Staircase,
    Train,
    pack_pulse,
    pack_sweep,
    unpack_outcome,
    unpack_sample,
)
from ohmloom.hw.pulse import PulseSequencer
from ohmloom.hw.stairs import gap_cycles
from ohmloom.hw.timers import COUNT_BITS, Timers

GEOMETRY = Geometry(rows=8, columns=8, param_depth=64)
PARAM = 23
"""Where the record is."""
ROW, COLUMN = 4, 2
ROWS, COLUMNS, GATES = SwitchGroup.ROWS, SwitchGroup.COLUMNS, SwitchGroup.GATES
OPENS = 17
"""Cycles from the start to the first opening, but for the front end's and ``limit``."""


class Bench(Elaboratable):
    """Engine, memories and timers, wired as in the top."""

    def __init__(self, words, timing, clk_hz, jump, geometry=GEOMETRY, before=()):
        record = [*before, *[0] * (PARAM - len(before)), *words]
        depth = GEOMETRY.param_depth
        self.param = memory.Memory(shape=64, depth=depth, init=record)
        self.cell = memory.Memory(shape=32, depth=GEOMETRY.cells, init=[0x55AA] * GEOMETRY.cells)
        self.engine = PulseSequencer(geometry, timing, clk_hz)
        self.timers = Timers([COUNT_BITS] * 3)
        self.jump = jump

    def elaborate(self, platform):
        m = Module()
        m.submodules.cell, m.submodules.param = self.cell, self.param
        m.submodules.engine = engine = self.engine
        m.submodules.timers = timers = self.timers
        for n, port in enumerate((engine.timer, engine.pace, engine.sampler)):
            connect(m, timers.channel[n], port)
        store, read = self.cell.write_port(), self.param.read_port()
        m.d.comb += [
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
    """``started`` and ``done``: cycles of the strobes; ``closed_at``: of a late abort."""

    status: PulseStatus = PulseStatus.DONE
    samples: list[tuple[int, bool]] = field(default_factory=list)
    untouched: list[int] = field(default_factory=list)
    fault: int = 0
    cycles: int = 0
    started: int = 0
    skipped: int = 0
    trains: int = 0


@pytest.fixture(scope="session")
def execute(simulate, front_end, front_end_times):
    """``execute(record, code_of=..., ...)`` -> ``Run``, front end."""

    class PulseFrontEnd(front_end):
        """Inputs also settle from the opening of gate B on, on the source from its closing."""

        _closed_at = 0

        def _gates(self, now, gate_a, gate_b, moving):
            was_open = self._opened_at is not None
            super()._gates(now, gate_a, gate_b, moving)
            if was_open and not gate_b:
                self._closed_at = now

        def _convert(self, now, gate_a, tile, name):
            if self._opened_at is not None:
                self._reading_since = self._opened_at
            elif self._source[0]:
                self._reading_since = self._closed_at
            super()._convert(now, gate_a, tile, name)

    def run(
        record, code_of=None, count=1, down=0, times=None, told=None, jump=False, abort=None,
        geometry=GEOMETRY, timing=None, earlier=None, **at
    ):  # fmt: skip
        times = times or front_end_times()
        sweep = isinstance(record, Staircase)
        words = record
        if not isinstance(record, list):
            words = pack_sweep(record) if sweep else pack_pulse(record)
        first = pack_pulse(earlier) if earlier else []
        told_timing = timing or (told or times).timing
        dut = Bench(words, told_timing, times.CLK_HZ, jump, geometry, first)
        engine, now = dut.engine, dut.timers.now
        numbers = iter(range(1 << 30))

        def codes(held):
            n = next(numbers)
            if code_of is None:
                return [100 * n + column for column in range(GEOMETRY.columns)]
            return [code_of(n, column) for column in range(GEOMETRY.columns)]

        fe = PulseFrontEnd(engine.fe, now, codes, times)
        result = Run()
        operands = {"tile": 77, "row": ROW, "column": COLUMN, "count": count, "down": down}

        async def bench(ctx):
            for name, value in (operands | {"param": 0} | at).items():
                ctx.set(getattr(engine.operand, name), value)
            if earlier:
                ctx.set(engine.start, 1)
                await ctx.tick()
                ctx.set(engine.start, 0)
                await ctx.tick().until(engine.done)
                fe.pulses.clear()
            ctx.set(engine.operand.param, PARAM)
            ctx.set(engine.sweep, sweep)
            ctx.set(engine.start, 1)
            result.started = ctx.get(now)
            await ctx.tick()
            ctx.set(engine.start, 0)
            before = 0
            while not ctx.get(engine.done):
                if abort is not None:
                    ctx.set(engine.abort, abort(ctx.get(now) - result.started, ctx, engine))
                result.trains += not before and ctx.get(engine.train)
                before = ctx.get(engine.train)
                await ctx.tick()
            result.cycles = ctx.get(now) - result.started
            result.fault = ctx.get(engine.fault)
            await ctx.tick()
            assert not ctx.get(engine.active)
            words = [ctx.get(dut.cell.data[n]) for n in range(GEOMETRY.cells)]
            stored, result.status = unpack_outcome(words[0])
            result.samples = [unpack_sample(word) for word in words[1 : stored + 1]]
            result.untouched = words[stored + 1 :]
            result.skipped = ctx.get(dut.timers.skipped)

        simulate(dut, bench, background=[fe.run], cycles=40_000)
        assert set(result.untouched) <= {0x55AA}
        assert result.fault == (result.status not in (PulseStatus.DONE, PulseStatus.CUT))
        return result, fe

    return run


TIMES = {"settle": 40, "dac": 12, "load": 6, "shift": 7, "readout": 20}
LOAD, SHIFT, SETTLE, DAC_SETTLE, READOUT = 6, 7, 40, 12, 20


def opening(limit: int) -> int:
    """Cycles from the start strobe to the first opening of gate B."""
    return OPENS + bool(limit) * SHIFT + 3 * LOAD + DAC_SETTLE


ENDING = 3 + LOAD + SHIFT + DAC_SETTLE
"""From the closing of the last pulse to ``done``."""


def test_a_pulse_is_exact_and_drives_its_cell_alone(execute):
    train = Train(rail=0xB123, gate=0x9ABC, limit=LIMIT_POSITIVE, width=57)
    run, fe = execute(train)
    (pulse,) = fe.pulses
    assert (pulse.width, pulse.cycle - run.started) == (57, opening(train.limit))
    assert run.cycles == opening(train.limit) + 57 + ENDING
    assert vars(pulse.setting) == {
        "row_a": 0, "row_b": 1 << ROW, "column": 0, "gate_program": 1 << COLUMN, "gate_on": 0
    }  # fmt: skip
    assert (pulse.rails[Dac.RAIL_B], pulse.rails[Dac.GATE_PROGRAM]) == (0xB123, 0x9ABC)
    assert (run.status, run.samples, fe.faults) == (PulseStatus.DONE, [], [])
    assert fe.setting.row_b == 0 and fe.rails[Dac.RAIL_B] == 0x8000


@pytest.mark.parametrize(
    ("rail", "limit", "program"),
    [
        (0x9000, LIMIT_POSITIVE, True),
        (0x7000, LIMIT_POSITIVE, False),
        (0x9000, LIMIT_NEGATIVE, False),
        (0x7000, LIMIT_NEGATIVE, True),
        (0x9000, 0, False),
        (0x7000, LIMIT_POSITIVE | LIMIT_NEGATIVE, True),
    ],
)
def test_the_gate_limits_the_polarity_that_was_asked_for(execute, rail, limit, program):
    run, fe = execute(Train(rail=rail, gate=0xA000, limit=limit, width=10))
    (pulse,) = fe.pulses
    gates = (pulse.setting.gate_program, pulse.setting.gate_on)
    assert gates == ((1 << COLUMN, 0) if program else (0, 1 << COLUMN))
    assert run.cycles == opening(limit) + 10 + ENDING


def test_a_train_keeps_its_interval(execute):
    run, fe = execute(Train(rail=0x9000, width=30, pulses=5, interval=77))
    first = fe.pulses[0].cycle
    assert [pulse.cycle - first for pulse in fe.pulses] == [0, 77, 154, 231, 308]
    assert {pulse.width for pulse in fe.pulses} == {30}
    assert run.trains == 1
    assert run.cycles == opening(0) + 4 * 77 + 30 + ENDING
    assert len(fe.updates) == 4, "switches do not move between the pulses"


def test_a_train_may_be_as_dense_as_the_formula_says(execute):
    run, fe = execute(Train(rail=0x9000, width=30, pulses=3, interval=32))
    assert run.status is PulseStatus.DONE and len(fe.pulses) == 3
    run, fe = execute(Train(rail=0x9000, width=30, pulses=3, interval=31))
    assert run.status is PulseStatus.LATE and len(fe.pulses) == 1
    assert fe.faults == []


def test_samples_inside_a_pulse_come_when_asked(execute):
    train = Train(rail=0x9000, width=400, pulses=2, interval=500, inside=3, delay=55, spacing=100)
    run, fe = execute(train, count=4)
    starts = [pulse.cycle for pulse in fe.pulses]
    assert [held.cycle for held in fe.conversions] == [
        start + 55 + 100 * n for start in starts for n in range(3)
    ]
    assert {held.setting.column for held in fe.conversions} == {0b1111 << COLUMN}
    assert not any(held.gate_a for held in fe.conversions)
    assert run.samples == [
        (100 * n + column, False) for n in range(6) for column in range(COLUMN, COLUMN + 4)
    ]
    assert fe.faults == []


def test_down_a_column_there_is_one_sample_of_all(execute):
    train = Train(rail=0x9000, width=100, inside=1, delay=40)
    run, fe = execute(train, count=3, down=1)
    assert fe.pulses[0].setting.row_b == 0b111 << ROW
    assert fe.conversions[0].setting.column == 1 << COLUMN
    assert run.samples == [(COLUMN, False)]


def test_samples_after_a_pulse_are_reads(execute):
    after = 5 + 3 * LOAD + SETTLE
    train = Train(
        rail=0x7000, width=60, pulses=2, interval=300, after=2, after_delay=after, after_spacing=50,
        inside=1, delay=45,
    )  # fmt: skip
    run, fe = execute(train, count=2)
    ends = [pulse.cycle + pulse.width for pulse in fe.pulses]
    assert ends[1] - ends[0] == 300
    wanted = [(end - 15, end + after, end + after + 50) for end in ends]
    assert [held.cycle for held in fe.conversions] == [c for group in wanted for c in group]
    late = fe.conversions[1]
    assert vars(late.setting) == {
        "row_a": 1 << ROW, "row_b": 0, "column": 0b11 << COLUMN,
        "gate_program": 0, "gate_on": 0b11 << COLUMN,
    }  # fmt: skip
    assert late.gate_a and late.tile == 77 and late.tag[0] == 0
    assert len(run.samples) == 2 * 3 * 2
    assert fe.faults == []


def test_a_read_after_the_pulse_that_comes_too_early_is_late(execute):
    after = 5 + 3 * LOAD + SETTLE
    train = Train(rail=0x7000, width=60, after=1, after_delay=after - 1)
    run, fe = execute(train)
    assert run.status is PulseStatus.LATE and fe.conversions == []


@pytest.mark.parametrize("average", [0, 1, 3])
def test_means_are_rounded_half_to_even(execute, average):
    codes = [-32768, 32767, 5, 6, -7, -8, -1, 0, 1, 2, 4, 5, 3, 3, 2, 1, 0, 0, -1, -1, 9, 3, 4, 4]
    groups = len(codes) >> average
    train = Train(rail=0x9000, width=900, inside=groups, delay=40, spacing=24 + 6, average=average)
    run, _ = execute(train, lambda n, column: codes[n] if column == COLUMN else codes[n] - 1)
    wanted = []
    for n in range(groups):
        group = codes[n << average : (n + 1) << average]
        mean, twice = divmod(sum(group), len(group))
        mean += 2 * twice > len(group) or (2 * twice == len(group) and mean % 2)
        wanted.append((mean, bool({-32768, 32767} & set(group))))
    assert run.samples == wanted


def test_samples_may_be_as_dense_as_the_formula_says(execute):
    dense = READOUT + 1 + 3 * 2
    train = Train(rail=0x9000, width=400, inside=4, delay=40, spacing=dense)
    run, _ = execute(train, count=2)
    assert run.status is PulseStatus.DONE and len(run.samples) == 8
    run, fe = execute(replace(train, spacing=dense - 1), count=2)
    assert run.status is PulseStatus.LATE and len(fe.conversions) == 1
    assert fe.pulses[0].width < 400


def test_a_stair_climbs_and_comes_back(execute):
    gap = max(4 + LOAD, 1 + SHIFT) + DAC_SETTLE + 2
    stairs = Staircase(
        start=0x7F00, stop=0x8100, step=0x80, both=True, width=200, interval=200 + gap,
        gate=0xA000, limit=LIMIT_POSITIVE, delay=50, spacing=40, average=1,
    )  # fmt: skip
    run, fe = execute(stairs)
    codes = [0x7F00, 0x7F80, 0x8000, 0x8080, 0x8100, 0x8080, 0x8000, 0x7F80, 0x7F00]
    assert stairs.codes() == codes
    assert [pulse.rails[Dac.RAIL_B] for pulse in fe.pulses] == codes
    assert [bool(pulse.setting.gate_program) for pulse in fe.pulses] == [
        code >= 0x8000 for code in codes
    ]
    starts = [pulse.cycle for pulse in fe.pulses]
    assert [b - a for a, b in zip(starts, starts[1:], strict=False)] == [200 + gap] * 8
    assert run.cycles == opening(1) + 8 * (200 + gap) + 200 + ENDING
    assert run.samples == [(200 * n + 50 + COLUMN, False) for n in range(9)]
    assert fe.faults == [] and run.trains == 1
    run, fe = execute(replace(stairs, interval=199 + gap))
    assert run.status is PulseStatus.LATE and len(fe.pulses) == 1


@pytest.mark.parametrize("drive", [1, 2, 6, 7, 8])
def test_a_stair_waits_until_its_next_step_is_found(execute, front_end_times, drive):
    times = front_end_times(dac_settle=drive, switch=1)
    gap = gap_cycles(LOAD, SHIFT, drive)
    stairs = Staircase(
        start=0x8000, stop=0x8200, step=0x100, width=60, interval=60 + gap, delay=40, both=True
    )
    run, fe = execute(stairs, times=times)
    assert [pulse.rails[Dac.RAIL_B] for pulse in fe.pulses] == stairs.codes()
    assert (run.status, fe.faults) == (PulseStatus.DONE, [])
    run, fe = execute(replace(stairs, interval=59 + gap), times=times)
    assert run.status is PulseStatus.LATE and fe.faults == []


@pytest.mark.parametrize(
    ("start", "stop", "step", "both"),
    [
        (0, 0xFFFF, 0x5555, True),
        (0xFFFF, 0, 0xFFFF, True),
        (0x9000, 0x9000, 1, True),
        (0x8003, 0x8000, 1, False),
    ],
)
def test_stairs_reach_every_code(execute, start, stop, step, both):
    stairs = Staircase(
        start=start, stop=stop, step=step, both=both, width=60, interval=200, delay=40
    )
    run, fe = execute(stairs)
    assert [pulse.rails[Dac.RAIL_B] for pulse in fe.pulses] == stairs.codes()
    assert len(run.samples) == len(stairs.codes())


@pytest.mark.parametrize(
    ("change", "count", "down"),
    [
        ({"width": 2}, 1, 0),
        ({"inside": 1, "delay": SETTLE - 1}, 1, 0),
        ({}, GEOMETRY.columns - COLUMN + 1, 0),
        ({}, GEOMETRY.rows - ROW + 1, 1),
        ({"after": 1, "after_delay": 90}, 2, 1),
    ],
)
def test_what_cannot_be_done_drives_nothing(execute, change, count, down):
    run, fe = execute(Train(**{"rail": 0x9000, "width": 100} | change), count=count, down=down)
    assert (run.status, run.samples) == (PulseStatus.REFUSED, [])
    assert (fe.pulses, fe.writes, fe.updates, fe.conversions) == ([], [], [], [])


def test_the_shortest_pulse_is_made(execute):
    run, fe = execute(Train(rail=0x9000, width=3))
    assert run.status is PulseStatus.DONE and fe.pulses[0].width == 3


def test_a_sample_beyond_its_pulse_is_late_and_the_gate_closes_in_time(execute):
    words = pack_pulse(Train(rail=0x9000, width=100, inside=2, delay=40, spacing=50))
    words[4] = 59  # the second one in the last cycle
    run, fe = execute(words)
    assert run.status is PulseStatus.LATE
    assert [pulse.width for pulse in fe.pulses] == [100] and len(fe.conversions) == 1


def test_a_full_cell_memory_ends_it(execute):
    train = Train(rail=0x9000, width=50, pulses=30, interval=90, inside=1, delay=40)
    run, fe = execute(train, count=5)
    assert run.status is PulseStatus.FULL
    assert len(run.samples) == GEOMETRY.cells - 1
    assert len(fe.pulses) == GEOMETRY.cells // 5 + 1 and fe.faults == []


def test_the_last_word_of_cell_memory_is_used(execute):
    train = Train(rail=0x9000, width=45, pulses=21, interval=76, inside=1, delay=40)
    run, _ = execute(train, count=3)
    assert (run.status, len(run.samples)) == (PulseStatus.DONE, GEOMETRY.cells - 1)


@pytest.mark.parametrize("slow", ["dac_settle", "switch", "load", "shift"])
@pytest.mark.parametrize("limit", [0, 3])
def test_the_gate_waits_for_switches_and_rails(execute, front_end_times, slow, limit):
    times = front_end_times(**{slow: 90})
    stairs = Staircase(
        start=0x8000, stop=0x8010, step=0x10, width=60, interval=600, delay=40, limit=limit
    )
    run, fe = execute(stairs, times=times)
    assert (len(fe.pulses), fe.faults, run.status) == (2, [], PulseStatus.DONE)


@pytest.mark.parametrize("slow", ["dac_settle", "switch"])
def test_a_gate_that_does_not_wait_is_seen(execute, front_end_times, slow):
    times = front_end_times(**{slow: 90})
    _, fe = execute(Train(rail=0x9000, width=50), times=times, told=replace(times, **{slow: 30}))
    assert any("gate B is open before" in fault for fault in fe.faults)


def test_a_sample_that_does_not_wait_is_seen(execute, front_end_times):
    times = front_end_times()
    train = Train(rail=0x9000, width=90, inside=1, delay=times.settle - 1)
    _, fe = execute(train, times=times, told=replace(times, settle=times.settle - 1))
    assert any("before the inputs have settled" in fault for fault in fe.faults)


def test_time_jumps_change_nothing_but_the_wait(execute):
    train = Train(
        rail=0x9000, width=900, pulses=2, interval=2400, inside=2, delay=300, spacing=500,
        after=2, after_delay=500, after_spacing=600,
    )  # fmt: skip
    plain, fe = execute(train, count=2)
    jumped, other = execute(train, count=2, jump=True)
    assert (jumped.samples, jumped.cycles) == (plain.samples, plain.cycles)
    assert other.pulses == fe.pulses and other.conversions == fe.conversions
    assert plain.skipped == 0 and jumped.skipped > 2500
    assert plain.status is PulseStatus.DONE


ABORTED = Train(
    rail=0x9000, width=120, pulses=2, interval=400, inside=1, delay=60,
    after=1, after_delay=100, limit=1, gate=0x9000,
)  # fmt: skip


@pytest.mark.parametrize(
    "moment", [1, 5, 11, 17, 22, 27, 34, 41, 48, 55, 70, 120, 200, 240, 300, 460, 500, 620]
)
def test_an_abort_closes_the_gate_at_the_next_edge(execute, moment):
    run, fe = execute(ABORTED, abort=lambda now, ctx, engine: now == moment)
    assert run.status is PulseStatus.ABORTED
    first = opening(1)
    for start, pulse in zip((first, first + 400), fe.pulses, strict=False):
        assert pulse.width == min(120, moment + 1 - start)
    assert len(fe.pulses) == (moment >= first) + (moment >= first + 400)
    assert fe.setting.row_b == 0 and fe.rails[Dac.RAIL_B] == 0x8000
    assert run.cycles <= max(moment, OPENS + 3 * LOAD) + 4 * (LOAD + 1) + READOUT + ENDING
    assert fe.faults == [] and len(run.samples) < 2 * 2


def test_an_abort_at_the_end_comes_too_late(execute):
    last = opening(0) + 50 + 2
    run, _ = execute(Train(rail=0x9000, width=50), abort=lambda now, ctx, engine: now == last)
    assert run.status is PulseStatus.DONE


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_train_is_what_its_record_says(execute, data):
    draw = data.draw
    inside, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    average, count = draw(st.integers(0, 1)), draw(st.integers(1, 3))
    delay = draw(st.integers(SETTLE, 70))
    spacing = draw(st.integers(READOUT + 1 + 3 * count, 60))
    width = draw(st.integers(10, 30)) + delay + (inside << average) * spacing
    after_delay = draw(st.integers(5 + 3 * LOAD + SETTLE, 120))
    tail = after_delay + (after << average) * spacing if after else 0
    train = Train(
        rail=draw(st.integers(0, 0xFFFF)), gate=draw(st.integers(0, 0xFFFF)),
        limit=draw(st.integers(0, 3)), width=width, pulses=draw(st.integers(1, 3)),
        interval=width + tail + 3 * LOAD + DAC_SETTLE + 7 + draw(st.integers(0, 50)),
        inside=inside, delay=delay, spacing=spacing, average=average,
        after=after, after_delay=after_delay, after_spacing=spacing,
    )  # fmt: skip
    run, fe = execute(train, count=count)
    assert (run.status, fe.faults) == (PulseStatus.DONE, [])
    first = opening(train.limit) + run.started
    starts = [first + n * train.interval for n in range(train.pulses)]
    assert [(pulse.cycle, pulse.width) for pulse in fe.pulses] == [(s, width) for s in starts]
    assert [held.cycle for held in fe.conversions] == [
        cycle
        for start in starts
        for cycle in (
            *(start + delay + n * spacing for n in range(inside << average)),
            *(start + width + after_delay + n * spacing for n in range(after << average)),
        )
    ]
    assert len(run.samples) == train.pulses * (inside + after) * count


SOURCE = 25
"""Cycles until the line is on the source, or no longer."""
JUDGED = READOUT + 1 + 3 + 1
"""Shortest ``react``: the mean of one column, and a cycle to compare it."""
CHARGE = Train(
    rail=0x9000, width=600, source=1, source_range=2, inside=6, delay=60, spacing=80, react=30,
)  # fmt: skip
SOURCE_OPENS = opening(0) + SOURCE + 1
SOURCE_ENDING = ENDING + LOAD + 1 + SOURCE + 1


def test_a_charge_is_exact_and_its_samples_are_the_line(execute):
    train = replace(CHARGE, after=2, after_delay=SETTLE + 2, after_spacing=50)
    run, fe = execute(train, down=1)
    (pulse,) = fe.pulses
    opened = run.started + SOURCE_OPENS
    closed = opened + 600
    assert (pulse.cycle, pulse.width, pulse.source) == (opened, 600, 2)
    assert vars(pulse.setting) == {
        "row_a": 0, "row_b": 1 << ROW, "column": 0, "gate_program": 0, "gate_on": 1 << COLUMN
    }  # fmt: skip
    assert pulse.rails[Dac.RAIL_B] == 0x9000
    moments = [opened + 60 + 80 * n for n in range(6)]
    afterwards = [closed + SETTLE + 2, closed + SETTLE + 52]
    assert [held.cycle for held in fe.conversions] == moments + afterwards
    # The cell stays on the line, and no read rail comes to it.
    assert {(held.gate_a, held.setting.row_a) for held in fe.conversions} == {(0, 0)}
    assert fe.conversions[-1].setting == pulse.setting
    assert run.samples == [(100 * n, False) for n in range(8)]
    assert (run.status, fe.faults, run.trains) == (PulseStatus.DONE, [], 1)
    run, _ = execute(replace(train, after_delay=SETTLE + 1))
    assert run.status is PulseStatus.LATE


def test_the_cell_is_off_before_its_row_leaves_the_line_and_that_before_the_source(execute):
    run, fe = execute(CHARGE)
    assert run.cycles == SOURCE_OPENS + 600 + SOURCE_ENDING
    closed = run.started + SOURCE_OPENS + 600
    (gates, off), (rows, ground) = [latch[::-1] for latch in fe.latches if latch[0] > closed]
    assert (gates, rows) == (GATES, ROWS) and off < ground
    assert fe.updates[-2][2:] == fe.updates[-1][2:] == (0, 0)
    (selected, *on), (released, *left) = fe.sources
    assert (on, left) == ([1, 2], [0, 0])
    assert ground < fe.writes[-1][0] < released == run.started + run.cycles - SOURCE
    assert fe.writes[-1][1:] == (Dac.RAIL_B, 0x8000)
    assert selected + SOURCE <= fe.writes[0][0]


@pytest.mark.parametrize("average", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_charge_is_cut_at_the_sample_that_reaches_its_limit(execute, sign, average):
    """At 100, 200, 300 .., or the means of pairs of them: the third sample is at 300 or more."""
    train = replace(
        CHARGE, inside=6 >> average, average=average, v_low=-300, v_high=300,
        after=1, after_delay=90, after_spacing=50,
    )  # fmt: skip
    codes = [sign * 100 * (1 + n) for n in range(9)] if not average else [
        sign * code for code in (0, 0, 299, 301, 500, 500, 7, 7)
    ]  # fmt: skip
    run, fe = execute(train, lambda n, column: codes[n] if column == 0 else 32767)
    assert run.status is PulseStatus.CUT and fe.faults == []
    last = 2 if not average else 3
    (pulse,) = fe.pulses
    assert pulse.width == 60 + last * 80 + 30 + 1
    wanted = (100, 200, 300) if not average else (0, 300)
    rest = 400 if not average else 500
    assert [code for code, _ in run.samples] == [sign * code for code in (*wanted, rest)]
    assert fe.conversions[last + 1].cycle == pulse.cycle + pulse.width + 90


def test_a_limit_is_reached_at_its_code_and_not_one_before(execute):
    run, fe = execute(replace(CHARGE, v_low=0, v_high=500), lambda n, column: 1 + n * 498 // 5)
    assert run.status is PulseStatus.DONE and fe.pulses[0].width == 600
    run, fe = execute(replace(CHARGE, v_low=0, v_high=499), lambda n, column: 1 + n * 498 // 5)
    assert run.status is PulseStatus.CUT
    assert fe.pulses[0].width == 60 + 5 * 80 + 31
    run, fe = execute(replace(CHARGE, v_low=1, v_high=500), lambda n, column: 1 + n * 498 // 5)
    assert run.status is PulseStatus.CUT and fe.pulses[0].width == 91


def test_a_limit_that_the_last_sample_reaches_too_late_is_still_said(execute):
    train = replace(CHARGE, inside=1, delay=595, v_high=0)
    run, fe = execute(train)
    assert (run.status, fe.pulses[0].width) == (PulseStatus.CUT, 600)
    # A read after the pulse is not judged.
    train = replace(CHARGE, inside=1, v_high=1, after=1, after_delay=90)
    run, fe = execute(train, lambda n, column: n)
    assert (run.status, fe.pulses[0].width) == (PulseStatus.DONE, 600)


def test_a_judgement_may_be_as_early_as_the_formula_says(execute):
    run, fe = execute(replace(CHARGE, react=JUDGED, spacing=JUDGED + 1, v_high=500))
    assert run.status is PulseStatus.CUT
    assert fe.pulses[0].width == 60 + 5 * (JUDGED + 1) + JUDGED + 1
    run, fe = execute(replace(CHARGE, react=JUDGED - 1))
    assert run.status is PulseStatus.LATE and fe.pulses[0].width == 60 + JUDGED
    words = pack_pulse(replace(CHARGE, react=79))
    words[7] += 1 << 32
    run, fe = execute(words)
    assert run.status is PulseStatus.LATE and len(fe.conversions) == 1


@pytest.mark.parametrize(
    ("change", "operands"),
    [({}, {"count": 2}), ({"pulses": 2}, {}), ({"limit": 1}, {}), ({"delay": SETTLE - 1}, {})],
)
def test_what_the_source_cannot_do_drives_nothing(execute, change, operands):
    plain = replace(CHARGE, source=0, interval=1000, **change)
    words = pack_pulse(plain)
    words[0] |= 1 << 54
    run, fe = execute(words, **operands)
    assert run.status is PulseStatus.REFUSED and run.cycles == 10
    assert (fe.pulses, fe.writes, fe.updates, fe.sources) == ([], [], [], [])


@pytest.mark.parametrize("lacking", ["controller", "front end"])
def test_without_a_source_it_is_refused_and_other_pulses_are_the_same(
    execute, front_end_times, lacking
):
    geometry = replace(GEOMETRY, power=lacking != "controller")
    timing = front_end_times().timing
    timing = replace(timing, source_ps=None) if lacking == "front end" else timing
    run, fe = execute(CHARGE, geometry=geometry, timing=timing)
    assert run.status is PulseStatus.REFUSED and fe.updates == [] and fe.sources == []
    train = Train(rail=0x9000, width=30, pulses=2, interval=77)
    run, _ = execute(train, geometry=geometry, timing=timing)
    assert run.cycles == opening(0) + 77 + 30 + ENDING


def test_a_gate_that_does_not_wait_for_the_source_is_seen(execute, front_end_times):
    """What is told to the engine is too short by more than the DAC and the switches take."""
    times = front_end_times(source=90)
    _, fe = execute(CHARGE, times=times, told=replace(times, source=5))
    assert any("gate B is open before" in fault for fault in fe.faults)


@pytest.mark.parametrize("moment", [30, 60, 75, 160, 690])
def test_an_aborted_charge_ends_like_any(execute, moment):
    train = replace(CHARGE, after=1, after_delay=60)
    run, fe = execute(train, abort=lambda now, ctx, engine: now == moment)
    assert run.status is PulseStatus.ABORTED and fe.faults == []
    for pulse in fe.pulses:
        assert pulse.width == min(600, moment + 1 - SOURCE_OPENS)
    assert [chosen[1] for chosen in fe.sources] == [1, 0]
    assert fe.setting.row_b == fe.setting.gate_on == 0 and fe.rails[Dac.RAIL_B] == 0x8000


def test_time_jumps_do_not_move_a_cut(execute):
    train = replace(
        CHARGE, width=90_000, spacing=9000, react=4000, delay=3000, v_high=400,
        after=2, after_delay=800, after_spacing=5000,
    )  # fmt: skip
    jumped, other = execute(train, jump=True)
    assert jumped.status is PulseStatus.CUT and jumped.skipped > 40_000
    assert other.pulses[0].width == 3000 + 4 * 9000 + 4001
    short = replace(train, spacing=300, react=120, delay=100, after_delay=100, after_spacing=200)
    jumped, other = execute(short, jump=True)
    plain, fe = execute(short)
    assert (jumped.samples, jumped.cycles) == (plain.samples, plain.cycles)
    assert other.pulses == fe.pulses and other.conversions == fe.conversions


@pytest.mark.parametrize("left", [SETTLE, 300, 20_000])
def test_an_interval_that_is_not_over_ends_with_its_instruction(execute, left):
    """What is left of it is over, or ends, at any moment of the charge after it."""
    earlier = Train(rail=0x9000, width=30, interval=30 + ENDING + left)
    alone, fe = execute(CHARGE)
    run, other = execute(CHARGE, earlier=earlier)
    assert run.status is PulseStatus.DONE and other.faults == []
    assert (run.cycles, run.samples[0][1]) == (alone.cycles, alone.samples[0][1])
    assert other.pulses[0].width == fe.pulses[0].width and len(run.samples) == len(alone.samples)


def test_the_records_share_their_places():
    def places(words):
        return {
            f.name: (n, sum(e.width for e in fields[: fields.index(f)]), f.width)
            for n, fields in enumerate(words)
            for f in fields
        }

    pulse, sweep = places(PULSE_FIELDS), places(SWEEP_FIELDS)
    shared = ("gate", "limit", "average", "width", "interval", "delay", "spacing")
    assert {n: pulse[n] for n in shared} == {n: sweep[n] for n in shared}
    assert pulse["rail"] == sweep["start"]


PASSIVE = replace(GEOMETRY, passive=True)
BOTH = LIMIT_POSITIVE | LIMIT_NEGATIVE


@pytest.mark.parametrize("others", [0, 1])
def test_in_a_passive_array_the_columns_are_biased(execute, others):
    train = Train(
        rail=0xA000, gate=0x7000, limit=BOTH, others=others, width=60, pulses=2, interval=300,
        after=1, after_delay=5 + 3 * LOAD + SETTLE,
    )  # fmt: skip
    run, fe = execute(train, geometry=PASSIVE)
    rest = 0xFF & ~(1 << COLUMN) if others else 0
    assert [vars(pulse.setting) for pulse in fe.pulses] == 2 * [
        {
            "row_a": 0, "row_b": 1 << ROW, "column": 0,
            "gate_program": 1 << COLUMN, "gate_on": rest,
        }
    ]  # fmt: skip
    assert fe.pulses[0].rails[Dac.GATE_PROGRAM] == 0x7000
    # A read has no bias.
    assert {(held.setting.gate_program, held.setting.gate_on) for held in fe.conversions} == {
        (0, 0)
    }
    assert (run.status, len(run.samples), fe.faults) == (PulseStatus.DONE, 2, [])


@pytest.mark.parametrize(
    ("geometry", "changes", "count"),
    [
        (GEOMETRY, {"others": 1}, 1),
        (PASSIVE, {"inside": 1, "delay": 45}, 1),
        (PASSIVE, {}, 2),
    ],
    ids=["transistors", "inside", "two cells"],
)
def test_what_a_bias_cannot_do_is_refused(execute, geometry, changes, count):
    train = Train(rail=0xA000, gate=0x7000, limit=BOTH, width=100)
    run, fe = execute(replace(train, **changes), geometry=geometry, count=count)
    assert (run.status, fe.pulses) == (PulseStatus.REFUSED, [])
