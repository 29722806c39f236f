# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The front end without parts: an array that the FPGA has inside.

It takes what the card's chips would take, with the same effects at the same moments: lines
follow their latch, a conversion holds what it finds, and the closing of rail B's gate is
the end of a pulse. Then its cells are written; until that is done no line moves, no DAC is
written and no conversion begins. Only a gate may open again: it is closed no sooner
(:meth:`Emulated.timing`), so that a train of pulses is as long as it says.

There is no current inside a pulse: conversions there are 0. Nor are there lines with
resistance, a current source or temperature sensors.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..cycles import FrontEndCycles
from ..emulated_array import GATE_BITS, EmulatedArray
from ..emulated_cycles import EmulatedCycles
from ..emulated_lines import EmulatedLines
from ..emulated_tables import CELL_BITS, GAIN, RANGES, EmulatedTables, pulse_cycles
from ..geometry import Geometry, GeometryError
from ..isa import Dac
from ..modes.warden import WEIGHING_CYCLES
from ..settle import settle_by_range
from .array_card import BUDGET_DUTY, BUDGET_PS, ENERGY_PS, PULSE_MAX_PS, WATCHDOG_PS
from .interface import (
    Ceilings,
    FrontEndSignature,
    FrontEndTiming,
    PlaneStep,
    TimerChannel,
)
from .kinds import EMULATED_STEP

ZERO_CODE = 0x8000


