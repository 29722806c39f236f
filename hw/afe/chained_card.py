"""The array card behind a chain of shift registers, for a board with few pins.

The lines to the switch chips, the tile bus and the TIA range change seldom or need no
exact moment: they go through 74HC595 shift registers on the card. What has to be exact or
has to act at once keeps pins of its own: fast gates, converters, DAC, resets, interlock.

All lines are sampled together, shifted out and latched together, without end. So a line
is at its pin two periods after its change at the latest, and two changes that are a
period apart stay in their order. The serial clock of the switches is slowed down to that,
and every settling time that begins at a switch is two periods longer.
"""

from __future__ import annotations

from dataclasses import replace

from amaranth import Cat, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..cycles import FrontEndCycles
from ..geometry import Geometry
from ..settle import settle_by_range
from . import ad7606c, adgs1414d
from .adc_part import AdcPart
from .array_card import ArrayCard, pins_signature
from .interface import Ceilings, FrontEndSignature, FrontEndTiming, PlaneStep

CHAINED = (
    "sw_sclk",
    "sw_cs_rows",
    "sw_cs_columns",
    "sw_cs_gates",
    "sw_sdi",
    "tile_select",
    "tia_range",
)
"""Pins of the array card that go through the chain, those that it has."""
WAYS = 3
"""Data lines of the chain; all have the same clock and the same latch."""
CHAIN_CLK_MAX_HZ = 12_500_000
"""A line of the chain stands for a cycle before its clock rises: 80 ns, between the set-up
times of a 74HC595 at 2 V, 125 ns, and at 4.5 V, 25 ns (TI SN74HC595, "Timing
Requirements", -40 to 85 C). assumed: enough at 3.3 V. The latch rises as long after the
last clock edge."""


class PinChain(wiring.Component):
    """Shifts lines out, over and over.

    Parameters
    ----------
    lines : int
        Lines to carry.
    ways : int
        Data lines; each carries the next ``ceil(lines / ways)`` of them, the last one of
        its own first.
    init : int
        The lines until the first latch.

    Members
    -------
    lines : In
        Sampled every ``period`` cycles.
    clk, latch, data : Out
        Shift clock and storage clock of the registers (both act when they rise), and
        their serial inputs.
    """

    def __init__(self, lines: int, ways: int, init: int = 0) -> None:
        self.ways = ways
        self.bits = -(-lines // ways)
        self.period = 2 * self.bits + 1
        super().__init__(
            {
                "lines": In(lines, init=init),
                "clk": Out(1),
                "latch": Out(1),
                "data": Out(ways),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(self.period), init=self.period - 1)
        last = Signal()
        m.d.comb += [last.eq(count == self.period - 1), self.clk.eq(count[0])]
        m.d.sync += [count.eq(count + 1), self.latch.eq(count == self.period - 2)]
        with m.If(last):
            m.d.sync += count.eq(0)
        for way in range(self.ways):
            held = Signal(self.bits, name=f"held{way}")
            m.d.comb += self.data[way].eq(held[-1])
            with m.If(last):
                m.d.sync += held.eq(self.lines[way * self.bits : (way + 1) * self.bits])
            with m.Elif(self.clk):
                m.d.sync += held.eq(held << 1)
        return m


class ChainedCard(wiring.Component):
    """Front-end provider for the array card with :data:`CHAINED` pins in a chain.

    Parameters
    ----------
    geometry, clk_hz, adc
        As of :class:`~ohmloom.hw.afe.array_card.ArrayCard`.

    Members
    -------
    core, timer
        As of the array card, and so are its pins that are not in the chain.
    chain_clk, chain_latch, chain_data : Out
        The chain: see :class:`PinChain`. The lines in it are the :data:`CHAINED` pins in
        their order, lowest bit first.

    Raises
    ------
    ValueError
        If the clock is too fast for the chain.
    """

    PAIRS_APART = ArrayCard.PAIRS_APART

    def __init__(self, geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART) -> None:
        if clk_hz > CHAIN_CLK_MAX_HZ:
            raise ValueError(
                f"a clock of {clk_hz} Hz is too fast for the pin chain, "
                f"which takes {CHAIN_CLK_MAX_HZ} Hz"
            )
        members = dict(pins_signature(geometry, adc).members)
        self.chained = tuple(name for name in CHAINED if name in members)
        shapes = [members.pop(name) for name in self.chained]
        lines, init = 0, 0
        for member in shapes:
            init |= (member.init or 0) << lines
            lines += Shape.cast(member.shape).width
        self.chain = PinChain(lines, WAYS, init)
        self.clk_hz = clk_hz
        self.edge_cycles = self.chain.period
        self.card = ArrayCard(geometry, clk_hz, self.edge_cycles, adc)
        super().__init__(
            {
                **members,
                "core": In(FrontEndSignature(geometry)),
                "timer": Out(self.card.timer.signature),
                "chain_clk": Out(1),
                "chain_latch": Out(1),
                "chain_data": Out(WAYS),
            }
        )

    @property
    def delay_ps(self) -> int:
        """From a change of a line to its pin, at most."""
        return 2 * self.chain.period * -(-(10**12) // self.clk_hz)

    def timing(self) -> FrontEndTiming:
        """What the core must wait for."""
        card, delay = self.card.timing(), self.delay_ps
        return replace(
            card,
            settle_ps=card.settle_ps + delay,
            range_settle_ps=tuple(each + delay for each in card.range_settle_ps),
            switch_ps=card.switch_ps + delay,
        )

    def ceilings(self) -> Ceilings:
        """What the card may ever be asked to drive."""
        return self.card.ceilings()

    def plane_period_cycles(self) -> dict[PlaneStep, int]:
        """Cycles of each step that an MVM plane consists of; the longest one bounds it."""
        steps = self.card.plane_period_cycles()
        return {
            **steps,
            PlaneStep.SETTLE: steps[PlaneStep.SETTLE] + 2 * self.chain.period,
            PlaneStep.SWITCH: adgs1414d.update_cycles(self.clk_hz, self.edge_cycles),
        }

    def cycles(self) -> FrontEndCycles:
        """What its handshakes and settling take, for the cost model."""
        update = adgs1414d.serial_timing(self.clk_hz, self.edge_cycles)
        return replace(
            self.card.cycles(),
            settle=settle_by_range(self.timing(), self.clk_hz),
            load=adgs1414d.load_cycles(update),
            recover=adgs1414d.recover_cycles(update),
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.card = card = self.card
        m.submodules.chain = chain = self.chain
        wiring.connect(m, wiring.flipped(self.core), card.core)
        wiring.connect(m, wiring.flipped(self.timer), card.timer)
        m.d.comb += [
            chain.lines.eq(Cat(getattr(card, name) for name in self.chained)),
            self.chain_clk.eq(chain.clk),
            self.chain_latch.eq(chain.latch),
            self.chain_data.eq(chain.data),
        ]
        for name, member in pins_signature(card.geometry, card.adc_part).members.items():
            if name in self.chained:
                continue
            inside, outside = getattr(card, name), getattr(self, name)
            m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)
        return m
