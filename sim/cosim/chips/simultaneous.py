"""Model of a bank of simultaneous-sampling converters: conversion, read-out, their times.

What the AD7606 and the AD7606C-16 have in common; each part's model adds what it takes to
be ready. The converted codes come from outside: ``sample`` toggles when the inputs are
held, and ``codes`` is taken at the end of the conversion.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe.adc_part import CHANNELS, CODE_BITS, LINES, READ_BITS, AdcPart
from ....hw.afe.interface import cycles_from_ps
from .watch import SKIPPED_BITS, Watch


class AdcFault(IntEnum):
    """What a bank of converters can complain about."""

    NONE = 0
    TIMING = 1
    """A minimum time was undercut, or data moved with its clock edge."""
    COUNT = 2
    """The select went high after a wrong number of clocks."""
    COMMAND = 3
    """A register frame that the part or its present mode does not take."""
    NOT_READY = 4
    """An access before a full reset and the set-up time after it."""
    NOT_CONFIGURED = 5
    """A conversion or a read-out before the card's settings have been made."""
    BUSY = 6
    """A conversion or an access during a conversion."""


@dataclass(frozen=True)
class Events:
    """What has happened at the pins, each high in the cycle of the change.

    Attributes
    ----------
    rise, fall:
        Edges of the serial clock while the select is low.
    select, deselect:
        Edges of the select.
    start:
        CONVST rises.
    reset_end:
        RESET falls.
    count:
        Falling clock edges since the select fell.
    converting:
        A conversion goes on.
    """

    rise: Value
    fall: Value
    select: Value
    deselect: Value
    start: Value
    reset_end: Value
    count: Signal
    converting: Value


def bank_members(chips: int) -> dict[str, wiring.Member]:
    """Pins and ports that every such bank has."""
    return {
        "convst": In(1),
        "reset": In(1),
        "cs_n": In(1, init=1),
        "sclk": In(1, init=1),
        "busy": Out(1),
        "dout": Out(LINES * chips),
        "codes": In(data.ArrayLayout(CODE_BITS, CHANNELS * chips)),
        "sample": Out(1),
        "skipped": In(SKIPPED_BITS),
        "configured": Out(1),
        "fault": Out(3),
    }


