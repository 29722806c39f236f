"""Write-verify: 1T1R cells programmed by I_cc pulses, one cell at a time.

Each attempt is a RESET pulse, a SET pulse at the level's gate voltage (which is
its I_cc) and a read of that one cell, ``2**average`` conversions; the cell is done
when their mean falls into the level's window. One that no try has moved is stuck.
Rails and switches settle before a fast gate opens, and rows are connected to a rail
only while its gate is closed.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
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
from .isa import AVERAGE_BITS, LAYOUTS, LEVEL_FIELDS, CellStatus, Dac, Op
from .readout import Averager


class WriteVerify(wiring.Component):
    """Executes one ``PROGRAM`` or ``READ`` instruction.

    Members
    -------
    program : In(1)
        1: write-verify; 0: read only.
    levels, tries, average, stuck, set_cycles, reset_cycles, rail_set, rail_reset : In
        The registers of the same names.
    cell_address, cell_data, cell_write, cell_result
        Cell memory: level in, result out (one cycle of read latency).
    param_address, param_data
        Parameter memory, where the level table is.
    """

    def __init__(self, geometry: Geometry, timing: FrontEndTiming, clk_hz: int) -> None:
        self.geometry = geometry
        self.read_cycles = cycles_from_ps(timing.settle_ps, clk_hz)
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
                "tries": In(8),
                "average": In(AVERAGE_BITS),
                "stuck": In(16),
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
                "timer": Out(TimerChannel()),
                "fe": Out(FrontEndSignature(geometry)),
                "done": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, columns = self.geometry.rows, self.geometry.columns
        fe, timer = self.fe, self.timer

        index = Signal(16)
        row = Signal(8)
        column = Signal(16)
        attempt = Signal(8)
        code = Signal(signed(16))
        status = Signal(2)
        gate = Signal(16)
        low = Signal(signed(16))
        high = Signal(signed(16))
        least = Signal(signed(16))
        most = Signal(signed(16))

        m.submodules.averager = averager = Averager(self.geometry)
        reading = Signal()
        m.d.comb += [
            averager.restart.eq(self.start),
            averager.adc_idle.eq(fe.adc_idle),
            averager.samples.valid.eq(fe.samples.valid & reading),
            averager.samples.payload.eq(fe.samples.payload),
            averager.average.eq(self.average),
            averager.column.eq(column),
            averager.count.eq(1),
        ]

        # What the lines do in the present phase.
        setting = Signal()
        row_mask = Signal(rows)
        column_mask = Signal(columns)
        m.d.comb += [
            row_mask.eq(1 << row[: (rows - 1).bit_length()]),
            column_mask.eq(1 << column[: (columns - 1).bit_length()]),
            fe.tile.eq(self.operand.tile),
            self.cell_address.eq(index),
            # In the order of isa.RESULT_FIELDS.
            self.cell_result.eq(Cat(code, attempt, status)),
            self.param_address.eq(self.levels + self.cell_data[:8]),
            self.active.eq(1),
        ]
        level = cut(self.param_data, LEVEL_FIELDS)

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

        def write_dac(channel: Dac, value: Signal, after: str) -> None:
            m.d.comb += [
                fe.dac.valid.eq(1),
                fe.dac.payload.channel.eq(channel),
                fe.dac.payload.code.eq(value),
            ]
            with m.If(fe.dac.ready):
                m.next = after

        def start_timer(cycles: Signal | int, after: str) -> None:
            m.d.comb += [timer.start.eq(1), timer.cycles.eq(cycles)]
            m.next = after

        loading = Signal()
        with m.If(fe.latch):
            m.d.sync += loading.eq(0)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.active.eq(0)]
                with m.If(self.start):
                    m.d.sync += [index.eq(0), row.eq(0), column.eq(self.operand.cell)]
                    m.next = "LOCATE"
            with m.State("LOCATE"):
                with m.If(column >= columns):
                    m.d.sync += [column.eq(column - columns), row.eq(row + 1)]
                with m.Else():
                    m.next = "CELL"
            with m.State("CELL"):
                m.d.sync += attempt.eq(0)
                with m.If(index == self.operand.count):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Elif(self.program):
                    m.next = "LEVEL"
                with m.Else():
                    m.d.sync += status.eq(CellStatus.READ)
                    m.next = "READ-ROWS"
            with m.State("LEVEL"):
                m.next = "WINDOW"
            with m.State("WINDOW"):
                m.d.sync += [gate.eq(level["gate"]), low.eq(level["low"]), high.eq(level["high"])]
                m.next = "GATE-DAC"
            with m.State("GATE-DAC"):
                write_dac(Dac.GATE_PROGRAM, gate, "RESET-DAC")

            with m.State("RESET-DAC"):
                with m.If(fe.dac.ready):
                    m.d.sync += [attempt.eq(attempt + 1), setting.eq(0)]
                write_dac(Dac.RAIL_B, self.rail_reset, "PULSE-ROWS")
            with m.State("PULSE-ROWS"):
                switch(SwitchGroup.ROWS, 0, row_mask, "PULSE-COLUMNS")
            with m.State("PULSE-COLUMNS"):
                switch(SwitchGroup.COLUMNS, 0, 0, "RESET-GATES")
            with m.State("RESET-GATES"):
                switch(SwitchGroup.GATES, 0, column_mask, "DRIVE")

            with m.State("SET-DAC"):
                m.d.sync += setting.eq(1)
                write_dac(Dac.RAIL_B, self.rail_set, "SET-GATES")
            with m.State("SET-GATES"):
                switch(SwitchGroup.GATES, column_mask, 0, "DRIVE")

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
                        m.next = "READ-ROWS"
                    with m.Else():
                        m.next = "SET-DAC"

            with m.State("READ-ROWS"):
                switch(SwitchGroup.ROWS, row_mask, 0, "READ-COLUMNS")
            with m.State("READ-COLUMNS"):
                switch(SwitchGroup.COLUMNS, column_mask, 0, "READ-GATES")
            with m.State("READ-GATES"):
                switch(SwitchGroup.GATES, 0, column_mask, "READ")
            with m.State("READ"):
                m.d.comb += [reading.eq(1), fe.gate_a.eq(1)]
                start_timer(self.read_cycles, "READ-WAIT")
            with m.State("READ-WAIT"):
                m.d.comb += [reading.eq(1), fe.gate_a.eq(1), self.active.eq(0)]
                with m.If(timer.done):
                    m.d.comb += [fe.convert.eq(1), averager.convert.eq(1)]
                    m.next = "SAMPLE"
            with m.State("SAMPLE"):
                m.d.comb += [reading.eq(1), fe.gate_a.eq(1)]
                with m.If(averager.write):
                    m.d.sync += code.eq(averager.result[: len(code)])
                    m.next = "JUDGE"
                with m.Elif(averager.idle):
                    m.d.comb += [fe.convert.eq(1), averager.convert.eq(1)]
            with m.State("JUDGE"):
                m.d.sync += [
                    least.eq(Mux((attempt <= 1) | (code < least), code, least)),
                    most.eq(Mux((attempt <= 1) | (code > most), code, most)),
                ]
                with m.If(~self.program):
                    m.next = "STORE"
                with m.Elif((code >= low) & (code <= high)):
                    m.d.sync += status.eq(CellStatus.DONE)
                    m.next = "STORE"
                with m.Elif(attempt >= self.tries):
                    m.next = "GIVE-UP"
                with m.Else():
                    m.next = "RESET-DAC"
            with m.State("GIVE-UP"):
                unmoved = (most - least).as_unsigned() <= self.stuck
                tried = (attempt > 1) & (self.stuck != 0)
                m.d.sync += status.eq(
                    Mux(tried & unmoved, CellStatus.STUCK, CellStatus.NOT_CONVERGED)
                )
                m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += self.cell_write.eq(1)
                m.d.sync += [index.eq(index + 1), column.eq(column + 1)]
                with m.If(column == columns - 1):
                    m.d.sync += [column.eq(0), row.eq(row + 1)]
                m.next = "CELL"
        return m
