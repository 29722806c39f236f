"""Write-verify: 1T1R cells programmed by I_cc pulses, up to a row of them together.

Cells are taken in groups of neighbours in a row. An attempt on a group is one RESET
pulse on all of its cells that are not done, a SET pulse on each of them, one after the
other, at its own gate voltage (which is its I_cc), and one read of all, the mean of
``2**average`` conversions. A cell is done when its mean falls into its window. One that
no try has moved is stuck. Before the first pulse of an attempt its cell's cycle is
counted, and a cell that has had its cycles is left alone. Rails and switches settle
before a fast gate opens, and rows are connected to a rail only while its gate is closed.

Gate voltage and window are those of the cell's level, or are computed from its target:
see :mod:`~ohmloom.hw.line`, whose arithmetic a serial multiplier does here.
"""

from __future__ import annotations

from collections.abc import Callable

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import (
    FrontEndSignature,
    FrontEndTiming,
    SwitchGroup,
    TimerChannel,
    cycles_from_ps,
)
from .autorange import AutoRange
from .fields import cut
from .geometry import Geometry
from .isa import (
    AVERAGE_BITS,
    LAYOUTS,
    LEVEL_FIELDS,
    LINE_BOUNDS_FIELDS,
    LINE_FIELDS,
    SEGMENT_FIELDS,
    CellStatus,
    Dac,
    Op,
)
from .line import CODE_MAX, CODE_MIN, FRACTION_BITS, GATE_FRACTION_BITS, PRODUCT_SHIFT
from .ram import Ram
from .ranges import RANGE_BITS
from .readout import CODE_BITS, Averager
from .settle import settle_cycles

WEAR_BITS = 32
"""Of a cell's count of cycles, which stays at its largest value."""


