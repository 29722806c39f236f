"""Model of a bank of AD7476A converters that share select and clock.

A bit appears on its data line as late as the sheet allows: a driver that takes it
sooner reads the one before. The sampled codes come from outside: ``sample`` toggles when
the inputs are held, and ``codes`` is taken with the third falling clock edge.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad7476a as part
from .watch import SKIPPED_BITS, Watch

TAKE_EDGE = 3
"""Falling edge with which the codes are taken: before the first bit that depends on them."""


class SmallAdcFault(IntEnum):
    """What a bank of AD7476A can complain about."""

    NONE = 0
    TIMING = 1
    """A minimum time was undercut, or the serial clock is too slow."""
    COUNT = 2
    """The select went high after other than 16 clocks: the conversion is lost, or the part
    has gone into power-down."""
    ACQUIRE = 3
    """The input was sampled before it had been acquired, or the line was not yet quiet."""
    NOT_READY = 4
    """A conversion too soon after power-up."""


class SmallAdcBankModel(wiring.Component):
    """``chips`` AD7476A.

    Members
    -------
    cs_n, sclk : In(1)
        Pins.
    sdata : Out(chips)
        Data line of each part; low where the real one is free.
    codes : In(ArrayLayout(12, chips))
        Straight binary codes of the sampled inputs.
    sample : Out(1)
        Toggles when the inputs are held, one cycle after the select falls.
    awake : Out(1)
        A whole conversion has been made since power-up.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    fault : Out(SmallAdcFault)
        Sticky.
    """

    def __init__(self, chips: int, clk_hz: int) -> None:
        self.chips = chips
        self.clk_hz = clk_hz
        super().__init__(
            {
                "cs_n": In(1, init=1),
                "sclk": In(1, init=1),
                "sdata": Out(chips),
                "codes": In(data.ArrayLayout(part.CODE_BITS, chips)),
                "sample": Out(1),
                "awake": Out(1),
                "skipped": In(SKIPPED_BITS),
                "fault": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        rise, fall = watch.edges(self.sclk, 1)
        deselect, select = watch.edges(self.cs_n, 1)
        rise, fall = rise & ~self.cs_n, fall & ~self.cs_n
        soon = watch.too_soon
        n = self.chips

        count = Signal(range(part.FRAME_BITS + 2))
        held = Signal(part.CODE_BITS * n)
        with m.If(select):
            m.d.sync += [count.eq(0), self.sample.eq(~self.sample)]
        with m.If(fall):
            m.d.sync += count.eq(Mux(count > part.FRAME_BITS, count, count + 1))
            with m.If(count == TAKE_EDGE - 1):
                m.d.sync += held.eq(self.codes.as_value())
        with m.If(deselect & (count == part.FRAME_BITS)):
            m.d.sync += self.awake.eq(1)

        # Each falling edge puts the next bit out, after the longest access time.
        shown = Signal(range(part.FRAME_BITS + 1))
        late = watch.later(fall, part.SCLK_TO_DATA_PS, "fall")
        with m.If(select):
            m.d.sync += shown.eq(0)
        with m.Elif(late & ~self.cs_n):
            m.d.sync += shown.eq(Mux(shown == part.FRAME_BITS, shown, shown + 1))
        bits = Cat(
            Const(0, part.LEADING_ZEROS * n),
            (
                held[chip * part.CODE_BITS + bit]
                for bit in reversed(range(part.CODE_BITS))
                for chip in range(n)
            ),
            Const(0, n),
        )
        with m.If(~self.cs_n & ~select):
            m.d.comb += self.sdata.eq(bits.word_select(shown, n))

        # Complaints.
        watch.serial_clock(part, rise, fall, select, deselect, self.cs_n, SmallAdcFault.TIMING)
        watch.fail(deselect & (count != part.FRAME_BITS), SmallAdcFault.COUNT)
        released = fall & (count == part.FRAME_BITS - 1)
        quiet = soon(released, part.RELINQUISH_PS + part.QUIET_PS, "quiet")
        tracking = rise & (count == part.HOLD_EDGES)
        acquiring = soon(tracking, part.ACQUIRE_PS, "acquire")
        watch.fail(select & (quiet | acquiring), SmallAdcFault.ACQUIRE)
        starting = soon(Signal(name="never"), part.POWER_UP_PS, "power_up", armed=True)
        watch.fail(select & starting, SmallAdcFault.NOT_READY)
        return m
