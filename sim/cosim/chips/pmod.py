"""All chips of the pmod front end, behind its pins."""

from __future__ import annotations

from enum import IntEnum

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad5628, ad7476a
from ....hw.afe.pmod import LIMIT_BASE, MID, PmodAdc, pins_signature
from ....hw.geometry import Geometry
from ....hw.isa import Dac
from .ad5628 import OctalDacModel
from .ad7476a import SmallAdcBankModel
from .max11125 import ScanAdcModel
from .watch import SKIPPED_BITS


class BreadboardFault(IntEnum):
    """What the switches can complain about."""

    NONE = 0
    MID_RAIL = 1
    """A row is on a rail while mid-rail is not at 1.25 V."""
    ASLEEP = 2
    """A column is on its TIA before the converters have been woken."""
    GATE = 3
    """A row is on a rail and a gate is on whose column is on its TIA, not behind the
    resistor that is chosen."""


class PmodChips(wiring.Component):
    """The breadboard's chips and how its lines hang on them.

    Parameters
    ----------
    geometry, clk_hz
        Lines, and the clock on which the pins are seen.
    adc : PmodAdc
        What reads the TIAs.

    Members
    -------
    pins : In
        The card's pins.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    row_a, row_b, row_ground : Out(rows)
        Rows on rail A, on rail B, on mid-rail.
    column_tia, column_ground : Out(columns)
        Columns on their TIA, on the compliance node.
    gate_program, gate_on : Out(columns)
        Gates that are on with a resistor behind the compliance node, and without.
    rails : Out(ArrayLayout(16, 4))
        Codes of the rails, and the GATE_PROGRAM code of the chosen resistor; offset
        binary, 16 bits.
    sample, codes : Out(1), In(ArrayLayout(12, columns))
        ``sample`` toggles when the ADC inputs are held; ``codes`` is what they convert
        to, straight binary.
    channel : Out(3)
        With a MAX11125, the one column that is held; otherwise 0, and all of them are.
    interlock : In(1)
        High while the interlock is closed.
    faults : Out
        Sticky fault code of each part: ``dac`` (OctalDacFault), ``adc``
        (SmallAdcFault or ScanAdcFault), ``board`` (BreadboardFault).
    fault : Out(1)
        Any of them.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, adc: PmodAdc = PmodAdc.AD7476A) -> None:
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.adc_part = adc
        rows, columns = geometry.rows, geometry.columns
        super().__init__(
            {
                "pins": In(pins_signature(geometry, adc)),
                "skipped": In(SKIPPED_BITS),
                "row_a": Out(rows),
                "row_b": Out(rows),
                "row_ground": Out(rows),
                "column_tia": Out(columns),
                "column_ground": Out(columns),
                "gate_program": Out(columns),
                "gate_on": Out(columns),
                "rails": Out(data.ArrayLayout(16, len(Dac))),
                "sample": Out(1),
                "channel": Out(3),
                "codes": In(data.ArrayLayout(ad7476a.CODE_BITS, columns)),
                "interlock": In(1, init=1),
                "faults": Out(data.StructLayout({"dac": 3, "adc": 3, "board": 2})),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins, faults = self.pins, self.faults
        m.submodules.dac = dac = OctalDacModel(self.clk_hz)
        if self.adc_part is PmodAdc.MAX11125:
            m.submodules.adc = adc = ScanAdcModel(self.clk_hz)
            m.d.comb += [
                adc.din.eq(pins.adc_din),
                pins.adc_sdata.eq(adc.dout),
                self.channel.eq(adc.channel),
            ]
        else:
            m.submodules.adc = adc = SmallAdcBankModel(self.geometry.columns, self.clk_hz)
            m.d.comb += pins.adc_sdata.eq(adc.sdata)
        limited = Signal()
        below = 16 - ad5628.CODE_BITS
        m.d.comb += [
            dac.sclk.eq(pins.dac_sclk),
            dac.sync_n.eq(pins.dac_sync),
            dac.din.eq(pins.dac_din),
            dac.skipped.eq(self.skipped),
            adc.cs_n.eq(pins.adc_cs),
            adc.sclk.eq(pins.adc_sclk),
            adc.skipped.eq(self.skipped),
            adc.codes.eq(self.codes.as_value()),
            pins.interlock.eq(self.interlock),
            self.sample.eq(adc.sample),
            self.row_a.eq(pins.row_drive & ~pins.row_rail),
            self.row_b.eq(pins.row_drive & pins.row_rail),
            self.row_ground.eq(~pins.row_drive),
            self.column_tia.eq(pins.column_sense),
            self.column_ground.eq(~pins.column_sense),
            limited.eq(pins.limit != 0),
            self.gate_program.eq(Mux(limited, pins.column_gate, 0)),
            self.gate_on.eq(Mux(limited, 0, pins.column_gate)),
            self.rails[Dac.RAIL_A].eq(dac.codes[0] << below),
            self.rails[Dac.RAIL_B].eq(dac.codes[1] << below),
            self.rails[Dac.GATE_PROGRAM].eq((LIMIT_BASE + pins.limit) << 12),
            self.rails[Dac.GATE_ON].eq(0),
            faults.dac.eq(dac.fault),
            faults.adc.eq(adc.fault),
            self.fault.eq(faults.as_value().any()),
        ]
        complaints = {
            BreadboardFault.MID_RAIL: pins.row_drive.any()
            & (~dac.alive | (dac.codes[MID] != ad5628.MID_CODE)),
            BreadboardFault.ASLEEP: pins.column_sense.any() & ~adc.awake,
            BreadboardFault.GATE: pins.row_drive.any()
            & (pins.column_gate & pins.column_sense).any()
            & limited,
        }
        for code, condition in complaints.items():
            with m.If(condition & (faults.board == 0)):
                m.d.sync += faults.board.eq(code)
        return m
