"""Model of the 74HC595 shift registers of a chained card."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad7606c, array_card, chained_card
from ....hw.afe.adc_part import AdcPart
from ....hw.geometry import Geometry


class PinChainModel(wiring.Component):
    """From the pins of a chained card to those of the array card's chips.

    Shift and storage registers take a rising edge of their clocks in the cycle after it, with
    the data that stand then.

    Members
    -------
    pins : In
        The chained card's pins.
    card : Out
        The array card's.
    """

    def __init__(self, geometry: Geometry, adc: AdcPart = ad7606c.PART) -> None:
        self.lines = chained_card.chain_lines(geometry, adc)
        self.bits = -(-sum(line.width for line in self.lines) // chained_card.WAYS)
        super().__init__(
            {
                "pins": In(chained_card.pins_signature(geometry, adc)),
                "card": Out(array_card.pins_signature(geometry, adc)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins, size = self.pins, self.bits
        init = sum(line.init << line.place for line in self.lines)
        lines = Signal(size * chained_card.WAYS, init=init)
        clk, latch = Signal(), Signal()
        m.d.sync += [clk.eq(pins.chain_clk), latch.eq(pins.chain_latch)]
        for way in range(chained_card.WAYS):
            shifted = Signal(size, name=f"shifted{way}")
            with m.If(pins.chain_clk & ~clk):
                m.d.sync += shifted.eq(Cat(pins.chain_data[way], shifted))
            with m.If(pins.chain_latch & ~latch):
                m.d.sync += lines[way * size : (way + 1) * size].eq(shifted)
        chained = {line.name: lines[line.place :][: line.width] for line in self.lines}
        for name, member in self.card.signature.members.items():
            there = getattr(self.card, name)
            here = chained[name] if name in chained else getattr(pins, name)
            m.d.comb += there.eq(here) if member.flow is Out else here.eq(there)
        return m
