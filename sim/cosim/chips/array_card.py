"""All chips of the array card, behind its pins."""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad5754r, ad7606, ad7606c
from ....hw.afe.adc_part import CHANNELS, CODE_BITS, AdcPart
from ....hw.afe.array_card import chips_of_group, pins_signature
from ....hw.afe.interface import SwitchGroup
from ....hw.geometry import Geometry
from .ad5754r import DacModel
from .ad7606 import SlowAdcBankModel
from .ad7606c import AdcBankModel
from .adgs1414d import SwitchBankModel
from .watch import SKIPPED_BITS

ADC_MODELS = {ad7606c.PART: AdcBankModel, ad7606.PART: SlowAdcBankModel}
FAULTS = data.StructLayout({"rows": 3, "columns": 3, "gates": 3, "dac": 3, "adc": 3})
"""Fault code of each part."""


class ArrayCardChips(wiring.Component):
    """The card's chips and how its lines hang on them.

    Members
    -------
    pins : In
        The card's pins.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    interlock : In(1)
        High while the interlock is closed.
    row_a, row_b, row_ground : Out(rows)
        Rows on rail A, on rail B, at 0 V.
    column_tia, column_ground : Out(columns)
        Columns on their TIA, at 0 V.
    gate_program, gate_on, gate_ground : Out(columns)
        Gates on GATE_PROGRAM, on GATE_ON, at 0 V.
    rails : Out(ArrayLayout(16, 4))
        Codes of the DAC channels, offset binary.
    sample, codes : Out(1), In(ArrayLayout(16, columns))
        ``sample`` toggles when the ADC inputs are held; ``codes`` is what they convert to.
    configured : Out(1)
        The converters have their settings; the AD7606's are straps of the card.
    sensor : Out(8)
        Channels of the converters, the same in all, that are on their temperature sensor.
    faults : Out
        Sticky fault code of each part: ``rows``, ``columns``, ``gates`` (SwitchFault),
        ``dac`` (DacFault), ``adc`` (AdcFault).
    fault : Out(1)
        Any of them.
    """

    def __init__(self, geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART) -> None:
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.adc_part = adc
        rows, columns = geometry.rows, geometry.columns
        super().__init__(
            {
                "pins": In(pins_signature(geometry, adc)),
                "skipped": In(SKIPPED_BITS),
                "interlock": In(1, init=1),
                "row_a": Out(rows),
                "row_b": Out(rows),
                "row_ground": Out(rows),
                "column_tia": Out(columns),
                "column_ground": Out(columns),
                "gate_program": Out(columns),
                "gate_on": Out(columns),
                "gate_ground": Out(columns),
                "rails": Out(data.ArrayLayout(16, ad5754r.CHANNELS)),
                "sample": Out(1),
                "codes": In(data.ArrayLayout(CODE_BITS, columns)),
                "configured": Out(1),
                "sensor": Out(CHANNELS),
                "faults": Out(FAULTS),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins, faults = self.pins, self.faults
        banks = {
            SwitchGroup.ROWS: (pins.sw_cs_rows, Cat(self.row_a, self.row_b, self.row_ground)),
            SwitchGroup.COLUMNS: (pins.sw_cs_columns, Cat(self.column_tia, self.column_ground)),
            SwitchGroup.GATES: (
                pins.sw_cs_gates,
                Cat(self.gate_program, self.gate_on, self.gate_ground),
            ),
        }
        for group, (cs_n, lines) in banks.items():
            chips = chips_of_group(group, self.geometry)
            name = group.name.lower()
            m.submodules[name] = bank = SwitchBankModel(chips, self.clk_hz)
            m.d.comb += [
                bank.sclk.eq(pins.sw_sclk),
                bank.cs_n.eq(cs_n),
                bank.reset_n.eq(pins.sw_reset),
                bank.sdi.eq(pins.sw_sdi[:chips]),
                bank.skipped.eq(self.skipped),
                lines.eq(bank.switches),
                faults[name].eq(bank.fault),
            ]
        m.submodules.dac = dac = DacModel(self.clk_hz)
        model = ADC_MODELS[self.adc_part]
        m.submodules.adc = adc = model(self.geometry.columns // CHANNELS, self.clk_hz)
        if self.adc_part.configuration:
            m.d.comb += adc.sdi.eq(pins.adc_sdi)
        if self.adc_part.sensing:
            m.d.comb += self.sensor.eq(adc.sensor)
        m.d.comb += [
            dac.sclk.eq(pins.dac_sclk),
            dac.sync_n.eq(pins.dac_sync),
            dac.sdin.eq(pins.dac_sdin),
            dac.ldac_n.eq(pins.dac_ldac),
            dac.clr_n.eq(pins.dac_clr),
            dac.skipped.eq(self.skipped),
            self.rails.eq(dac.codes),
            faults.dac.eq(dac.fault),
            adc.convst.eq(pins.adc_convst),
            adc.reset.eq(pins.adc_reset),
            adc.cs_n.eq(pins.adc_cs),
            adc.sclk.eq(pins.adc_sclk),
            adc.codes.eq(self.codes),
            adc.skipped.eq(self.skipped),
            pins.adc_busy.eq(adc.busy),
            pins.interlock.eq(self.interlock),
            pins.adc_dout.eq(adc.dout),
            self.sample.eq(adc.sample),
            self.configured.eq(adc.configured),
            faults.adc.eq(adc.fault),
            self.fault.eq(faults.as_value().any()),
        ]
        return m