class BankModel(wiring.Component):
    """``chips`` parts that share all lines but their data outputs.

    Members
    -------
    convst, reset, cs_n, sclk : In(1)
        Pins.
    busy : Out(1)
        BUSY, high for the longest conversion time, rounded up to a cycle.
    dout : Out(2 * chips)
        Bit ``2 * i`` is DOUTA of chip ``i``, bit ``2 * i + 1`` its DOUTB.
    codes : In(ArrayLayout(16, 8 * chips))
        Two's-complement codes of the columns, taken when ``busy`` falls.
    sample : Out(1)
        Toggles when the inputs are held, one cycle after CONVST rises.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    configured : Out(1)
        The parts have the card's settings.
    fault : Out(AdcFault)
        Sticky.

    Parameters
    ----------
    chips, clk_hz : int
        Chips, and the clock on which their pins are seen.
    part : AdcPart
        Their numbers.
    late : bool
        A bit appears as late as the sheet allows, not in the cycle of its clock edge.
    more : dict
        Members of this part alone.

    Raises
    ------
    ValueError
        If a conversion is too short for the model.
    """

    def __init__(
        self, chips: int, clk_hz: int, part: AdcPart, late: bool, more: dict[str, wiring.Member]
    ) -> None:
        self.chips = chips
        self.clk_hz = clk_hz
        self.part = part
        self.late = late
        self.convert_cycles = cycles_from_ps(part.convert_ps, clk_hz)
        if self.convert_cycles < 2:
            raise ValueError(
                f"a conversion takes {self.convert_cycles} cycle at {clk_hz} Hz, "
                "the model needs 2 to be given its codes"
            )
        super().__init__({**bank_members(chips), **more})

    def bank(self, m: Module, watch: Watch) -> Events:
        """Build conversion, read-out and their checks."""
        part = self.part
        rise, fall = watch.edges(self.sclk, 1)
        deselect, select = watch.edges(self.cs_n, 1)
        start, stop = watch.edges(self.convst, 0)
        reset_on, reset_off = watch.edges(self.reset, 0)
        rise, fall = rise & ~self.cs_n, fall & ~self.cs_n
        soon = watch.too_soon

        # Conversion.
        left = Signal(range(self.convert_cycles))
        ended = Signal()
        held = Signal.like(self.codes)
        m.d.comb += self.busy.eq(start | (left != 0))
        m.d.sync += ended.eq(left == 1)
        with m.If(start):
            m.d.sync += [left.eq(self.convert_cycles - 1), self.sample.eq(~self.sample)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += held.eq(self.codes)

        # Read-out: the select puts out the first bit, rising edges the following ones.
        count = Signal(range(READ_BITS + 2))
        with m.If(select):
            m.d.sync += count.eq(0)
        with m.If(fall):
            m.d.sync += count.eq(Mux(count > READ_BITS, count, count + 1))
        msb = self._after(m, select, part.msb_ps, "msb")
        bit = self._after(m, rise, part.bit_ps, "bit") & ~self.cs_n
        open_n = Signal(init=1)
        m.d.sync += open_n.eq(Mux(self.cs_n, 1, Mux(msb, 0, open_n)))
        per_line = CHANNELS // LINES
        for line in range(LINES * self.chips):
            # The bit on the line is on top; zeros follow the last one.
            left_bits = Signal(READ_BITS, name=f"line{line}")
            shown = Signal(READ_BITS, name=f"shown{line}")
            loaded = Cat(held[line * per_line + k] for k in reversed(range(per_line)))
            present = Mux(select, loaded, left_bits)
            m.d.comb += shown.eq(Mux(bit, present << 1, present))
            with m.If(select | bit):
                m.d.sync += left_bits.eq(shown)
            m.d.comb += self.dout[line].eq(shown[-1] & ~self.cs_n & (msb | ~open_n))

        was_reset = Signal()
        brief = soon(reset_on, part.reset_ps, "reset")
        starting = soon(reset_off, part.setup_ps, "setup")
        with m.If(reset_off):
            m.d.sync += was_reset.eq(1)

        # Complaints.
        low, high = soon(fall, part.sclk_level_ps, "low"), soon(rise, part.sclk_level_ps, "high")
        watch.fail((rise & low) | (fall & high), AdcFault.TIMING)
        watch.fail(fall & soon(fall, 10**12 // part.sclk_max_hz, "period"), AdcFault.TIMING)
        watch.fail(fall & (select | soon(select, part.cs_to_sclk_ps, "lead")), AdcFault.TIMING)
        watch.fail(select & soon(deselect, part.cs_high_ps, "gap"), AdcFault.TIMING)
        watch.fail(stop & soon(start, part.convst_ps, "convst_high"), AdcFault.TIMING)
        watch.fail(start & soon(stop, part.convst_ps, "convst_low"), AdcFault.TIMING)
        watch.fail(start & soon(start, part.cycle_ps, "cycle"), AdcFault.TIMING)
        watch.fail(start & soon(ended, part.acquire_ps, "acquire"), AdcFault.TIMING)
        watch.fail(reset_off & brief, AdcFault.TIMING)
        converting = left != 0
        watch.fail((start | ~self.cs_n) & converting, AdcFault.BUSY)
        unready = ~was_reset | starting | self.reset
        watch.fail((start | select) & unready, AdcFault.NOT_READY)
        return Events(rise, fall, select, deselect, start, reset_off, count, converting)

    def _after(self, m: Module, event: Value, duration_ps: int, name: str) -> Value:
        """``event`` as many cycles later as still leave the data valid within its time."""
        cycles = cycles_from_ps(duration_ps, self.clk_hz) - 1 if self.late else 0
        for i in range(cycles):
            delayed = Signal(name=f"{name}_{i}")
            m.d.sync += delayed.eq(event)
            event = delayed
        return event