def plane_period_cycles(geometry: Geometry, tables: EmulatedTables) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane; that of the cells is the longest."""
    widths = EmulatedCycles(geometry, tables)
    return {
        PlaneStep.SETTLE: 1,
        PlaneStep.READOUT: widths.readout,
        PlaneStep.SWITCH: widths.load,
    }


def timing(geometry: Geometry, clk_hz: int, tables: EmulatedTables) -> FrontEndTiming:
    """What the core must wait for.

    A cycle; as long as it weighs a code before a pulse; and no pulse is over before the cells
    of the last one are written.
    """
    cycle_ps = 10**12 // clk_hz
    ranges = sum(mantissa != 0 for mantissa, _ in tables.gains)
    return FrontEndTiming(
        settle_ps=cycle_ps,
        range_settle_ps=(cycle_ps,) * ranges,
        dac_settle_ps=WEIGHING_CYCLES * cycle_ps,
        switch_ps=cycle_ps,
        pulse_min_ps=EmulatedCycles(geometry, tables).pulse * cycle_ps,
    )


def front_end_cycles(geometry: Geometry, clk_hz: int, tables: EmulatedTables) -> FrontEndCycles:
    """What its handshakes and settling take, for the cost model."""
    widths = EmulatedCycles(geometry, tables)
    return FrontEndCycles(
        settle=settle_by_range(timing(geometry, clk_hz, tables), clk_hz),
        load=widths.load,
        recover=1,
        readout=widths.readout,
        hold=widths.hold,
        write=(0,) * len(Dac),
        dac_settle=WEIGHING_CYCLES,
        drive=WEIGHING_CYCLES,
        pulse=widths.pulse,
        closing=widths.pulse,
    )


def memories(geometry: Geometry) -> dict[str, tuple[int, int]]:
    """Bits of a word and number of words of its memories, by their names."""
    lines = 2 * max(geometry.rows, geometry.columns)
    return {
        "cells": (CELL_BITS, geometry.tiles * geometry.cells),
        "table": (CELL_BITS, GAIN + 2 * RANGES),
        "deviates": (CELL_BITS, 1 << 10),
        **{name: (2, lines) for name in ("rows", "columns", "gates")},
    }


class Emulated(wiring.Component):
    """Front-end provider of an emulated array. It has no pins.

    Parameters
    ----------
    geometry : Geometry
        Rows, columns and tiles of the array.
    clk_hz : int
        Clock that is really there.
    tables : EmulatedTables
        What the cells are and what reads them.

    Members
    -------
    core : In(FrontEndSignature)
        The controller core.
    timer : Out(TimerChannel)
        For the shortest pulse that does something.

    Raises
    ------
    ValueError
        If the clock is not positive.
    GeometryError
        If the array is to be passive, or larger than draws have names.
    """

    PAIRS_APART = True
    """A column takes longer than a cycle."""

    def __init__(self, geometry: Geometry, clk_hz: int, tables: EmulatedTables) -> None:
        if clk_hz <= 0:
            raise ValueError(f"a clock of {clk_hz} Hz is not positive")
        geometry.require_step(EMULATED_STEP, "the emulated array")
        if geometry.passive:
            raise GeometryError("passive = True: the cells of an emulated array have transistors")
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.tables = tables
        self.array = EmulatedArray(geometry, tables)
        self.lines = EmulatedLines(geometry)
        widths = (pulse_cycles(s, clk_hz) for s in (tables.set_s, tables.reset_s))
        self.set_cycles, self.reset_cycles = widths
        super().__init__(
            {
                "core": In(FrontEndSignature(geometry)),
                "timer": Out(TimerChannel.lasting(self.set_cycles, self.reset_cycles)),
            }
        )

    @property
    def name(self) -> str:
        """What the link says of it: another one where the tables are others."""
        return f"{type(self).__name__} {self.tables.digest}"

    def timing(self) -> FrontEndTiming:
        """What the core must wait for."""
        return timing(self.geometry, self.clk_hz, self.tables)

    def ceilings(self) -> Ceilings:
        """What it may ever be asked to drive: any voltage, and times as of the array card."""
        return Ceilings(
            low=(0,) * len(Dac),
            high=((1 << 16) - 1,) * len(Dac),
            read=ZERO_CODE,
            sense=ZERO_CODE,
            width_ps=PULSE_MAX_PS,
            budget_ps=BUDGET_PS,
            duty=BUDGET_DUTY,
            energy_ps=ENERGY_PS,
            watchdog_ps=WATCHDOG_PS,
            zero_code=ZERO_CODE,
        )

    def plane_period_cycles(self) -> dict[PlaneStep, int]:
        """Cycles of each step that an MVM plane consists of; the longest one bounds it."""
        return plane_period_cycles(self.geometry, self.tables)

    def cycles(self) -> FrontEndCycles:
        """What its handshakes and settling take, for the cost model."""
        return front_end_cycles(self.geometry, self.clk_hz, self.tables)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = array = self.array
        m.submodules.lines = lines = self.lines
        core, tables, timer = self.core, self.tables, self.timer

        # A pulse: how long it has been is known when it ends, and its cells follow.
        was_open, ended, enough = Signal(), Signal(), Signal()
        sets, resets, reads = Signal(), Signal(), Signal()
        m.d.sync += was_open.eq(core.gate_b)
        opening, closing = core.gate_b & ~was_open, was_open & ~core.gate_b
        # No path from the gate to what the core is told: the guard looks at both.
        writing = ended | array.busy
        working = was_open | writing
        m.d.comb += [
            timer.start.eq(opening),
            timer.cycles.eq(Mux(resets, self.reset_cycles, self.set_cycles)),
        ]
        long = Signal()
        with m.If(timer.done):
            m.d.sync += long.eq(1)
        with m.If(opening):
            m.d.sync += long.eq(0)
        with m.If(closing):
            m.d.sync += [ended.eq(1), enough.eq(long | timer.done)]
        with m.If(array.pulse):
            m.d.sync += ended.eq(0)

        # What counts of the DACs.
        gate = Signal(GATE_BITS)
        code = core.dac.payload.code
        # The safe state is entered when the cells of a pulse that it has ended are written.
        stopped = Signal()
        with m.If(core.safe):
            m.d.sync += stopped.eq(1)
        with m.Elif(~working):
            m.d.sync += stopped.eq(0)
        clear = stopped & ~working
        with m.If(core.dac.valid & core.dac.ready), m.Switch(core.dac.payload.channel):
            with m.Case(Dac.RAIL_A.value):
                m.d.sync += reads.eq(code == tables.rail_read)
            with m.Case(Dac.RAIL_B.value):
                m.d.sync += [
                    sets.eq(code >= tables.rail_set),
                    resets.eq(code <= tables.rail_reset),
                ]
            with m.Case(Dac.GATE_PROGRAM.value):
                m.d.sync += gate.eq(code - tables.gate)
        with m.If(clear):
            m.d.sync += [reads.eq(0), sets.eq(0), resets.eq(0)]

        m.d.comb += [
            core.ready.eq(array.ready & ~core.safe & ~stopped),
            core.active.eq(writing | lines.active | ~array.idle),
            core.dac.ready.eq(~working),
            core.dac_idle.eq(1),
            core.interlock.eq(0),
            lines.switch.valid.eq(core.switch.valid),
            lines.switch.payload.eq(core.switch.payload),
            core.switch.ready.eq(lines.switch.ready),
            core.loaded.eq(lines.loaded & ~working),
            lines.latch.eq(core.latch & core.loaded),
            lines.clear.eq(clear),
            lines.row.eq(array.row),
            lines.column.eq(array.column),
            array.row_a.eq(lines.row_a),
            array.row_b.eq(lines.row_b),
            array.tia.eq(lines.tia),
            array.program.eq(lines.program),
            array.on.eq(lines.on),
            array.tile.eq(core.tile),
            array.range.eq(core.range),
            array.convert.eq(core.convert & core.adc_idle),
            array.tag.eq(core.tag),
            array.reading.eq(core.gate_a & reads),
            array.moved.eq(lines.latch),
            array.pulse.eq(ended & array.idle),
            array.sets.eq(sets & enough),
            array.resets.eq(resets & enough),
            array.gate.eq(gate),
            core.adc_idle.eq(array.idle & ~ended),
            core.samples.valid.eq(array.samples.valid),
            core.samples.payload.eq(array.samples.payload),
        ]
        return m
