# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The emulated array: cells in block RAM, sums, conversions and pulses in integers.

A cell is a word: its conductance code, above it the last bits of the number of its SETs.
Every number is that of ``docs/numerics.md``, "The emulated array", bit for bit.

A conversion takes the columns one after the other. While the cells of one are summed, a
row a cycle, the deviate of its draw is made, and the sums of the one before become a code:
a column takes as many cycles as there are rows, or as the longest of these steps needs.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import Tag, sample_layout
from .conversion import Conversion
from .deviate import Deviate
from .emulated_cycles import EmulatedCycles
from .emulated_tables import (
    CELL_BITS,
    CODE_BITS,
    COUNT_BITS,
    GAIN,
    MEAN,
    NUMBER_BITS,
    POINT_BITS,
    POINTS,
    RANGES,
    VARIANCE_BITS,
    EmulatedTables,
)
from .geometry import Geometry
from .ram import Ram
from .root import Root
from .threefry import Threefry

GATE_BITS = POINT_BITS + (POINTS - 1).bit_length()
"""Of a gate code, from the first point of the line."""
PULSE, VERIFY, INFERENCE = 1, 2, 3
"""Domains of draws."""


def product(number: Signal, by: int, count: int) -> Value:
    """``number * by`` of numbers below ``count``: few of them are looked up."""
    if count > 16 or by & by - 1 == 0:
        return number * by
    found: Value = Mux(number == 1, by, 0)
    for n in range(2, count):
        found = Mux(number == n, n * by, found)
    return found


