"""Model of an AD5628-1 octal DAC: its shift register, commands and every minimum time.

A frame takes effect with its 32nd falling clock edge. Codes are straight binary; an
output without reference or power is at 0 V.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad5628 as part
from .watch import SKIPPED_BITS, Watch


class OctalDacFault(IntEnum):
    """What the DAC can complain about."""

    NONE = 0
    TIMING = 1
    """A minimum time of the interface was undercut, or data moved with its clock edge."""
    COUNT = 2
    """SYNC went high after a wrong number of clocks; too few are no write."""
    COMMAND = 3
    """A command or address that the card does not use; nothing is written."""
    NOT_CONFIGURED = 4
    """A channel was written while the reference was off or outputs were powered down."""
    NOT_READY = 5
    """A frame too soon after power-up."""


class OctalDacModel(wiring.Component):
    """One AD5628.

    Members
    -------
    sclk, sync_n, din : In(1)
        Pins.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    codes : Out(ArrayLayout(12, 8))
        DAC registers.
    alive : Out(1)
        The reference is on and all outputs have power.
    fault : Out(OctalDacFault)
        Sticky.
    """

    def __init__(self, clk_hz: int) -> None:
        self.clk_hz = clk_hz
        super().__init__(
            {
                "sclk": In(1, init=1),
                "sync_n": In(1, init=1),
                "din": In(1),
                "skipped": In(SKIPPED_BITS),
                "codes": Out(data.ArrayLayout(part.CODE_BITS, part.CHANNELS)),
                "alive": Out(1),
                "fault": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        rise, fall = watch.edges(self.sclk, 1)
        deselect, select = watch.edges(self.sync_n, 1)
        rise, fall = rise & ~self.sync_n, fall & ~self.sync_n
        soon = watch.too_soon

        shift = Signal(part.FRAME_BITS)
        count = Signal(range(part.FRAME_BITS + 2))
        arrived = Signal(part.FRAME_BITS)
        m.d.comb += arrived.eq(Cat(self.din, shift[:-1]))
        with m.If(select):
            m.d.sync += count.eq(0)
        with m.If(fall):
            m.d.sync += [
                shift.eq(arrived),
                count.eq(Mux(count > part.FRAME_BITS, count, count + 1)),
            ]

        # The frame takes effect with the last edge.
        complete, known, writes = Signal(), Signal(), Signal()
        frame = data.View(part.frame_layout, arrived[: part.frame_layout.size])
        reference, power = Signal(), Signal(part.CHANNELS, init=part.POWER_ALL)
        registers = Signal(data.ArrayLayout(part.CODE_BITS, part.CHANNELS))
        m.d.comb += complete.eq(fall & (count == part.FRAME_BITS - 1))
        with m.If(complete), m.Switch(frame.command):
            with m.Case(part.Command.RESET):
                m.d.comb += known.eq(1)
                m.d.sync += [registers.eq(0), reference.eq(0), power.eq(part.POWER_ALL)]
            with m.Case(part.Command.REFERENCE):
                m.d.comb += known.eq(1)
                m.d.sync += reference.eq(frame.data[0])
            with m.Case(part.Command.POWER):
                m.d.comb += known.eq(1)
                on = frame.data[8:10] == 0
                mask = frame.data[: part.CHANNELS]
                m.d.sync += power.eq(Mux(on, power | mask, power & ~mask))
            with m.Case(part.Command.WRITE_UPDATE):
                everyone = frame.address == part.ALL_CHANNELS
                m.d.comb += [known.eq(everyone | (frame.address < part.CHANNELS)), writes.eq(1)]
                for i in range(part.CHANNELS):
                    with m.If((frame.address == i) | everyone):
                        m.d.sync += registers[i].eq(frame.data[8:])
        for i in range(part.CHANNELS):
            m.d.comb += self.codes[i].eq(Mux(reference & power[i], registers[i], 0))
        m.d.comb += self.alive.eq(reference & power.all())

        # Complaints.
        moved_before = Signal()
        m.d.sync += moved_before.eq(self.din)
        moved = (self.din ^ moved_before) & ~self.sync_n
        low, high = soon(fall, part.SCLK_LOW_PS, "low"), soon(rise, part.SCLK_HIGH_PS, "high")
        watch.fail((fall & moved) | (rise & low) | (fall & high), OctalDacFault.TIMING)
        period_ps = 10**12 // part.SCLK_MAX_HZ
        watch.fail(fall & soon(fall, period_ps, "period"), OctalDacFault.TIMING)
        watch.fail(fall & soon(moved, part.DIN_SETUP_PS, "setup"), OctalDacFault.TIMING)
        watch.fail(moved & soon(fall, part.DIN_HOLD_PS, "hold"), OctalDacFault.TIMING)
        lead = soon(select, part.SYNC_TO_SCLK_PS, "lead")
        watch.fail(fall & (select | lead), OctalDacFault.TIMING)
        watch.fail(deselect & soon(fall, part.SCLK_TO_SYNC_PS, "lag"), OctalDacFault.TIMING)
        watch.fail(select & soon(deselect, part.SYNC_HIGH_PS, "gap"), OctalDacFault.TIMING)
        watch.fail(deselect & (count != part.FRAME_BITS), OctalDacFault.COUNT)
        watch.fail(complete & ~known, OctalDacFault.COMMAND)
        watch.fail(writes & ~self.alive, OctalDacFault.NOT_CONFIGURED)
        # Never restarted, but armed: it runs from reset.
        starting = soon(Signal(name="never"), part.POWER_UP_PS, "power_up", armed=True)
        watch.fail(select & starting, OctalDacFault.NOT_READY)
        return m