class WriteVerify(wiring.Component):
    """Executes one ``PROGRAM`` or ``READ`` instruction.

    Members
    -------
    program : In(1)
        1: write-verify; 0: read only.
    levels, line, tries, average, stuck, endurance, together, set_cycles, reset_cycles, \
rail_set, rail_reset : In
        The registers of the same names.
    cell_address, cell_data, cell_write, cell_result
        Cell memory: level or target in, result out (one cycle of read latency).
    param_address, param_data
        Parameter memory, where the level table and the line are.
    tia_range, range : In(4), Out(3)
        The register, whose bit 3 makes a ``READ`` choose; the range of the present read.
    wear_address, wear_data, wear_write, wear_next
        Cycles that each cell of the tile has had, likewise; not used without
        ``Geometry.wear``.
    """

    def __init__(self, geometry: Geometry, timing: FrontEndTiming, clk_hz: int) -> None:
        self.geometry = geometry
        self.timing = timing
        self.clk_hz = clk_hz
        self.drive_cycles = cycles_from_ps(max(timing.dac_settle_ps, timing.switch_ps), clk_hz)
        self.pulse_min_cycles = max(1, cycles_from_ps(timing.pulse_min_ps, clk_hz))
        # Internal state, named for proofs.
        self.idle = Signal()
        operand = {field.name: Out(field.width) for field in LAYOUTS[Op.PROGRAM]}
        super().__init__(
            {
                "operand": In(wiring.Signature(operand)),
                "start": In(1),
                "program": In(1),
                "levels": In(16),
                "line": In(16),
                "tries": In(8),
                "average": In(AVERAGE_BITS),
                "tia_range": In(RANGE_BITS + 1),
                "stuck": In(16),
                "endurance": In(WEAR_BITS),
                "together": In(8),
                "set_cycles": In(32),
                "reset_cycles": In(32),
                "rail_set": In(16),
                "rail_reset": In(16),
                "cell_address": Out(16),
                "cell_data": In(32),
                "cell_write": Out(1),
                "cell_result": Out(32),
                "param_address": Out(16),
                "param_data": In(64),
                "wear_address": Out(16),
                "wear_data": In(WEAR_BITS),
                "wear_write": Out(1),
                "wear_next": Out(WEAR_BITS),
                "timer": Out(TimerChannel()),
                "fe": Out(FrontEndSignature(geometry)),
                "range": Out(RANGE_BITS),
                "done": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        geometry = self.geometry
        rows, columns = geometry.rows, geometry.columns
        fe, timer = self.fe, self.timer

        # The group: its first cell, by cell memory word and by place, and its last one.
        index = Signal(16)
        end = Signal(16)  # cell memory word of the last cell of all
        row = Signal(8)
        column = Signal(16)
        last = Signal(8)
        left = Signal(columns)  # columns of the cells that are not done
        attempt = Signal(8)
        # The cell that a walk over the group is at: the same, counted along.
        at = Signal(16)
        k = Signal(8)
        mark = Signal(columns)
        here = (left & mark).any()

        code = Signal(signed(CODE_BITS))
        status = Signal(3)
        gate = Signal(16)
        low = Signal(signed(CODE_BITS))
        high = Signal(signed(CODE_BITS))
        least = Signal(signed(CODE_BITS))
        most = Signal(signed(CODE_BITS))
        word = Signal(range(2 + (1 << 16 - FRACTION_BITS)))  # of the line's record
        targets = Signal()
        m.d.sync += targets.eq(self.line != 0 if geometry.line else 0)

        # Of each cell of the group: the code of its last read, whether it was at a rail, and
        # the extremes of all.
        m.submodules.codes = codes = Ram(CODE_BITS + 1, columns)
        m.submodules.extremes = extremes = Ram(2 * CODE_BITS, columns)
        read_code, write_code = codes.read, codes.write
        read_extremes, write_extremes = extremes.read, extremes.write
        m.d.comb += [port.addr.eq(k) for port in (read_code, write_code)]
        m.d.comb += [port.addr.eq(k) for port in (read_extremes, write_extremes)]

        m.submodules.averager = averager = Averager(geometry)
        reading = Signal()

        # The range: of the register, or chosen for each cell of a READ by itself.
        m.submodules.ranger = ranger = AutoRange(max(1, len(self.timing.range_settle_ps)))
        settle = settle_cycles(m, self.timing, self.clk_hz, ranger.range)
        auto, railed = Signal(), Signal()
        m.d.sync += auto.eq(self.tia_range[RANGE_BITS] & ~self.program)
        m.d.comb += [
            ranger.enable.eq(auto),
            ranger.base.eq(self.tia_range),
            ranger.code.eq(code),
            ranger.railed.eq(railed),
            self.range.eq(ranger.range),
        ]
        m.d.comb += [
            averager.restart.eq(self.start),
            averager.adc_idle.eq(fe.adc_idle),
            averager.samples.valid.eq(fe.samples.valid & reading),
            averager.samples.payload.eq(fe.samples.payload),
            averager.average.eq(Mux(ranger.probe, 0, self.average)),
            averager.column.eq(column),
            averager.count.eq(last + 1),
            write_code.data.eq(averager.result[: CODE_BITS + 1]),
            write_extremes.data.eq(Cat(least, most)),
        ]

        # What the lines do in the present phase.
        setting = Signal()
        row_mask = Signal(rows)
        m.d.comb += [
            row_mask.eq(1 << row[: (rows - 1).bit_length()]),
            fe.tile.eq(self.operand.tile),
            self.cell_address.eq(at),
            # In the order of isa.RESULT_FIELDS; the last two are those of a READ.
            self.cell_result.eq(
                Cat(code, attempt, status, Mux(self.program, 0, Cat(ranger.range, railed)))
            ),
            self.param_address.eq(Mux(targets, self.line + word, self.levels + self.cell_data[:8])),
            self.wear_address.eq(at + self.operand.cell),
            self.active.eq(1),
        ]
        level = cut(self.param_data, LEVEL_FIELDS)
        line = cut(self.param_data, LINE_FIELDS)
        target = self.cell_data[:CODE_BITS].as_signed()

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

        # What the next DAC write is of: a register, since the guard's checks are behind it.
        writes = (
            (Dac.RAIL_B, self.rail_reset),
            (Dac.RAIL_B, self.rail_set),
            (Dac.GATE_PROGRAM, gate),
        )
        RESET, SET, GATE = range(len(writes))
        writing = Signal(range(len(writes)))
        with m.Switch(writing):
            for number, (channel, value) in enumerate(writes):
                with m.Case(number):
                    m.d.comb += [
                        fe.dac.payload.channel.eq(channel),
                        fe.dac.payload.code.eq(value),
                    ]

        def write_dac(after: str) -> None:
            m.d.comb += fe.dac.valid.eq(1)
            with m.If(fe.dac.ready):
                m.next = after

        def start_timer(cycles: Signal | int, after: str) -> None:
            m.d.comb += [timer.start.eq(1), timer.cycles.eq(cycles)]
            m.next = after

        def walk(state: str) -> None:
            """Begin a walk over the group: ``state`` is entered once for each of its cells."""
            m.d.sync += [
                at.eq(index),
                k.eq(0),
                mark.eq(1 << column[: (columns - 1).bit_length()]),
            ]
            m.next = state

        def onward(state: str, after: str) -> None:
            """The next cell of a walk, or after the last one its end."""
            m.d.sync += [at.eq(at + 1), k.eq(k + 1), mark.eq(mark << 1)]
            m.next = state
            with m.If(k == last):
                m.next = after

        loading = Signal()
        with m.If(fe.latch):
            m.d.sync += loading.eq(0)
        begin = "WEAR" if geometry.wear else "ATTEMPT"

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.active.eq(0)]
                with m.If(self.start):
                    m.d.sync += [
                        index.eq(0),
                        end.eq(self.operand.count - 1),
                        row.eq(0),
                        column.eq(self.operand.cell),
                        word.eq(0),
                    ]
                    m.next = "LOCATE"
            with m.State("LOCATE"):
                with m.If(column >= columns):
                    m.d.sync += [column.eq(column - columns), row.eq(row + 1)]
                with m.Else():
                    m.next = "GROUP"
            with m.State("GROUP"):
                m.d.comb += ranger.restart.eq(1)
                m.d.sync += [left.eq(0), attempt.eq(0)]
                with m.If(index == self.operand.count):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    walk("GATHER")
            with m.State("GATHER"):
                m.d.sync += [
                    left.eq(left | mark),
                    last.eq(k),
                    at.eq(at + 1),
                    k.eq(k + 1),
                    mark.eq(mark << 1),
                ]
                with m.If((k + 1 >= self.together) | mark[-1] | (at == end) | auto):
                    with m.If(self.program):
                        walk(begin)
                    with m.Else():
                        m.next = "READ-ROWS"

            # An attempt: cycles are counted, and who has had them all is left out.
            if geometry.wear:
                last_code = read_code.data[:CODE_BITS]
                self._wear(m, here, onward, code, status, attempt, last_code, left, mark)
            with m.State("ATTEMPT"):
                with m.If(left == 0):
                    m.next = "NEXT"
                with m.Else():
                    m.d.sync += [attempt.eq(attempt + 1), setting.eq(0), writing.eq(RESET)]
                    m.next = "RESET-DAC"

            # RESET, all cells at once.
            with m.State("RESET-DAC"):
                write_dac("PULSE-ROWS")
            with m.State("PULSE-ROWS"):
                switch(SwitchGroup.ROWS, 0, row_mask, "PULSE-COLUMNS")
            with m.State("PULSE-COLUMNS"):
                switch(SwitchGroup.COLUMNS, 0, 0, "RESET-GATES")
            with m.State("RESET-GATES"):
                switch(SwitchGroup.GATES, 0, left, "DRIVE")

            # SET, one cell after the other.
            with m.State("SET-DAC"):
                m.d.sync += setting.eq(1)
                write_dac("SET")
            with m.State("SET"):
                m.d.sync += writing.eq(GATE)
                with m.If(here):
                    m.next = "LEVEL"
                with m.Else():
                    onward("SET", "READ-ROWS")
            with m.State("LEVEL"):
                m.next = "GATE"
                if geometry.line:
                    with m.If(targets):
                        m.next = "OFFSET"
            with m.State("GATE"):
                m.d.sync += gate.eq(level["gate"])
                m.next = "GATE-DAC"
            if geometry.line:
                self._compute(m, target, gate, word)
            with m.State("GATE-DAC"):
                write_dac("SET-GATES")
            with m.State("SET-GATES"):
                switch(SwitchGroup.GATES, mark, 0, "DRIVE")

            with m.State("DRIVE"), m.If(fe.dac_idle):
                start_timer(self.drive_cycles, "DRIVE-WAIT")
            with m.State("DRIVE-WAIT"):
                m.d.comb += self.active.eq(0)
                with m.If(timer.done):
                    m.next = "PULSE"
            with m.State("PULSE"):
                width = Mux(setting, self.set_cycles, self.reset_cycles)
                shortest = self.pulse_min_cycles
                start_timer(Mux(width < shortest, shortest, width), "PULSE-WAIT")
            with m.State("PULSE-WAIT"):
                m.d.comb += [fe.gate_b.eq(1), self.active.eq(0)]
                with m.If(timer.done):
                    with m.If(setting):
                        onward("SET", "READ-ROWS")
                    with m.Else():
                        m.d.sync += writing.eq(SET)
                        walk("SET-DAC")

            # Read, all cells at once.
            with m.State("READ-ROWS"):
                switch(SwitchGroup.ROWS, row_mask, 0, "READ-COLUMNS")
            with m.State("READ-COLUMNS"):
                switch(SwitchGroup.COLUMNS, left, 0, "READ-GATES")
            with m.State("READ-GATES"):
                switch(SwitchGroup.GATES, 0, left, "READ")
            with m.State("READ"):
                m.d.comb += [reading.eq(1), fe.gate_a.eq(1)]
                start_timer(settle, "READ-WAIT")
            with m.State("READ-WAIT"):
                m.d.comb += [reading.eq(1), fe.gate_a.eq(1), self.active.eq(0)]
                m.d.sync += k.eq(0)
                with m.If(timer.done):
                    m.d.comb += [fe.convert.eq(1), averager.convert.eq(1)]
                    m.next = "SAMPLE"
            with m.State("SAMPLE"):
                m.d.comb += [reading.eq(1), fe.gate_a.eq(1), write_code.en.eq(averager.write)]
                with m.If(averager.write):
                    m.d.sync += [k.eq(k + 1), Cat(code, railed).eq(averager.result)]
                    with m.If(k == last):
                        walk("JUDGE")
                        with m.If(auto):
                            m.next = "RANGE"
                with m.Elif(averager.idle):
                    m.d.comb += [fe.convert.eq(1), averager.convert.eq(1)]

            # Of an automatic range: three cycles for the verdict, three for the wait.
            with m.State("RANGE"):
                m.d.comb += [fe.gate_a.eq(1), ranger.take.eq(1)]
                m.next = "RANGE-HOPS"
            with m.State("RANGE-HOPS"):
                m.d.comb += fe.gate_a.eq(1)
                m.next = "RANGE-VERDICT"
            with m.State("RANGE-VERDICT"):
                m.d.comb += fe.gate_a.eq(1)
                m.next = "JUDGE"
                with m.If(ranger.again):
                    m.next = "SAMPLE"
                with m.If(ranger.moved):
                    m.next = "RANGE-SETTLE"
            with m.State("RANGE-SETTLE"):
                m.d.comb += fe.gate_a.eq(1)
                m.next = "RANGE-CHOSEN"
            with m.State("RANGE-CHOSEN"):
                m.d.comb += fe.gate_a.eq(1)
                m.next = "READ"

            # Verdicts, one cell after the other.
            with m.State("JUDGE"):
                with m.If(here):
                    m.next = "FETCH"
                with m.Else():
                    onward("JUDGE", "VERDICT")
            with m.State("FETCH"):
                m.d.sync += [
                    Cat(code, railed).eq(read_code.data),
                    Cat(least, most).eq(read_extremes.data),
                ]
                m.next = "WINDOW"
            with m.State("WINDOW"):
                m.d.sync += [
                    least.eq(Mux((attempt <= 1) | (code < least), code, least)),
                    most.eq(Mux((attempt <= 1) | (code > most), code, most)),
                    low.eq(level["low"]),
                    high.eq(level["high"]),
                ]
                with m.If(targets):
                    below, above = target - line["half"], target + line["half"]
                    m.d.sync += [
                        low.eq(Mux(below < CODE_MIN, CODE_MIN, below)),
                        high.eq(Mux(above > CODE_MAX, CODE_MAX, above)),
                    ]
                m.next = "COMPARE"
            with m.State("COMPARE"):
                with m.If(~self.program):
                    m.d.sync += status.eq(CellStatus.READ)
                    m.next = "STORE"
                with m.Elif((code >= low) & (code <= high)):
                    m.d.sync += status.eq(CellStatus.DONE)
                    m.next = "STORE"
                with m.Elif(attempt >= self.tries):
                    m.next = "GIVE-UP"
                with m.Else():
                    m.d.comb += write_extremes.en.eq(1)
                    onward("JUDGE", "VERDICT")
            with m.State("GIVE-UP"):
                unmoved = (most - least).as_unsigned() <= self.stuck
                tried = (attempt > 1) & (self.stuck != 0)
                m.d.sync += status.eq(
                    Mux(tried & unmoved, CellStatus.STUCK, CellStatus.NOT_CONVERGED)
                )
                m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += self.cell_write.eq(1)
                m.d.sync += left.eq(left & ~mark)
                onward("JUDGE", "VERDICT")
            with m.State("VERDICT"):
                with m.If(left == 0):
                    m.next = "NEXT"
                with m.Else():
                    walk(begin)

            # A walk has left ``at``, ``k`` and ``mark`` behind the group's last cell.
            with m.State("NEXT"):
                m.d.sync += [index.eq(at), column.eq(column + k)]
                with m.If(mark == 0):
                    m.d.sync += [column.eq(0), row.eq(row + 1)]
                m.next = "GROUP"
        return m

    def _wear(
        self,
        m: Module,
        here: Value,
        onward: Callable[[str, str], None],
        code: Signal,
        status: Signal,
        attempt: Signal,
        last_code: Value,
        left: Signal,
        mark: Signal,
    ) -> None:
        """A walk that counts a cycle of each cell before its pulses, or leaves it out."""
        worn = Signal()
        used = Signal(WEAR_BITS)
        m.d.comb += self.wear_next.eq(used)
        with m.State("WEAR"):
            with m.If(here):
                m.next = "WEAR-USED"
            with m.Else():
                onward("WEAR", "ATTEMPT")
        with m.State("WEAR-USED"):
            m.d.sync += [
                worn.eq((self.endurance != 0) & (self.wear_data >= self.endurance)),
                used.eq(Mux(self.wear_data.all(), self.wear_data, self.wear_data + 1)),
                code.eq(Mux(attempt == 0, 0, last_code)),
                status.eq(CellStatus.WORN),
            ]
            m.next = "WEAR-COUNT"
        with m.State("WEAR-COUNT"):
            m.d.comb += [self.wear_write.eq(~worn), self.cell_write.eq(worn)]
            with m.If(worn):
                m.d.sync += left.eq(left & ~mark)
            onward("WEAR", "ATTEMPT")

    def _compute(self, m: Module, target: Value, gate: Signal, word: Signal) -> None:
        """From the target to the gate code, as :meth:`ohmloom.hw.line.Line.gate_code`."""
        line = cut(self.param_data, LINE_FIELDS)
        bounds = cut(self.param_data, LINE_BOUNDS_FIELDS)
        piece = cut(self.param_data, SEGMENT_FIELDS)
        mantissa = Signal(24)
        fraction = Signal(PRODUCT_SHIFT)
        total = Signal(25)
        step = Signal(range(PRODUCT_SHIFT))
        from_zero = Signal(signed(18))
        i_cc = Signal(16)
        base = Signal(24)
        landing = Signal()

        def multiply(by: Value) -> None:
            """``total`` becomes ``(mantissa * by + 2^15) >> 16``, a bit of ``by`` a cycle."""
            m.d.sync += [fraction.eq(by), total.eq(1 << PRODUCT_SHIFT - 1), step.eq(0)]
            m.next = "MULTIPLY"

        with m.State("OFFSET"):
            m.d.sync += [
                from_zero.eq(target + line["offset"]),
                mantissa.eq(line["mantissa"]),
                word.eq(1),
                landing.eq(0),
            ]
            m.next = "SCALE"
        with m.State("SCALE"):
            most = (1 << PRODUCT_SHIFT) - 1
            multiply(Mux(from_zero < 0, 0, Mux(from_zero > most, most, from_zero)))
        with m.State("MULTIPLY"):
            m.d.sync += [
                total.eq((total + Mux(fraction[0], mantissa, 0)) >> 1),
                fraction.eq(fraction >> 1),
                step.eq(step + 1),
            ]
            with m.If(step == PRODUCT_SHIFT - 1):
                m.next = "BOUND"
                with m.If(landing):
                    m.next = "LAND"
        with m.State("BOUND"):
            m.d.sync += i_cc.eq(
                Mux(
                    total < bounds["low"],
                    bounds["low"],
                    Mux(total > bounds["high"], bounds["high"], total),
                )
            )
            m.next = "PIECE"
        with m.State("PIECE"):
            m.d.sync += word.eq(2 + i_cc[FRACTION_BITS:])
            m.next = "PIECE-FETCH"
        with m.State("PIECE-FETCH"):
            m.next = "RISE"
        with m.State("RISE"):
            m.d.sync += [mantissa.eq(piece["rise"]), base.eq(piece["gate"]), landing.eq(1)]
            part = i_cc[:FRACTION_BITS]
            multiply(Cat(Const(0, PRODUCT_SHIFT - FRACTION_BITS), part))
        with m.State("LAND"):
            half = 1 << GATE_FRACTION_BITS - 1
            m.d.sync += [gate.eq((base + total + half) >> GATE_FRACTION_BITS), word.eq(0)]
            m.next = "GATE-DAC"
