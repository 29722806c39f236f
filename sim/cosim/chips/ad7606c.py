"""Model of a bank of AD7606C-16 converters in software mode over the serial interface.

Data outputs react in the cycle of the clock edge. The converted codes come from
outside: ``sample`` toggles when the inputs are held, and ``codes`` is taken at
the end of the conversion.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad7606c as part
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
    """A conversion or a read-out before the card's settings have been written."""
    BUSY = 6
    """A conversion or an access during a conversion."""


class AdcBankModel(wiring.Component):
    """``chips`` AD7606C-16 that share all lines but their data outputs.

    Members
    -------
    convst, reset, cs_n, sclk, sdi : In(1)
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
        The card's settings have been written and the parts are in ADC mode.
    fault : Out(AdcFault)
        Sticky.
    """

    def __init__(self, chips: int, clk_hz: int) -> None:
        self.chips = chips
        self.clk_hz = clk_hz
        self.convert_cycles = cycles_from_ps(part.CONVERT_PS, clk_hz)
        if self.convert_cycles < 2:
            raise ValueError(
                f"a conversion takes {self.convert_cycles} cycle at {clk_hz} Hz, "
                "the model needs 2 to be given its codes"
            )
        super().__init__(
            {
                "convst": In(1),
                "reset": In(1),
                "cs_n": In(1, init=1),
                "sclk": In(1, init=1),
                "sdi": In(1),
                "busy": Out(1),
                "dout": Out(part.LINES * chips),
                "codes": In(data.ArrayLayout(part.CODE_BITS, part.CHANNELS * chips)),
                "sample": Out(1),
                "skipped": In(SKIPPED_BITS),
                "configured": Out(1),
                "fault": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        rise, fall = watch.edges(self.sclk, 1)
        deselect, select = watch.edges(self.cs_n, 1)
        start, stop = watch.edges(self.convst, 0)
        reset_on, reset_off = watch.edges(self.reset, 0)
        rise, fall = rise & ~self.cs_n, fall & ~self.cs_n
        soon = watch.too_soon

        # Conversion.
        left = Signal(range(self.convert_cycles))
        held = Signal.like(self.codes)
        m.d.comb += self.busy.eq(start | (left != 0))
        with m.If(start):
            m.d.sync += [left.eq(self.convert_cycles - 1), self.sample.eq(~self.sample)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += held.eq(self.codes)

        # Read-out: the select puts out the first bit, rising edges the following ones.
        count = Signal(range(part.READ_BITS + 2))
        with m.If(select):
            m.d.sync += count.eq(0)
        with m.If(fall):
            m.d.sync += count.eq(Mux(count > part.READ_BITS, count, count + 1))
        per_line = part.CHANNELS // part.LINES
        for line in range(part.LINES * self.chips):
            # The bit on the line is on top; zeros follow the last one.
            left_bits = Signal(part.READ_BITS, name=f"line{line}")
            shown = Signal(part.READ_BITS, name=f"shown{line}")
            loaded = Cat(held[line * per_line + k] for k in reversed(range(per_line)))
            present = Mux(select, loaded, left_bits)
            m.d.comb += shown.eq(Mux(rise, present << 1, present))
            with m.If(select | rise):
                m.d.sync += left_bits.eq(shown)
            m.d.comb += self.dout[line].eq(shown[-1] & ~self.cs_n)

        # Registers.
        shift = Signal(part.REGISTER_BITS)
        any_bit = Signal()
        with m.If(select):
            m.d.sync += any_bit.eq(0)
        with m.If(fall):
            m.d.sync += [
                shift.eq(Cat(self.sdi, shift[:-1])),
                any_bit.eq(any_bit | self.sdi),
            ]
        wanted = {part.Register(f >> 8 & 0x3F): f & 0xFF for f in part.CONFIGURATION}
        del wanted[part.Register.ADC_MODE]
        settings = Signal(data.StructLayout({register.name: 8 for register in wanted}))
        register_mode = Signal()
        frame_end = deselect & (count == part.REGISTER_BITS)
        reading = shift[14]
        bad_command = Signal()
        with m.If(frame_end & any_bit):
            with m.If(shift[15] | ~(reading | register_mode)):
                m.d.comb += bad_command.eq(1)
            with m.Else():
                with m.Switch(shift[8:14]):
                    for register in wanted:
                        with m.Case(register), m.If(~reading):
                            m.d.sync += settings[register.name].eq(shift[:8])
                    with m.Default():
                        m.d.comb += bad_command.eq(1)
                with m.If(reading):
                    m.d.sync += register_mode.eq(1)
        with m.Elif(frame_end & register_mode):
            m.d.sync += register_mode.eq(0)

        # Reset.
        was_reset = Signal()
        brief = soon(reset_on, part.RESET_PS, "reset")
        starting = soon(reset_off, part.SETUP_PS, "setup")
        with m.If(reset_off):
            m.d.sync += [was_reset.eq(1), register_mode.eq(0), settings.eq(0)]
        right = Cat(settings[r.name] == value for r, value in wanted.items()).all()
        m.d.comb += self.configured.eq(right & ~register_mode)

        # Complaints.
        moved_before = Signal()
        m.d.sync += moved_before.eq(self.sdi)
        moved = (self.sdi ^ moved_before) & ~self.cs_n
        data_frame = ~register_mode & ~any_bit
        low, high = soon(fall, part.SCLK_LOW_PS, "low"), soon(rise, part.SCLK_HIGH_PS, "high")
        watch.fail((fall & moved) | (rise & low) | (fall & high), AdcFault.TIMING)
        period_ps = 10**12 // part.SCLK_MAX_HZ
        watch.fail(fall & soon(fall, period_ps, "period"), AdcFault.TIMING)
        watch.fail(fall & soon(moved, part.SDI_SETUP_PS, "sdi_setup"), AdcFault.TIMING)
        watch.fail(moved & soon(fall, part.SDI_HOLD_PS, "sdi_hold"), AdcFault.TIMING)
        watch.fail(fall & (select | soon(select, part.CS_TO_SCLK_PS, "lead")), AdcFault.TIMING)
        watch.fail(select & soon(deselect, part.CS_HIGH_PS, "gap"), AdcFault.TIMING)
        watch.fail(stop & soon(start, part.CONVST_HIGH_PS, "convst_high"), AdcFault.TIMING)
        watch.fail(start & soon(stop, part.CONVST_LOW_PS, "convst_low"), AdcFault.TIMING)
        watch.fail(start & soon(start, part.CYCLE_PS, "cycle"), AdcFault.TIMING)
        watch.fail(reset_off & brief, AdcFault.TIMING)
        converting = left != 0
        watch.fail((start | ~self.cs_n) & converting, AdcFault.BUSY)
        unready = ~was_reset | starting | self.reset
        watch.fail((start | select) & unready, AdcFault.NOT_READY)
        watch.fail((start | (deselect & data_frame)) & ~self.configured, AdcFault.NOT_CONFIGURED)
        expected = Mux(data_frame, part.READ_BITS, part.REGISTER_BITS)
        watch.fail(deselect & (count != expected), AdcFault.COUNT)
        watch.fail(bad_command, AdcFault.COMMAND)
        return m