class EmulatedArray(wiring.Component):
    """Cells, and what is done with them.

    Parameters
    ----------
    geometry : Geometry
        Of the array.
    tables : EmulatedTables
        Device and converters.

    Members
    -------
    ready : Out(1)
        All cells are as made.
    tile, range : In
        Stable while anything is being done.
    row, row_a, row_b : Out, In(1)
        The row that is looked at from the next cycle on, and whether rails A and B drive the
        one of this cycle.
    column, tia, program, on : Out, In(1)
        The same of a column: whether it is sensed, and what its gate is on.
    convert, tag, reading : In
        Strobe while ``idle``: a conversion with this name, and whether rail A reads.
    moved : In(1)
        Strobe: lines have moved, and what is read next is a new read.
    pulse, sets, resets, gate : In
        Strobe while ``idle``: a pulse has ended. What it is enough for, and the gate code
        from the first point of the line on, stable until it is done.
    busy : Out(1)
        Lines and settings are in use.
    idle : Out(1)
        A conversion may begin.
    samples : Out(stream)
        Of a conversion, column after column.
    """

    def __init__(self, geometry: Geometry, tables: EmulatedTables) -> None:
        self.geometry = geometry
        self.tables = tables
        rows, columns, tiles = geometry.rows, geometry.columns, geometry.tiles
        self.cells = tiles * geometry.cells
        self.place_bits = max(1, (self.cells - 1).bit_length())
        self.widths = widths = EmulatedCycles(geometry, tables)
        self.root = Root(widths.root_bits)
        self.draw = Threefry(tables.seed, self.place_bits)
        self.deviate = Deviate(tables.deviates)
        self.conversion = Conversion(widths, self.deviate.bits)
        super().__init__(
            {
                "ready": Out(1),
                "tile": In(max(1, (tiles - 1).bit_length())),
                "range": In(range(RANGES)),
                "row": Out(range(rows)),
                "row_a": In(1),
                "row_b": In(1),
                "column": Out(range(columns)),
                "tia": In(1),
                "program": In(1),
                "on": In(1),
                "convert": In(1),
                "tag": In(Tag),
                "reading": In(1),
                "moved": In(1),
                "pulse": In(1),
                "sets": In(1),
                "resets": In(1),
                "gate": In(GATE_BITS),
                "busy": Out(1),
                "idle": Out(1),
                "samples": Out(stream.Signature(sample_layout(), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, columns = self.geometry.rows, self.geometry.columns
        tables, widths = self.tables, self.widths
        m.submodules.cells = cells = Ram(CELL_BITS, self.cells)
        words = tables.words()
        m.submodules.table = table = memory.Memory(shape=CELL_BITS, depth=len(words), init=words)
        m.submodules.draw = draw = self.draw
        m.submodules.deviate = deviate = self.deviate
        m.submodules.root = root = self.root
        m.submodules.conversion = conversion = self.conversion
        look = table.read_port()

        # Where it is: what is on the memories' ports belongs to these.
        at = Signal(self.place_bits, init=-1)
        row, column = Signal(range(rows)), Signal(range(columns))
        at_next = Signal.like(at, init=0)
        by = Signal.like(at, init=0)
        first_cell, first_place = Signal.like(at, init=0), Signal.like(at, init=0)
        begin, next_row, first_row, next_column, first_column = (Signal() for _ in range(5))
        m.d.comb += [
            at_next.eq(Mux(begin, first_cell, at + by)),
            self.row.eq(Mux(begin | first_row, 0, row + next_row)),
            self.column.eq(Mux(begin | first_column, 0, column + next_column)),
            cells.read.addr.eq(at_next),
            cells.write.addr.eq(at_next),
        ]
        m.d.sync += [at.eq(at_next), row.eq(self.row), column.eq(self.column)]
        m.d.sync += [
            first_cell.eq(product(self.tile, self.geometry.cells, self.geometry.tiles)),
            first_place.eq(product(self.tile, columns, self.geometry.tiles)),
        ]
        code, count = cells.read.data[:CODE_BITS], cells.read.data[CODE_BITS:]
        last_row, last_column = row == rows - 1, column == columns - 1

        def move(cells: int) -> None:
            m.d.comb += by.eq(cells)

        # The name of a draw. A cell's epoch is its word.
        epoch, index = Signal(32), Signal(32)
        place = Signal(self.place_bits)
        inference = Signal()
        number = Signal(NUMBER_BITS)  # of the conversion, since lines have moved
        pulsing = Signal()
        m.d.comb += [
            draw.domain.eq(Mux(pulsing, PULSE, Mux(inference, INFERENCE, VERIFY))),
            draw.place.eq(place),
            draw.epoch.eq(epoch),
            draw.index.eq(index),
            deviate.start.eq(draw.done),
            deviate.word.eq(draw.word),
        ]

        # The sums of a column; that of the variances is a cycle behind.
        summing = Signal()
        reading = Signal()
        taken = Signal()
        total, held = Signal(widths.total_bits), Signal(widths.total_bits)
        variance = Signal(2 * root.bits)
        m.d.comb += taken.eq(summing & self.row_a & self.tia & self.on & reading)
        was_taken, ended, rooting = Signal(), Signal(), Signal()
        m.d.sync += [
            was_taken.eq(taken),
            ended.eq(summing & last_row),
            rooting.eq(ended),
        ]
        with m.If(taken):
            m.d.sync += total.eq(total + code)
        with m.If(ended):
            m.d.sync += [held.eq(total), total.eq(0)]
        with m.If(was_taken):
            m.d.sync += variance.eq(variance + look.data)
        with m.If(rooting):
            m.d.sync += variance.eq(0)
        with m.If(taken & ~inference):
            m.d.sync += [epoch.eq(cells.read.data), place.eq(at)]

        gain = Signal(CELL_BITS)
        shift = Signal.like(conversion.shift)
        late = deviate.done if widths.drawn >= widths.rooted else root.done
        moves = (self.program & (self.resets | self.sets)) | (self.on & self.resets)
        segment = Mux(self.resets, POINTS, self.gate[POINT_BITS:])
        m.d.comb += [
            root.start.eq(rooting),
            root.square.eq(variance),
            conversion.start.eq(Mux(inference, late, deviate.done)),
            conversion.pulse.eq(pulsing),
            conversion.total.eq(held),
            conversion.sigma.eq(root.root),
            conversion.magnitude.eq(deviate.magnitude),
            conversion.negative.eq(deviate.negative),
            conversion.gain.eq(gain),
            conversion.shift.eq(shift),
            conversion.word.eq(look.data),
            conversion.fraction.eq(self.gate[:POINT_BITS]),
            look.addr.eq(code[CODE_BITS - VARIANCE_BITS :]),
        ]
        with m.If(pulsing):
            m.d.comb += look.addr.eq(
                MEAN + Cat(segment[: GATE_BITS - POINT_BITS], conversion.wanted)
            )

        # Samples: of conversions, and of columns that a single read leaves out.
        sample = Signal(range(columns + 1))
        skipped = Signal()
        m.d.comb += [
            self.samples.valid.eq(skipped | (conversion.done & ~pulsing)),
            self.samples.payload.column.eq(sample),
            self.samples.payload.code.eq(Mux(skipped, 0, conversion.code)),
        ]
        with m.If(self.samples.valid):
            m.d.sync += sample.eq(sample + 1)

        # From a column to the next one.
        pause = widths.column - rows
        rest = Signal(range(pause))

        def following() -> None:
            """Of a product, behind the last row: at the same pace, whatever takes longest."""
            m.d.comb += next_column.eq(1)
            m.d.sync += rest.eq(pause - 1)
            m.next = "PAUSE"
            with m.If(last_column):
                m.next = "DRAIN"

        def leave() -> None:
            """Of a single read, behind a column's sample."""
            m.d.comb += next_column.eq(1)
            m.next = "COLUMN"
            with m.If(last_column):
                m.d.sync += number.eq(number + 1)
                m.next = "IDLE"

        def onward() -> None:
            """The next cell of a row that a pulse has driven, or behind it the next row."""
            move(1)
            m.d.comb += next_column.eq(1)
            m.next = "CELL"
            with m.If(last_column):
                m.d.comb += [first_column.eq(1), next_row.eq(1)]
                m.next = "ROW"
                with m.If(last_row):
                    move(0)  # nothing is behind the last cell of all
                    m.d.sync += pulsing.eq(0)
                    m.next = "IDLE"

        with m.If(self.moved | self.pulse):
            m.d.sync += number.eq(0)
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("FILL"):
                move(1)
                m.d.comb += [cells.write.en.eq(1), cells.write.data.eq(tables.made)]
                with m.If(at_next == self.cells - 1):
                    m.next = "IDLE"
                    m.d.sync += self.ready.eq(1)
            with m.State("IDLE"):
                m.d.comb += [
                    self.busy.eq(0),
                    self.idle.eq(1),
                    look.addr.eq(Cat(self.range, 0) + GAIN),
                ]
                m.d.sync += [
                    sample.eq(0),
                    epoch.eq(self.tag.epoch),
                    index.eq(Mux(self.tag.inference, self.tag.index, number)),
                    inference.eq(self.tag.inference),
                    reading.eq(self.reading),
                ]
                with m.If(self.pulse):
                    m.d.sync += [pulsing.eq(1), index.eq(0)]
                    m.next = "PULSE"
                with m.Elif(self.convert):
                    m.next = "GAIN"

            # A conversion: of a product, of all columns; of a single read, of those sensed.
            with m.State("GAIN"):
                m.d.comb += look.addr.eq(Cat(self.range, 1) + GAIN)
                m.d.sync += gain.eq(look.data)
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += begin.eq(1)
                m.d.sync += [shift.eq(look.data), place.eq(first_place)]
                m.next = "COLUMN"
                with m.If(inference):
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += [summing.eq(1), draw.start.eq(inference & (row == 0))]
                m.d.comb += next_row.eq(1)
                move(columns)
                with m.If(last_row):
                    m.d.comb += first_row.eq(1)
                    move(1 - (rows - 1) * columns)
                    m.next = "DRAW"
                    with m.If(inference):
                        following()
            with m.State("PAUSE"):
                m.d.sync += rest.eq(rest - 1)
                with m.If(rest == 0):
                    m.d.sync += place.eq(place + 1)
                    m.next = "SUM"
            with m.State("DRAIN"):
                m.d.comb += self.busy.eq(0)
                with m.If(sample == columns):
                    m.next = "IDLE"
            with m.State("COLUMN"):
                m.next = "SUM"
                with m.If(~(self.tia & self.on)):
                    move(1)
                    m.next = "SKIP"
            with m.State("SKIP"):
                m.d.comb += skipped.eq(1)
                leave()
            with m.State("DRAW"):
                m.d.comb += draw.start.eq(1)
                m.next = "READ"
            with m.State("READ"), m.If(conversion.done):
                leave()

            # A pulse: its rows, and in each of them its columns.
            with m.State("PULSE"):
                m.d.comb += begin.eq(1)
                m.next = "ROW"
            with m.State("ROW"):
                with m.If(self.row_b):
                    m.next = "CELL"
                with m.Else():
                    move(columns)
                    m.d.comb += next_row.eq(1)
                    with m.If(last_row):
                        move(0)
                        m.d.sync += pulsing.eq(0)
                        m.next = "IDLE"
            with m.State("CELL"):
                m.d.sync += [epoch.eq(cells.read.data), place.eq(at)]
                onward()
                with m.If(moves):
                    m.d.comb += [by.eq(0), next_row.eq(0), next_column.eq(0), first_column.eq(0)]
                    m.d.sync += pulsing.eq(1)
                    m.next = "CELL-DRAW"
            with m.State("CELL-DRAW"):
                m.d.comb += draw.start.eq(1)
                m.next = "CELL-CODE"
            with m.State("CELL-CODE"), m.If(conversion.done):
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [
                    cells.write.en.eq(1),
                    cells.write.data.eq(Cat(conversion.cell, (count + ~self.resets)[:COUNT_BITS])),
                ]
                m.next = "WRITTEN"
            with m.State("WRITTEN"):
                onward()
        return m
