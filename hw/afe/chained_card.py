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

from dataclasses import dataclass, replace

from amaranth import Cat, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..cycles import FrontEndCycles
from ..geometry import Geometry
from ..settle import settle_by_range
from . import ad7606c, adgs1414d, array_card
from .adc_part import AdcPart
from .array_card import ArrayCard
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
"""Pins of the array card that go through the chain, those that it has; of the tile bus the
lines that its tiles need."""
WAYS = 3
"""Data lines of the chain; all have the same clock and the same latch."""
CHAIN_CLK_MAX_HZ = 12_500_000
"""A line of the chain stands for a cycle before its clock rises: 80 ns, between the set-up
times of a 74HC595 at 2 V, 125 ns, and at 4.5 V, 25 ns (TI SN74HC595, "Timing
Requirements", -40 to 85 C). assumed: enough at 3.3 V. The latch rises as long after the
last clock edge."""


@dataclass(frozen=True)
class ChainLine:
    """A pin in the chain, which begins at line ``place`` and has ``width`` lines."""

    name: str
    place: int
    width: int
    init: int


def chain_lines(geometry: Geometry, adc: AdcPart = ad7606c.PART) -> tuple[ChainLine, ...]:
    """The lines of the chain, pin after pin, each with its lowest bit first."""
    members = array_card.pins_signature(geometry, adc).members
    lines, place = list[ChainLine](), 0
    for name in CHAINED:
        if name in members:
            width = Shape.cast(members[name].shape).width
            if name == "tile_select":
                width = (geometry.tiles - 1).bit_length()
            lines.append(ChainLine(name, place, width, members[name].init or 0))
            place += width
    return tuple(lines)


def pins_signature(geometry: Geometry, adc: AdcPart = ad7606c.PART) -> wiring.Signature:
    """The pins of the card, as the controller drives them."""
    members = array_card.pins_signature(geometry, adc).members
    chained = {line.name for line in chain_lines(geometry, adc)}
    return wiring.Signature(
        {
            **{name: member for name, member in members.items() if name not in chained},
            "chain_clk": Out(1),
            "chain_latch": Out(1),
            "chain_data": Out(WAYS),
        }
    )


def chain_period(geometry: Geometry, adc: AdcPart = ad7606c.PART) -> int:
    """Cycles from one sampling of all lines to the next."""
    return 2 * -(-sum(line.width for line in chain_lines(geometry, adc)) // WAYS) + 1


def timing(geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART) -> FrontEndTiming:
    """What the core must wait for: the card's times, and two periods of the chain."""
    card = array_card.timing(geometry, clk_hz, adc)
    delay = 2 * chain_period(geometry, adc) * -(-(10**12) // clk_hz)
    return replace(
        card,
        settle_ps=card.settle_ps + delay,
        range_settle_ps=tuple(each + delay for each in card.range_settle_ps),
        switch_ps=card.switch_ps + delay,
    )


def plane_period_cycles(
    geometry: Geometry, clk_hz: int, tia_range: int = 0, adc: AdcPart = ad7606c.PART
) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane in a TIA range; the longest one bounds it."""
    steps = array_card.plane_period_cycles(geometry, clk_hz, tia_range, adc)
    period = chain_period(geometry, adc)
    return {
        **steps,
        PlaneStep.SETTLE: steps[PlaneStep.SETTLE] + 2 * period,
        PlaneStep.SWITCH: adgs1414d.update_cycles(clk_hz, period),
    }


def front_end_cycles(
    geometry: Geometry, clk_hz: int, adc: AdcPart = ad7606c.PART
) -> FrontEndCycles:
    """What the card's handshakes and settling take, for the cost model.

    Raises
    ------
    ValueError
        If the card is not for such a geometry, or not at such a clock.
    """
    _check_clock(clk_hz)
    update = adgs1414d.serial_timing(clk_hz, chain_period(geometry, adc))
    waits = timing(geometry, clk_hz, adc)
    return replace(
        array_card.front_end_cycles(geometry, clk_hz, adc),
        settle=settle_by_range(waits, clk_hz),
        load=adgs1414d.load_cycles(update),
        recover=adgs1414d.recover_cycles(update),
    )


def _check_clock(clk_hz: int) -> None:
    if clk_hz > CHAIN_CLK_MAX_HZ:
        raise ValueError(
            f"a clock of {clk_hz} Hz is too fast for the pin chain, "
            f"which takes {CHAIN_CLK_MAX_HZ} Hz"
        )


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
        _check_clock(clk_hz)
        self.lines = chain_lines(geometry, adc)
        init = sum(line.init << line.place for line in self.lines)
        self.chain = PinChain(sum(line.width for line in self.lines), WAYS, init)
        self.geometry = geometry
        self.clk_hz = clk_hz
        self.adc_part = adc
        self.card = ArrayCard(geometry, clk_hz, self.chain.period, adc)
        super().__init__(
            {
                **pins_signature(geometry, adc).members,
                "core": In(FrontEndSignature(geometry)),
                "timer": Out(self.card.timer.signature),
            }
        )

    def timing(self) -> FrontEndTiming:
        """What the core must wait for."""
        return timing(self.geometry, self.clk_hz, self.adc_part)

    def ceilings(self) -> Ceilings:
        """What the card may ever be asked to drive."""
        return self.card.ceilings()

    def plane_period_cycles(self) -> dict[PlaneStep, int]:
        """Cycles of each step that an MVM plane consists of; the longest one bounds it."""
        return plane_period_cycles(self.geometry, self.clk_hz, adc=self.adc_part)

    def cycles(self) -> FrontEndCycles:
        """What its handshakes and settling take, for the cost model."""
        return front_end_cycles(self.geometry, self.clk_hz, self.adc_part)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.card = card = self.card
        m.submodules.chain = chain = self.chain
        wiring.connect(m, wiring.flipped(self.core), card.core)
        wiring.connect(m, wiring.flipped(self.timer), card.timer)
        m.d.comb += [
            chain.lines.eq(Cat(getattr(card, line.name)[: line.width] for line in self.lines)),
            self.chain_clk.eq(chain.clk),
            self.chain_latch.eq(chain.latch),
            self.chain_data.eq(chain.data),
        ]
        for name, member in array_card.pins_signature(self.geometry, self.adc_part).members.items():
            if name not in self.signature.members:
                continue
            inside, outside = getattr(card, name), getattr(self, name)
            m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)
        return m
