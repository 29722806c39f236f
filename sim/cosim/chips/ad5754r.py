"""Model of an AD5754R quad DAC, with its codes in offset binary.

Codes are taken over on the falling edge of LDAC, as the card drives it; holding
LDAC low is not modelled.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad5754r as part
from .watch import SKIPPED_BITS, Watch


class DacFault(IntEnum):
    """What the DAC can complain about."""

    NONE = 0
    TIMING = 1
    """A minimum time of the interface was undercut, or data moved with its clock edge."""
    COUNT = 2
    """SYNC went high after a wrong number of clocks; the write is refused."""
    COMMAND = 3
    """A read, or a register or address that does not exist; the write is refused."""
    NOT_CONFIGURED = 4
    """A code was loaded before ranges, reference and outputs were set up."""
    NOT_READY = 5
    """A code was loaded too soon after power-up of the outputs."""


class DacModel(wiring.Component):
    """One AD5754R.

    Members
    -------
    sclk, sync_n, sdin, ldac_n, clr_n : In(1)
        Pins.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    codes : Out(ArrayLayout(16, 4))
        DAC registers; 0 V (0x8000) while an output is not powered.
    fault : Out(DacFault)
        Sticky.
    """

    def __init__(self, clk_hz: int) -> None:
        self.clk_hz = clk_hz
        super().__init__(
            {
                "sclk": In(1, init=1),
                "sync_n": In(1, init=1),
                "sdin": In(1),
                "ldac_n": In(1, init=1),
                "clr_n": In(1),
                "skipped": In(SKIPPED_BITS),
                "codes": Out(data.ArrayLayout(16, part.CHANNELS)),
                "fault": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        rise, fall = watch.edges(self.sclk, 1)
        deselect, select = watch.edges(self.sync_n, 1)
        ldac_up, ldac_down = watch.edges(self.ldac_n, 1)
        clear_end, clear = watch.edges(self.clr_n, 1)
        rise, fall = rise & ~self.sync_n, fall & ~self.sync_n

        shift = Signal(part.FRAME_BITS)
        count = Signal(range(part.FRAME_BITS + 2))
        with m.If(select):
            m.d.sync += count.eq(0)
        with m.If(fall):
            m.d.sync += [
                shift.eq(Cat(self.sdin, shift[:-1])),
                count.eq(Mux(count > part.FRAME_BITS, count, count + 1)),
            ]

        frame = data.View(part.frame_layout, shift[: part.FRAME_BITS - 2])
        zero, read = shift[-2], shift[-1]
        complete = deselect & (count == part.FRAME_BITS)
        zeros = [part.ZERO_CODE] * part.CHANNELS
        inputs = Signal(data.ArrayLayout(16, part.CHANNELS), init=zeros)
        ranges = Signal(data.ArrayLayout(3, part.CHANNELS))
        power = Signal(part.CHANNELS + 1)
        known, powering = Signal(), Signal()
        with m.If(complete & ~zero & ~read):
            everyone = frame.address == part.ALL_CHANNELS
            with m.Switch(frame.register):
                with m.Case(part.Register.DAC, part.Register.RANGE):
                    m.d.comb += known.eq(frame.address <= part.ALL_CHANNELS)
                    for i in range(part.CHANNELS):
                        with m.If((frame.address == i) | everyone):
                            with m.If(frame.register == part.Register.DAC):
                                m.d.sync += inputs[i].eq(frame.data)
                            with m.Else():
                                m.d.sync += ranges[i].eq(frame.data)
                with m.Case(part.Register.POWER):
                    m.d.comb += [known.eq(frame.address == 0), powering.eq(1)]
                    m.d.sync += power.eq(frame.data)
                with m.Case(part.Register.CONTROL):
                    m.d.comb += known.eq(
                        (frame.address == part.CONTROL_SETTINGS)
                        & (frame.data == part.CONTROL_VALUE)
                    )

        # DAC registers, and what leaves the part.
        codes = Signal(data.ArrayLayout(16, part.CHANNELS), init=zeros)
        written = Signal()
        with m.If(complete):
            m.d.sync += written.eq(frame.register == part.Register.DAC)
        with m.If(~self.clr_n):
            m.d.sync += codes.eq(data.ArrayLayout(16, part.CHANNELS).const(zeros))
        with m.Elif(ldac_down):
            m.d.sync += codes.eq(inputs)
        for i in range(part.CHANNELS):
            m.d.comb += self.codes[i].eq(Mux(power[i], codes[i], part.ZERO_CODE))

        # Complaints.
        moved_before = Signal()
        m.d.sync += moved_before.eq(self.sdin)
        moved = (self.sdin ^ moved_before) & ~self.sync_n
        soon = watch.too_soon
        low, high = soon(fall, part.SCLK_LOW_PS, "low"), soon(rise, part.SCLK_HIGH_PS, "high")
        watch.fail((fall & moved) | (rise & low) | (fall & high), DacFault.TIMING)
        period_ps = 10**12 // part.SCLK_MAX_HZ
        watch.fail(fall & soon(fall, period_ps, "period"), DacFault.TIMING)
        watch.fail(fall & soon(moved, part.SDIN_SETUP_PS, "setup"), DacFault.TIMING)
        watch.fail(moved & soon(fall, part.SDIN_HOLD_PS, "hold"), DacFault.TIMING)
        watch.fail(fall & (select | soon(select, part.SYNC_TO_SCLK_PS, "lead")), DacFault.TIMING)
        watch.fail(deselect & soon(fall, part.SCLK_TO_SYNC_PS, "lag"), DacFault.TIMING)
        watch.fail(select & soon(deselect, part.SYNC_HIGH_PS, "gap"), DacFault.TIMING)
        early = soon(deselect, part.SYNC_TO_LDAC_PS, "ldac")
        watch.fail(ldac_down & (deselect | early | ~self.sync_n), DacFault.TIMING)
        watch.fail(ldac_up & soon(ldac_down, part.LDAC_LOW_PS, "ldac_low"), DacFault.TIMING)
        watch.fail(select & soon(ldac_down, part.LDAC_TO_SYNC_PS, "ldac_sync"), DacFault.TIMING)
        watch.fail(clear_end & soon(clear, part.CLEAR_LOW_PS, "clear_low"), DacFault.TIMING)
        watch.fail(deselect & (count != part.FRAME_BITS), DacFault.COUNT)
        watch.fail(complete & ~known, DacFault.COMMAND)
        ranged = Cat(ranges[i] == part.RANGE_10V for i in range(part.CHANNELS)).all()
        ready = ranged & power.all()
        watch.fail(ldac_down & written & ~ready, DacFault.NOT_CONFIGURED)
        starting = soon(powering, part.POWER_UP_PS, "power_up")
        watch.fail(ldac_down & written & starting, DacFault.NOT_READY)
        return m
