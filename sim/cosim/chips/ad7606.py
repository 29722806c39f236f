"""Model of a bank of AD7606 converters, set up by their pins, over the serial interface.

A bit appears on its data line as late as the sheet allows: a driver that takes it sooner
reads the one before.
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib.wiring import In

from ....hw.afe import ad7606 as part
from ....hw.afe.adc_part import READ_BITS
from .simultaneous import AdcFault, BankModel
from .watch import Watch


class SlowAdcBankModel(BankModel):
    """``chips`` AD7606 that share all lines but their data outputs.

    Members
    -------
    range : In(1)
        RANGE: high for +-10 V.
    oversampling : In(3)
        OS[2:0]: 0 for none, which the times of the model are for.

    The others, and what is raised, as of :class:`BankModel`; ``configured`` is high while the
    straps are the card's.
    """

    def __init__(self, chips: int, clk_hz: int) -> None:
        straps = {"range": In(1, init=1), "oversampling": In(3)}
        super().__init__(chips, clk_hz, part.PART, late=True, more=straps)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        seen = self.bank(m, watch)
        m.d.comb += self.configured.eq(self.range & (self.oversampling == 0))
        converted = Signal()
        with m.If(seen.reset_end):
            m.d.sync += converted.eq(0)
        with m.Elif(seen.start):
            m.d.sync += converted.eq(1)
        used = seen.start | seen.converting | seen.deselect
        watch.fail(used & ~self.configured, AdcFault.NOT_CONFIGURED)
        watch.fail(seen.deselect & (seen.count != READ_BITS), AdcFault.COUNT)
        # There is nothing to read but a conversion.
        watch.fail(seen.select & ~converted, AdcFault.COMMAND)
        return m
