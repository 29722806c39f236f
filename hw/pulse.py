"""The pulse sequencer: trains of pulses and staircase sweeps, with samples inside and after.

A pulse is the opening of the fast gate B. Before it opens, the rail and the gate
DAC and all switches have settled. While it is open nothing moves but the
converters; then the gate is closed first. Widths, intervals and the moments of
conversions are exact in clock cycles: where the front end is not ready at the
moment that was asked for, the instruction ends as ``LATE`` rather than late.

A record stays in parameter memory and is read again whenever a time of it begins, so the
fields need no registers of their own; nobody writes there during a run.

In a passive array the lines of the gates bias the columns (:mod:`.half_select`).

With the current source a pulse charges or discharges one cell. Its samples are the
voltage of the line, and one of them at a limit closes the gate. The cell's gate is off
before its row leaves the line, so that it keeps its charge.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, signed
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
from .isa import (
    AVERAGE_BITS,
    CYCLE_BITS,
    LAYOUTS,
    OUTCOME_FIELDS,
    PULSE_FIELDS,
    REACT_BITS,
    SWEEP_FIELDS,
    Dac,
    Op,
    PulseStatus,
)
from .ranges import RANGE_BITS
from .readout import CODE_BITS, Averager
from .settle import settle_cycles
from .stairs import LOOK_CYCLES, ZERO_CODE

HEAD, WIDTH, INTERVAL, DELAY, SPACING, AFTER_DELAY, AFTER_SPACING, LIMITS = range(len(PULSE_FIELDS))
STOP = len(SWEEP_FIELDS) - 1
"""Words of a record. Where both kinds have a field, it is at the same place."""
CODE_SUM_BITS = CODE_BITS + 2
"""Of a code that is up to two steps beyond either end of the codes."""
DELAY_STEP = 5
"""Of loading, when the word is there that ``delay`` is in."""


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

        # The fields of the record's word that was asked for in the cycle before.
        word = Signal(range(len(PULSE_FIELDS)))
        pulse, sweep = {}, {}
        for fields in PULSE_FIELDS:
            pulse |= cut(self.param_data, fields)
        for fields in SWEEP_FIELDS:
            sweep |= cut(self.param_data, fields)
        index = Signal(range(len(PULSE_FIELDS)))  # of what is done in a fixed order

        # What of it is kept.
        average = Signal(AVERAGE_BITS)
        inside, after, both = Signal(8), Signal(), Signal()
        refused = Signal()
        least = Signal(CYCLE_BITS)
        brief = Signal()  # the time on the port is below the least one
        longest = max(len(settle), self.pulse_min_cycles.bit_length())
        time = self.param_data[:CYCLE_BITS]
        m.d.comb += [
            least.eq(Mux(index == DELAY_STEP, settle, self.pulse_min_cycles)),
            brief.eq(~time[longest:].any() & (time[:longest] < least[:longest])),
        ]
        limited = Signal()  # the gate limits at this code of the rail
        others = Signal()  # columns that are not selected are biased too

        status = Signal(OUTCOME_FIELDS[1].width)
        place = Signal(range(self.geometry.cells))  # of the last sample
        samples = Signal(8)  # means of the pulse, or after it, that are still to come
        first, opened = Signal(), Signal()
        last = Signal()  # there is no pulse after this one
        reading, returning, stopping, loading = Signal(), Signal(), Signal(), Signal()
        ending, full, stored, overflow = Signal(), Signal(), Signal(), Signal()

        # The current source: what the record asks for, whether it is on the line, and
        # whether a mean of the pulse is being judged, or was at a limit.
        source, selected = Signal(), Signal()
        judging, reached = Signal(), Signal()
        react = Signal(REACT_BITS)
        v_low, v_high = Signal.like(pulse["v_low"]), Signal.like(pulse["v_high"])
        source_range = Signal.like(pulse["source_range"])
        if self.has_source:
            mean = Signal(signed(CODE_BITS))
            m.d.comb += [
                fe.source.eq(selected),
                fe.source_range.eq(Mux(selected, source_range, 0)),
                # What an earlier instruction has left of its last interval is no reaction's time.
                pace.stop.eq(self.start),
            ]
            m.d.sync += [
                mean.eq(readout.result[:CODE_BITS]),
                judging.eq(readout.write & source & (place <= inside)),
            ]
            with m.If(judging & ((mean <= v_low) | (mean >= v_high))):
                m.d.sync += reached.eq(1)

        # The lines that are driven, of rows or of columns; a cycle later as a mask.
        of_rows = Signal(init=1)
        mask = Signal(max(rows, columns))
        bits = (len(mask) - 1).bit_length()
        begin, count, behind = Signal(bits), Signal(bits + 1), Signal(bits + 2)
        m.d.comb += [
            begin.eq(Mux(of_rows, op.row, op.column)),
            count.eq(Mux(of_rows == op.down, op.count, 1)),
            behind.eq(begin + count),
        ]
        ones = Const(-1, len(mask))
        m.d.sync += mask.eq((ones << begin) & ~(ones << behind[: bits + 1]))
        on_a, on_b = Signal(), Signal()
        # What the next DAC write is of: of a register, since the guard's checks are behind it.
        rail, dac_code = Signal(CODE_BITS), Signal(CODE_BITS, reset_less=True)
        of_gate, grounding = Signal(), Signal()

        # The rail's code of a sweep, or the pulses of a train that are still to come, as its
        # complement, whose sum with a target is their distance. While the lines of a step
        # settle it is tried whether there is a next one. (No reset: registers of an iCE40
        # begin with 0, and a reset to anything else takes an inverter.)
        upward = Signal()
        uncode = Signal(signed(CODE_SUM_BITS), reset_less=True)
        code = ~uncode
        START, UP, DOWN, ONE_LESS = range(4)
        move, move_by = Signal(), Signal(2)
        m.d.sync += move_by.eq(Mux(~self.sweep, ONE_LESS, Mux(upward, UP, DOWN)))
        by = Signal(CODE_BITS)
        with m.Switch(move_by):
            with m.Case(START):
                m.d.comb += by.eq(~sweep["start"])
            with m.Case(UP):
                m.d.comb += by.eq(~sweep["step"])
            with m.Case(DOWN):
                m.d.comb += by.eq(sweep["step"])
        down, less = move_by == DOWN, move_by[1]
        with m.If(move):
            m.d.sync += uncode.eq(
                (Cat(1, uncode).as_signed() + Cat(~down, by, ~less).as_signed()) >> 1
            )
        level, or_equal = Signal(), Signal()
        above, beyond = Signal(), Signal()
        distance = Signal(signed(CODE_SUM_BITS + 2))
        m.d.comb += [
            distance.eq(Cat(1, uncode).as_signed() + Cat(~or_equal, sweep["stop"])),
            above.eq(distance[-1]),  # the code is above the target or, if asked, at it
            or_equal.eq(~upward),
            beyond.eq(above ^ ~upward),
        ]
        m.d.comb += [
            fe.tile.eq(op.tile),
            fe.dac.payload.channel.eq(Dac.RAIL_B),
            rail.eq(Mux(self.sweep, code[:CODE_BITS], pulse["rail"])),
            fe.dac.payload.code.eq(dac_code),
            fe.switch.payload["a"].eq(Mux(on_a, mask, 0)),
            fe.switch.payload["b"].eq(Mux(on_b, mask, 0)),
            self.param_address.eq(op.param + word),
            self.cell_address.eq(place),
            self.cell_write.eq(readout.write & stored),
            self.cell_result.eq(readout.result),
            full.eq(place == self.geometry.cells - 1),
            readout.adc_idle.eq(fe.adc_idle),
            readout.samples.valid.eq(fe.samples.valid),
            readout.samples.payload.eq(fe.samples.payload),
            readout.average.eq(average),
            # The voltage of the line takes the place of column 0.
            readout.column.eq(Mux(source, 0, op.column)),
            readout.count.eq(Mux(op.down, 1, op.count)),
            readout.convert.eq(fe.convert),
            timer.cycles.eq(self.drive_cycles),
            pace.cycles.eq(Mux(source, react, self.param_data[:CYCLE_BITS])),
            sampler.cycles.eq(self.param_data[:CYCLE_BITS]),
            self.active.eq(1),
        ]
        m.d.sync += dac_code.eq(Mux(of_gate, pulse["gate"], rail))
        with m.If(grounding):
            m.d.sync += dac_code.eq(ZERO_CODE)
        with m.If(readout.found):
            m.d.sync += [place.eq(place + ~full), stored.eq(~full)]
        with m.If(readout.write & ~stored):
            m.d.sync += overflow.eq(1)
        with m.If(fe.latch):
            m.d.sync += loading.eq(0)
        with m.If(self.abort & ~ending):
            m.d.sync += stopping.eq(1)

        def switch(group: SwitchGroup, a: Value | int, b: Value | int, after: str) -> None:
            """Load the mask or nothing into one group, latch it, go on to ``after``."""
            m.d.comb += [
                fe.switch.valid.eq(~loading & ~fe.loaded),
                fe.switch.payload["group"].eq(group),
                on_a.eq(a),
                on_b.eq(b),
                fe.latch.eq(fe.loaded),
            ]
            with m.If(fe.loaded):
                m.next = after
            with m.Elif(fe.switch.ready):
                m.d.sync += loading.eq(1)

        def write_dac(after: str) -> None:
            m.d.comb += fe.dac.valid.eq(1)
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
                    sampler.start.eq(1),
                    pace.start.eq(source & ~reading),
                ]
                m.d.sync += samples.eq(samples - readout.last)
            with m.Else():
                end(PulseStatus.LATE)

        stop = Signal()
        stopped = Mux(overflow, PulseStatus.FULL, PulseStatus.ABORTED)
        m.d.comb += stop.eq(self.abort | stopping | overflow)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.active.eq(0), ending.eq(1)]
                m.d.sync += [
                    index.eq(0),
                    uncode.eq(-1),
                    upward.eq(1),
                    first.eq(1),
                    refused.eq(0),
                    reading.eq(0),
                    returning.eq(0),
                    stopping.eq(0),
                    overflow.eq(0),
                    reached.eq(0),
                    place.eq(0),
                ]
                with m.If(self.start):
                    m.d.comb += readout.restart.eq(1)
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += index.eq(index + 1)
                with m.Switch(index):
                    with m.Case(0):
                        m.d.comb += word.eq(HEAD)
                        m.d.sync += move_by.eq(START)
                    with m.Case(1):
                        m.d.comb += [
                            word.eq(WIDTH),
                            move.eq(self.sweep),
                        ]
                        m.d.sync += [
                            move_by.eq(UP),
                            average.eq(pulse["average"]),
                            inside.eq(Mux(self.silent, 0, Mux(self.sweep, 1, pulse["inside"]))),
                            after.eq(~self.silent & ~self.sweep & (pulse["after"] != 0)),
                            both.eq(sweep["both"]),
                        ]
                        if self.geometry.passive:
                            m.d.sync += others.eq(pulse["others"])
                        if self.has_source:
                            m.d.sync += [
                                source.eq(pulse["source"] & ~self.sweep),
                                source_range.eq(pulse["source_range"]),
                            ]
                    with m.Case(2):
                        m.d.comb += [
                            word.eq(STOP),
                            move.eq(~self.sweep),
                        ]
                        m.d.sync += refused.eq(brief)
                    with m.Case(3):
                        m.d.comb += word.eq(STOP)
                        m.d.sync += upward.eq(~above)
                    with m.Case(4):
                        m.d.comb += [word.eq(DELAY), or_equal.eq(1)]
                        m.d.sync += level.eq(upward & above)
                    with m.Case(DELAY_STEP):
                        m.d.comb += word.eq(LIMITS)
                        with m.If((inside != 0) & brief):
                            m.d.sync += refused.eq(1)
                    with m.Case(6):
                        m.d.comb += word.eq(HEAD)
                        if self.has_source:
                            m.d.sync += [
                                v_low.eq(pulse["v_low"]),
                                v_high.eq(pulse["v_high"]),
                                react.eq(pulse["react"]),
                            ]
                    with m.Case(7):
                        m.d.comb += [word.eq(HEAD), of_rows.eq(op.down)]
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += [word.eq(HEAD), of_rows.eq(op.down)]
                mixed = after & op.down & (op.count != 1)
                outside = op.count[len(count) :].any() | (behind > Mux(op.down, rows, columns))
                several = (op.count != 1) | (code != 1) | (pulse["limit"] != 0)
                unable = pulse["source"] & ~self.sweep & (several if self.has_source else 1)
                if self.geometry.passive:
                    # One cell behind the limiter, and a biased column is on no TIA.
                    unable |= (op.count != 1) | (inside != 0)
                else:
                    unable |= pulse["others"] & ~self.sweep
                with m.If(refused | mixed | outside | unable):
                    m.d.sync += status.eq(PulseStatus.REFUSED)
                    m.next = "FINISH"
                with m.Elif(pulse["limit"] != 0):
                    m.d.comb += of_gate.eq(1)
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
                m.d.comb += fe.dac.payload.channel.eq(Dac.GATE_PROGRAM)
                m.d.comb += of_gate.eq(~fe.dac.ready)
                write_dac("RAIL-DAC")
            with m.State("RAIL-DAC"):
                negative, positive = pulse["limit"]
                m.d.sync += limited.eq(Mux(rail[-1], negative, positive))
                write_dac("RAIL-SET")
            with m.State("RAIL-SET"):
                # From step to step of a sweep rows and columns stay where they are.
                m.d.comb += of_rows.eq(first)
                with m.If(first):
                    m.next = "ROWS"
                with m.Else():
                    m.next = "GATES"
            with m.State("ROWS"):
                m.d.comb += of_rows.eq(~loading)
                switch(SwitchGroup.ROWS, reading, ~reading, "COLUMNS")
            with m.State("COLUMNS"):
                m.d.comb += of_rows.eq(0)
                sensed = (reading | (inside != 0)) & ~source
                switch(SwitchGroup.COLUMNS, sensed, 0, "GATES")
            with m.State("GATES"):
                m.d.comb += of_rows.eq(0)
                program = limited & ~reading
                if self.geometry.passive:
                    # The selected column's bias, and all the others'.
                    rest = Mux(others & ~reading, ~mask[:columns], 0)
                    m.d.comb += fe.switch.payload["b"].eq(rest)
                    switch(SwitchGroup.GATES, program, 0, "DRIVE")
                else:
                    switch(SwitchGroup.GATES, program, ~program, "DRIVE")

            with m.State("DRIVE"):
                m.d.sync += index.eq(Mux(self.sweep, 0, LOOK_CYCLES - 1))
                with m.If(stop):
                    end(stopped)
                with m.Elif(reading):
                    m.d.comb += [
                        fe.gate_a.eq(~source),
                        timer.start.eq(1),
                        timer.cycles.eq(settle),
                    ]
                    m.d.sync += samples.eq(pulse["after"])
                    m.next = "SETTLE"
                with m.Elif(fe.dac_idle):
                    # One less than it takes, for the cycle between the gate's moment and it.
                    m.d.comb += [timer.start.eq(1), timer.cycles.eq(self.drive_cycles - 1)]
                    m.next = "DRIVE-WAIT"
            with m.State("DRIVE-WAIT"):
                looking = index != LOOK_CYCLES - 1
                m.d.comb += [
                    word.eq(Mux(looking, WIDTH, INTERVAL)),
                    self.active.eq(looking | ~readout.idle),
                ]
                with m.If(looking):
                    m.d.sync += index.eq(index + 1)
                with m.Switch(index):
                    with m.Case(1):
                        m.d.comb += [move.eq(1), word.eq(Mux(returning, HEAD, STOP))]
                    with m.Case(2):
                        m.d.sync += last.eq(0)
                        with m.If(beyond & both & ~returning & ~level):
                            m.d.sync += [
                                returning.eq(1),
                                upward.eq(~upward),
                                move_by.eq(Mux(upward, DOWN, UP)),
                            ]
                        with m.Else():
                            m.d.sync += [last.eq(beyond), index.eq(LOOK_CYCLES - 1)]
                    # Back to the last code of the way there, and a step on the way back.
                    with m.Case(3, 4):
                        m.d.comb += move.eq(1)
                with m.If(stop):
                    end(stopped)
                with m.Elif((timer.done | ~timer.busy) & ~looking):
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += [
                    self.active.eq(first | ~pace.busy | ~readout.idle),
                    word.eq(INTERVAL),
                ]
                with m.If(stop):
                    end(stopped)
                with m.Elif(first | pace.done):
                    m.d.comb += [word.eq(WIDTH), pace.start.eq(~source), move.eq(~self.sweep)]
                    m.next = "OPEN"
                with m.Elif(~pace.busy):
                    end(PulseStatus.LATE)
            with m.State("OPEN"):
                m.d.comb += [word.eq(DELAY), timer.cycles.eq(pulse["width"])]
                with m.If(~self.sweep):
                    m.d.sync += last.eq(uncode[:CODE_BITS].all())
                with m.If(stop):
                    end(stopped)
                with m.Else():
                    m.d.comb += timer.start.eq(1)
                    m.d.sync += [
                        first.eq(0),
                        opened.eq(1),
                        self.train.eq(1),
                        samples.eq(inside),
                    ]
                    m.next = "PULSE"
            with m.State("PULSE"):
                m.d.comb += [
                    fe.gate_b.eq(1),
                    self.active.eq(opened | ~readout.idle | judging),
                    word.eq(SPACING),
                ]
                m.d.sync += opened.eq(0)
                with m.If(stop):
                    end(stopped)
                with m.Elif(timer.done):
                    m.d.comb += word.eq(Mux(after, AFTER_DELAY, INTERVAL))
                    with m.If(samples != 0):
                        end(PulseStatus.LATE)
                    with m.Elif(after | self.sweep | last):
                        m.next = "CLOSED"
                    with m.Else():
                        m.next = "READY"
                with m.Elif(opened):
                    m.d.comb += sampler.start.eq(samples != 0)
                with m.Elif(source & pace.done & (~readout.idle | judging)):
                    end(PulseStatus.LATE)
                with m.Elif(source & pace.done & reached):
                    m.d.comb += word.eq(AFTER_DELAY)
                    m.next = "CLOSED"
                with m.Elif(sampler.done & (samples != 0)):
                    convert()
            with m.State("CLOSED"):
                m.d.comb += word.eq(HEAD)
                with m.If(stop):
                    end(stopped)
                with m.Elif(after):
                    m.d.comb += sampler.start.eq(1)
                    m.d.sync += reading.eq(1)
                    m.next = "ROWS"
                    # The cell stays on the line, which the closed gate leaves open.
                    with m.If(source):
                        m.next = "DRIVE"
                with m.Elif(last):
                    end(PulseStatus.DONE)
                with m.Else():
                    m.next = "RAIL-DAC"

            with m.State("SETTLE"):
                m.d.comb += [
                    fe.gate_a.eq(~source),
                    self.active.eq(~readout.idle),
                    word.eq(AFTER_SPACING),
                ]
                with m.If(stop):
                    end(stopped)
                with m.Elif(timer.done):
                    m.next = "AFTER"
            with m.State("AFTER"):
                m.d.comb += [
                    fe.gate_a.eq(~source),
                    self.active.eq(~sampler.busy | ~readout.idle),
                    word.eq(AFTER_SPACING),
                ]
                with m.If(stop):
                    end(stopped)
                with m.Elif(samples == 0):
                    m.d.sync += reading.eq(0)
                    m.next = "ROWS"
                    with m.If(last):
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
                m.d.comb += [ending.eq(1), grounding.eq(1)]
                switch(SwitchGroup.ROWS, 0, 0, "END-RAIL")
            with m.State("END-RAIL"):
                m.d.comb += [ending.eq(1), grounding.eq(1)]
                write_dac("ENDING")
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
                        Cat(
                            place | Const(0, OUTCOME_FIELDS[0].width),
                            Mux(good & reached, PulseStatus.CUT, status),
                        )
                    ),
                    self.done.eq(1),
                    self.fault.eq(~good),
                ]
                m.d.sync += self.train.eq(0)
                m.next = "IDLE"
        return m
