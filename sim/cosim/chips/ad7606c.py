"""Model of a bank of AD7606C-16 converters in software mode over the serial interface.

Conversion and read-out are the family's; here are the registers. Data outputs react in
the cycle of the clock edge.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ....hw.afe import ad7606c as part
from ....hw.afe.adc_part import CHANNELS, READ_BITS
from .simultaneous import AdcFault, BankModel
from .watch import Watch


class AdcBankModel(BankModel):
    """``chips`` AD7606C-16 that share all lines but their data outputs.

    Members
    -------
    sdi : In(1)
        Register frames.
    sensor : Out(8)
        Channels whose multiplexer is on the temperature sensor: ``codes`` is to be that.

    The others, and what is raised, as of :class:`BankModel`; ``configured`` is high when the
    card's settings have been written and the parts are in ADC mode.
    """

    def __init__(self, chips: int, clk_hz: int) -> None:
        more = {"sdi": In(1), "sensor": Out(CHANNELS)}
        super().__init__(chips, clk_hz, part.PART, late=False, more=more)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        soon = watch.too_soon
        seen = self.bank(m, watch)
        select, deselect, fall, count = seen.select, seen.deselect, seen.fall, seen.count

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
        for register in (part.Register.ADC_MODE, *part.MUXES):
            del wanted[register]
        settings = Signal(data.StructLayout({register.name: 8 for register in wanted}))
        node = data.ArrayLayout(part.MUX_BITS, CHANNELS // len(part.MUXES))
        muxes = Signal(data.ArrayLayout(node, len(part.MUXES)))
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
                    for mux, register in enumerate(part.MUXES):
                        with m.Case(register), m.If(~reading):
                            m.d.sync += muxes[mux].eq(shift[: node.size])
                            # There are other nodes; the card has no use for them.
                            known = part.MUX_SENSOR << part.MUX_BITS | part.MUX_SENSOR
                            m.d.comb += bad_command.eq((shift[:8] & (0xFF ^ known)).any())
                    with m.Default():
                        m.d.comb += bad_command.eq(1)
                with m.If(reading):
                    m.d.sync += register_mode.eq(1)
        with m.Elif(frame_end & register_mode):
            m.d.sync += register_mode.eq(0)

        with m.If(seen.reset_end):
            m.d.sync += [register_mode.eq(0), settings.eq(0), muxes.eq(0)]
        right = Cat(settings[r.name] == value for r, value in wanted.items()).all()
        m.d.comb += self.configured.eq(right & ~register_mode)
        for channel in range(CHANNELS):
            place, which = divmod(channel, node.length)
            m.d.comb += self.sensor[channel].eq(muxes[place][which] == part.MUX_SENSOR)

        # Complaints.
        moved_before = Signal()
        m.d.sync += moved_before.eq(self.sdi)
        moved = (self.sdi ^ moved_before) & ~self.cs_n
        data_frame = ~register_mode & ~any_bit
        watch.fail(fall & moved, AdcFault.TIMING)
        watch.fail(fall & soon(moved, part.SDI_SETUP_PS, "sdi_setup"), AdcFault.TIMING)
        watch.fail(moved & soon(fall, part.SDI_HOLD_PS, "sdi_hold"), AdcFault.TIMING)
        used = seen.start | (deselect & data_frame)
        watch.fail(used & ~self.configured, AdcFault.NOT_CONFIGURED)
        expected = Mux(data_frame, READ_BITS, part.REGISTER_BITS)
        watch.fail(deselect & (count != expected), AdcFault.COUNT)
        watch.fail(bad_command, AdcFault.COMMAND)
        return m
