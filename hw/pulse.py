"""The pulse sequencer: trains of pulses and staircase sweeps, with samples inside and after.

A pulse is the opening of the fast gate B. Before it opens, the rail and the gate
DAC and all switches have settled. While it is open nothing moves but the
converters; then the gate is closed first. Widths, intervals and the moments of
conversions are exact in clock cycles: where the front end is not ready at the
moment that was asked for, the instruction ends as ``LATE`` rather than late.

With the current source a pulse charges or discharges one cell. Its samples are the
voltage of the line, and one of them at a limit closes the gate. The cell's gate is off
before its row leaves the line, so that it keeps its charge.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import (
    FrontEndSignature,
    FrontEndTiming,
    SwitchGroup,
    TimerChannel,
    cycles_from_ps,
)
from .fields import cut
from .geometry import Geometry
from .isa import LAYOUTS, OUTCOME_FIELDS, PULSE_FIELDS, SWEEP_FIELDS, Dac, Op, PulseStatus
from .ranges import RANGE_BITS
from .readout import CODE_BITS, Averager
from .settle import settle_cycles

RECORD_WORDS = max(len(PULSE_FIELDS), len(SWEEP_FIELDS))
"""Words of a record; the last one comes from memory while the others are checked."""
ZERO_CODE = 0x8000
"""DAC code of 0 V."""


class PulseSequencer(wiring.Component):
    """Executes one ``PULSE`` or ``SWEEP`` instruction.

    Parameters
    ----------
    geometry, timing, clk_hz
        Dimensions, what the front end needs, and the clock that is really there.

    Members
    -------
    operand : In
        Operands of the instruction; both have the same.
    start, sweep : In(1)
        Strobe; 1: ``SWEEP``.
    silent : In(1)
        There are no samples, and nothing is written to cell memory.
    range : In(3)
        TIA range; its settling is waited for.
    abort : In(1)
        Strobe: the gate is closed at the next clock edge, then the rows and the rail go
        to 0 V and the instruction ends as ``ABORTED``.
    param_address, param_data
        Parameter memory, where the record is (one cycle of read latency).
    cell_address, cell_write, cell_result : Out
        The outcome into word 0 of cell memory, samples from word 1 upwards.
    timer, pace, sampler : Out(TimerChannel)
        Settling and widths, from one opening to the next, and from sample to sample.
    fe : Out(FrontEndSignature)
        The front end, while this engine runs.
    train : Out(1)
        From the first opening to the end of the instruction: time between its pulses and
        reads passes for a simulated cell. It falls when their last sign is long past.
    done, fault : Out(1)
        Strobe at the end; with it, that not all was done (see the outcome).
    active : Out(1)
        Something other than timers is running.
    """

    def __init__(self, geometry: Geometry, timing: FrontEndTiming, clk_hz: int) -> None:
        self.geometry = geometry
        self.timing = timing
        self.clk_hz = clk_hz
        self.drive_cycles = cycles_from_ps(max(timing.dac_settle_ps, timing.switch_ps), clk_hz)
        self.pulse_min_cycles = max(1, cycles_from_ps(timing.pulse_min_ps, clk_hz))
        self.has_source = geometry.has_source and timing.source_ps is not None
        self.source_cycles = cycles_from_ps(timing.source_ps or 0, clk_hz)
        operand = {field.name: Out(field.width) for field in LAYOUTS[Op.PULSE]}
        super().__init__(
            {
                "operand": In(wiring.Signature(operand)),
                "start": In(1),
                "sweep": In(1),
                "silent": In(1),
                "range": In(RANGE_BITS),
                "abort": In(1),
                "param_address": Out(16),
                "param_data": In(64),
                "cell_address": Out(16),
                "cell_write": Out(1),
                "cell_result": Out(32),
                "timer": Out(TimerChannel()),
                "pace": Out(TimerChannel()),
                "sampler": Out(TimerChannel()),
                "fe": Out(FrontEndSignature(geometry)),
                "train": Out(1),
                "done": Out(1),
                "fault": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.readout = readout = Averager(self.geometry)
        rows, columns = self.geometry.rows, self.geometry.columns
        op, fe = self.operand, self.fe
        timer, pace, sampler = self.timer, self.pace, self.sampler
        settle = settle_cycles(m, self.timing, self.clk_hz, self.range)

        # The record. Where both have a field, it is at the same place.
        words = [Signal(64, name=f"word{n}") for n in range(RECORD_WORDS)]
        index = Signal(range(RECORD_WORDS + 1))
        pulse, sweep = {}, {}
        for n, word in enumerate(words):
            pulse |= cut(word, PULSE_FIELDS[n])
            sweep |= cut(word, SWEEP_FIELDS[n]) if n < len(SWEEP_FIELDS) else {}
        inside, after = Signal(8), Signal(8)
        m.d.comb += [
            inside.eq(Mux(self.silent, 0, Mux(self.sweep, 1, pulse["inside"]))),
            after.eq(Mux(self.sweep | self.silent, 0, pulse["after"])),
        ]

        status = Signal(OUTCOME_FIELDS[1].width)
        place = Signal(16)  # of the next sample
        code = Signal(16)
        left = Signal(16)  # pulses of the train
        samples = Signal(24)  # conversions of the pulse, or after it
        first, opened = Signal(), Signal()
        reading, returning, stopping, loading = Signal(), Signal(), Signal(), Signal()
        ending, full, overflow = Signal(), Signal(), Signal()

        # The current source: what the record asks for, whether it is on the line, and
        # whether a mean of the pulse is being judged, or was at a limit.
        source, selected = Signal(), Signal()
        judging, reached = Signal(), Signal()
        if self.has_source:
            mean = Signal(signed(CODE_BITS))
            m.d.comb += [
                source.eq(pulse["source"] & ~self.sweep),
                fe.source.eq(selected),
                fe.source_range.eq(Mux(selected, pulse["source_range"], 0)),
            ]
            m.d.sync += [
                mean.eq(readout.result[:CODE_BITS]),
                judging.eq(readout.write & source & (place <= inside)),
            ]
            beyond_limit = (mean <= pulse["v_low"]) | (mean >= pulse["v_high"])
            with m.If(judging & beyond_limit):
                m.d.sync += reached.eq(1)

        row_mask, column_mask = Signal(rows), Signal(columns)
        line = Signal(max(rows, columns))
        limited = Signal()
        # Registered: the operands are stable long before the masks are used.
        m.d.sync += [
            line.eq((1 << op.count[: max(rows, columns).bit_length()]) - 1),
            row_mask.eq(Mux(op.down, line, 1) << op.row[: (rows - 1).bit_length()]),
            column_mask.eq(Mux(op.down, 1, line) << op.column[: (columns - 1).bit_length()]),
        ]
        m.d.comb += [
            limited.eq(Mux(code[-1], pulse["limit"][0], pulse["limit"][1])),
            fe.tile.eq(op.tile),
            self.param_address.eq(op.param + index),
            self.cell_address.eq(place),
            self.cell_write.eq(readout.write & ~full),
            self.cell_result.eq(readout.result),
            full.eq(place >= self.geometry.cells),
            readout.adc_idle.eq(fe.adc_idle),
            readout.samples.valid.eq(fe.samples.valid),
            readout.samples.payload.eq(fe.samples.payload),
            readout.average.eq(pulse["average"]),
            # The voltage of the line takes the place of column 0.
            readout.column.eq(Mux(source, 0, op.column)),
            readout.count.eq(Mux(op.down, 1, op.count)),
            readout.convert.eq(fe.convert),
            timer.cycles.eq(self.drive_cycles),
            pace.cycles.eq(Mux(source, pulse["react"], pulse["interval"])),
            sampler.cycles.eq(pulse["spacing"]),
            self.active.eq(1),
        ]
        with m.If(readout.write & ~full):
            m.d.sync += place.eq(place + 1)
        with m.If(fe.latch):
            m.d.sync += loading.eq(0)
        with m.If(self.abort & ~ending):
            m.d.sync += stopping.eq(1)
        with m.If(readout.write & full):
            m.d.sync += overflow.eq(1)

        def switch(group: SwitchGroup, a: Signal | int, b: Signal | int, after: str) -> None:
            """Load one group, latch it, go on to ``after``."""
            with m.If(fe.loaded):
                m.d.comb += fe.latch.eq(1)
                m.next = after
            with m.Elif(~loading):
                m.d.comb += [
                    fe.switch.valid.eq(1),
                    fe.switch.payload["group"].eq(group),
                    fe.switch.payload["a"].eq(a),
                    fe.switch.payload["b"].eq(b),
                ]
                with m.If(fe.switch.ready):
                    m.d.sync += loading.eq(1)

        def write_dac(channel: Dac, value: Signal | int, after: str) -> None:
            m.d.comb += [
                fe.dac.valid.eq(1),
                fe.dac.payload.channel.eq(channel),
                fe.dac.payload.code.eq(value),
            ]
            with m.If(fe.dac.ready):
                m.next = after

        def end(outcome: PulseStatus | Value) -> None:
            m.d.sync += status.eq(outcome)
            m.next = "END"
            if self.has_source:
                with m.If(selected):
                    m.next = "ISOLATE"

        def convert() -> None:
            """One conversion, if the converters are ready at its moment."""
            judged = reading | ~(source & pace.busy)
            with m.If(readout.idle & judged):
                m.d.comb += [
                    fe.convert.eq(1),
                    sampler.start.eq(samples != 1),
                    pace.start.eq(source & ~reading),
                ]
                m.d.sync += samples.eq(samples - 1)
            with m.Else():
                end(PulseStatus.LATE)

        stop = self.abort | stopping | overflow
        stopped = Mux(overflow, PulseStatus.FULL, PulseStatus.ABORTED)
        # 18 bits: a step beyond either end of the codes is seen as such.
        upward = Signal()
        target = Signal(16)
        following, back = Signal(signed(18)), Signal(signed(18))
        beyond = Signal()
        m.d.comb += [
            upward.eq((sweep["stop"] >= sweep["start"]) ^ returning),
            target.eq(Mux(returning, sweep["start"], sweep["stop"])),
            following.eq(Mux(upward, code + sweep["step"], code - sweep["step"])),
            back.eq(Mux(upward, code - sweep["step"], code + sweep["step"])),
            beyond.eq(Mux(upward, following > target, following < target)),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.active.eq(0), ending.eq(1)]
                with m.If(self.start):
                    m.d.comb += readout.restart.eq(1)
                    m.d.sync += [
                        index.eq(0),
                        first.eq(1),
                        reading.eq(0),
                        returning.eq(0),
                        stopping.eq(0),
                        overflow.eq(0),
                        reached.eq(0),
                        place.eq(1),
                    ]
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += index.eq(index + 1)
                for n, word in enumerate(words[:-1]):
                    with m.If(index == n + 1):
                        m.d.sync += word.eq(self.param_data)
                with m.If(index == RECORD_WORDS - 1):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [
                    code.eq(pulse["rail"]),
                    left.eq(pulse["pulses"]),
                    words[-1].eq(self.param_data),
                ]
                brief = pulse["width"] < self.pulse_min_cycles
                early = (inside != 0) & (pulse["delay"] < settle)
                mixed = (after != 0) & op.down & (op.count != 1)
                outside = Mux(op.down, op.row + op.count > rows, op.column + op.count > columns)
                several = (op.count != 1) | (pulse["pulses"] != 1) | (pulse["limit"] != 0)
                unable = pulse["source"] & ~self.sweep & (several if self.has_source else 1)
                with m.If(brief | early | mixed | outside | unable):
                    m.d.sync += status.eq(PulseStatus.REFUSED)
                    m.next = "FINISH"
                with m.Elif(pulse["limit"] != 0):
                    m.next = "GATE-DAC"
                with m.Else():
                    m.next = "RAIL-DAC"
                    if self.has_source:
                        with m.If(source):
                            m.next = "SOURCE"

            if self.has_source:
                with m.State("SOURCE"):
                    m.d.comb += [timer.start.eq(1), timer.cycles.eq(self.source_cycles)]
                    m.d.sync += selected.eq(1)
                    m.next = "SOURCE-WAIT"
                with m.State("SOURCE-WAIT"):
                    m.d.comb += self.active.eq(0)
                    with m.If(stop):
                        end(stopped)
                    with m.Elif(timer.done):
                        m.next = "RAIL-DAC"
            with m.State("GATE-DAC"):
                write_dac(Dac.GATE_PROGRAM, pulse["gate"], "RAIL-DAC")
            with m.State("RAIL-DAC"):
                write_dac(Dac.RAIL_B, code, "RAIL-SET")
            with m.State("RAIL-SET"):
                # From step to step of a sweep rows and columns stay where they are.
                with m.If(first):
                    m.next = "ROWS"
                with m.Else():
                    m.next = "GATES"
            with m.State("ROWS"):
                a, b = Mux(reading, row_mask, 0), Mux(reading, 0, row_mask)
                switch(SwitchGroup.ROWS, a, b, "COLUMNS")
            with m.State("COLUMNS"):
                sensed = (reading | (inside != 0)) & ~source
                switch(SwitchGroup.COLUMNS, Mux(sensed, column_mask, 0), 0, "GATES")
            with m.State("GATES"):
                program = limited & ~reading
                a, b = Mux(program, column_mask, 0), Mux(program, 0, column_mask)
                switch(SwitchGroup.GATES, a, b, "DRIVE")

            with m.State("DRIVE"):
                with m.If(stop):
                    end(stopped)
                with m.Elif(reading):
                    m.d.comb += [
                        fe.gate_a.eq(~source),
                        timer.start.eq(1),
                        timer.cycles.eq(settle),
                    ]
                    m.next = "SETTLE"
                with m.Elif(fe.dac_idle):
                    m.d.comb += timer.start.eq(1)
                    m.next = "DRIVE-WAIT"
            with m.State("DRIVE-WAIT"):
                m.d.comb += self.active.eq(~readout.idle)
                with m.If(stop):
                    end(stopped)
                with m.Elif(timer.done):
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += self.active.eq(first | ~pace.busy | ~readout.idle)
                with m.If(stop):
                    end(stopped)
                with m.Elif(first | pace.done):
                    m.d.comb += [
                        timer.start.eq(1),
                        timer.cycles.eq(pulse["width"]),
                        pace.start.eq(~source),
                    ]
                    m.d.sync += [
                        first.eq(0),
                        opened.eq(1),
                        self.train.eq(1),
                        samples.eq(inside << pulse["average"]),
                    ]
                    m.next = "PULSE"
                with m.Elif(~pace.busy):
                    end(PulseStatus.LATE)
            with m.State("PULSE"):
                m.d.comb += [fe.gate_b.eq(1), self.active.eq(opened | ~readout.idle | judging)]
                m.d.sync += opened.eq(0)
                with m.If(stop):
                    end(stopped)
                with m.Elif(timer.done):
                    with m.If(samples != 0):
                        end(PulseStatus.LATE)
                    with m.Else():
                        m.next = "CLOSED"
                with m.Elif(opened):
                    m.d.comb += [
                        sampler.start.eq(samples != 0),
                        sampler.cycles.eq(pulse["delay"]),
                    ]
                with m.Elif(source & pace.done & (~readout.idle | judging)):
                    end(PulseStatus.LATE)
                with m.Elif(source & pace.done & reached):
                    m.next = "CLOSED"
                with m.Elif(sampler.done & (samples != 0)):
                    convert()
            with m.State("CLOSED"):
                m.d.sync += left.eq(left - 1)
                with m.If(stop):
                    end(stopped)
                with m.Elif(after != 0):
                    m.d.comb += [
                        sampler.start.eq(1),
                        sampler.cycles.eq(pulse["after_delay"]),
                    ]
                    m.d.sync += [reading.eq(1), samples.eq(after << pulse["average"])]
                    m.next = "ROWS"
                    # The cell stays on the line, which the closed gate leaves open.
                    with m.If(source):
                        m.next = "DRIVE"
                with m.Elif(~self.sweep):
                    with m.If(left == 1):
                        end(PulseStatus.DONE)
                    with m.Else():
                        m.next = "READY"
                with m.Elif(~beyond):
                    m.d.sync += code.eq(following)
                    m.next = "RAIL-DAC"
                with m.Elif(sweep["both"] & ~returning & (sweep["start"] != sweep["stop"])):
                    m.d.sync += [returning.eq(1), code.eq(back)]
                    m.next = "RAIL-DAC"
                with m.Else():
                    end(PulseStatus.DONE)

            with m.State("SETTLE"):
                m.d.comb += [fe.gate_a.eq(~source), self.active.eq(~readout.idle)]
                with m.If(stop):
                    end(stopped)
                with m.Elif(timer.done):
                    m.next = "AFTER"
            with m.State("AFTER"):
                m.d.comb += [
                    fe.gate_a.eq(~source),
                    self.active.eq(~sampler.busy | ~readout.idle),
                    sampler.cycles.eq(pulse["after_spacing"]),
                ]
                with m.If(stop):
                    end(stopped)
                with m.Elif(samples == 0):
                    m.d.sync += reading.eq(0)
                    m.next = "ROWS"
                    with m.If(left == 0):
                        end(PulseStatus.DONE)
                with m.Elif(sampler.done):
                    convert()
                with m.Elif(~sampler.busy):
                    end(PulseStatus.LATE)

            if self.has_source:
                with m.State("ISOLATE"):
                    m.d.comb += ending.eq(1)
                    switch(SwitchGroup.GATES, 0, 0, "END")
            with m.State("END"):
                m.d.comb += ending.eq(1)
                switch(SwitchGroup.ROWS, 0, 0, "END-RAIL")
            with m.State("END-RAIL"):
                m.d.comb += ending.eq(1)
                write_dac(Dac.RAIL_B, ZERO_CODE, "ENDING")
            with m.State("ENDING"):
                m.d.comb += ending.eq(1)
                with m.If(fe.dac_idle & readout.idle):
                    m.d.comb += timer.start.eq(1)
                    m.next = "END-WAIT"
                    with m.If(overflow & (status == PulseStatus.DONE)):
                        m.d.sync += status.eq(PulseStatus.FULL)
            with m.State("END-WAIT"):
                m.d.comb += [ending.eq(1), self.active.eq(0)]
                with m.If(timer.done):
                    m.next = "FINISH"
                    if self.has_source:
                        with m.If(selected):
                            m.next = "RELEASE"
            if self.has_source:
                with m.State("RELEASE"):
                    m.d.comb += [
                        ending.eq(1),
                        timer.start.eq(1),
                        timer.cycles.eq(self.source_cycles),
                    ]
                    m.d.sync += selected.eq(0)
                    m.next = "RELEASE-WAIT"
                with m.State("RELEASE-WAIT"):
                    m.d.comb += [ending.eq(1), self.active.eq(0)]
                    with m.If(timer.done):
                        m.next = "FINISH"
            with m.State("FINISH"):
                good = status == PulseStatus.DONE
                m.d.comb += [
                    ending.eq(1),
                    self.cell_address.eq(0),
                    self.cell_write.eq(~self.silent),
                    # In the order of isa.OUTCOME_FIELDS.
                    self.cell_result.eq(
                        Cat((place - 1)[: len(place)], Mux(good & reached, PulseStatus.CUT, status))
                    ),
                    self.done.eq(1),
                    self.fault.eq(~good),
                ]
                m.d.sync += self.train.eq(0)
                m.next = "IDLE"
        return m
