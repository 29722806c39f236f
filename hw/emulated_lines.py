# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The switches of an emulated array, in memory: what each line is on, and what comes next."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .afe.interface import SwitchGroup, switch_update_layout
from .geometry import Geometry
from .ram import Ram


class EmulatedLines(wiring.Component):
    """Takes a switch update line after line, and holds it until it is latched.

    Each group has two settings in memory, of which one is in force; without one, as after
    ``clear``, every line is at 0 V.

    Members
    -------
    switch, loaded, latch
        As a front end has them; the payload is taken while ``switch`` waits.
    clear : In(1)
        Every line to 0 V, and what has been loaded is forgotten.
    row, row_a, row_b : In, Out(1)
        A row, and a cycle later what it is on.
    column, tia, program, on : In, Out(1)
        The same of a column and its gate.
    active : Out(1)
        An update is being taken.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        rows, columns = geometry.rows, geometry.columns
        self.most = max(rows, columns)
        super().__init__(
            {
                "switch": In(stream.Signature(switch_update_layout(geometry))),
                "loaded": Out(1),
                "latch": In(1),
                "clear": In(1),
                "row": In(range(rows)),
                "row_a": Out(1),
                "row_b": Out(1),
                "column": In(range(columns)),
                "tia": Out(1),
                "program": Out(1),
                "on": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        groups = list(SwitchGroup)
        sizes = (self.geometry.rows, self.geometry.columns, self.geometry.columns)
        reads = (self.row, self.column, self.column)
        update = self.switch.payload
        line = Signal(range(self.most))
        group = Signal(SwitchGroup)
        bits = Cat(update.a.bit_select(line, 1), update.b.bit_select(line, 1))
        data = []
        for each, size, at in zip(groups, sizes, reads, strict=True):
            places = 1 << (size - 1).bit_length()
            # Columns have one way, and 0 V.
            ways = 1 if each is SwitchGroup.COLUMNS else 2
            ram = m.submodules[each.name.lower()] = Ram(ways, 2 * places)
            second, known = Signal(name=f"{each.name}_second"), Signal(name=f"{each.name}_known")
            m.d.comb += [
                ram.read.addr.eq(Cat(at, second)),
                ram.write.addr.eq(Cat(line[: (size - 1).bit_length()], ~second)),
                ram.write.data.eq(bits),
                ram.write.en.eq(self.active & (update.group == each) & (line < size)),
            ]
            with m.If(self.latch & self.loaded & (group == each)):
                m.d.sync += [second.eq(~second), known.eq(1)]
            with m.If(self.clear):
                m.d.sync += known.eq(0)
            data += [ram.read.data & known.replicate(ways)]
        (a, b), (tia,), (program, on) = data
        m.d.comb += [
            self.row_a.eq(a),
            self.row_b.eq(b),
            self.tia.eq(tia),
            self.program.eq(program),
            self.on.eq(on),
            self.active.eq(self.switch.valid & ~self.loaded),
            self.switch.ready.eq(self.active & (line == self.most - 1)),
        ]
        m.d.sync += line.eq(0)
        with m.If(self.active & ~self.switch.ready):
            m.d.sync += line.eq(line + 1)
        with m.If(self.switch.ready & self.switch.valid):
            m.d.sync += [self.loaded.eq(1), group.eq(update.group)]
        with m.If(self.latch | self.clear):
            m.d.sync += self.loaded.eq(0)
        return m
