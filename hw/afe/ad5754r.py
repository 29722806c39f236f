"""Driver of an AD5754R quad 16-bit voltage DAC.

Facts marked "DS" are from the AD5724R/AD5734R/AD5754R data sheet's front page;
registers and bits are those of Analog Devices' own no-OS driver
(drivers/dac/ad5754r/ad5754r.h). Where only ``assumed`` stands, the table was not
at hand: the number is the family's usual one, to be checked before a board is
built. The card straps BIN/2sCOMP high: codes are offset binary, 0x8000 is 0 V.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import cycles_from_ps
from .power import Power
from .spi import SerialClock, SerialTiming, constant_bit

CHANNELS = 4
FRAME_BITS = 24

SCLK_MAX_HZ = 30_000_000
"""DS: "a serial interface that operates at clock rates up to 30 MHz"."""
SCLK_HIGH_PS = SCLK_LOW_PS = 13_000
"""assumed: AD5390 data sheet Rev. E, Table 6, t2 and t3, same interface, same 30 MHz."""
SYNC_TO_SCLK_PS = 13_000
"""assumed: AD5390 data sheet Rev. E, Table 6, t4."""
SCLK_TO_SYNC_PS = 13_000
"""assumed: AD5390 data sheet Rev. E, Table 6, t5."""
SDIN_SETUP_PS = SDIN_HOLD_PS = 7_000
"""assumed: above the AD5390's 5 ns and 4.5 ns (Rev. E, Table 6, t8 and t9)."""
SYNC_HIGH_PS = 100_000
"""assumed: twice the AD5390's longest (50 ns, readback); the DAC is not in a hurry."""
SYNC_TO_LDAC_PS = 130_000
"""assumed: users measured that LDAC is ignored up to about 60 ns after a write; twice that."""
LDAC_LOW_PS = 20_000
"""assumed: AD5390 data sheet Rev. E, Table 6, t13."""
LDAC_TO_SYNC_PS = 20_000
"""assumed: as the width of the LDAC pulse."""
CLEAR_LOW_PS = 20_000
"""assumed: AD5390 data sheet Rev. E, Table 6, t18."""
POWER_UP_PS = 10_000_000
"""assumed: outputs powered up to the first code, the time that an output step takes."""
SETTLE_PS = 12_000_000
"""assumed: DS gives 10 us typical; 20 % above it."""
POWER = Power(
    watts=0.30,
    origin="assumed: 2.5 mA a channel from each of +-15 V, unloaded, the family's usual current",
)

FULL_SCALE_V = 10.0
"""The +-10 V range: -10 V at code 0, 20 V / 65536 per code."""
ZERO_CODE = 0x8000


class Register(IntEnum):
    """Register field of a frame: no-OS ad5754r.h, "Register Map"."""

    DAC = 0
    RANGE = 1
    POWER = 2
    CONTROL = 3


ALL_CHANNELS = 4
"""Address of all four channels: no-OS ad5754r.h, AD5754R_DAC_CH_ALL_ADDR."""
CONTROL_SETTINGS = 1
"""Address of the settings in the control register."""
CONTROL_VALUE = 0b1101
"""Thermal shutdown and current clamp on, clear to 0 V, SDO off (no line back)."""
RANGE_10V = 4
"""no-OS ad5754r.h, AD5754R_SPAN_M10V_TO_10V."""
POWER_VALUE = 0b1_1111
"""Reference (bit 4) and all channels (bits 3 to 0) on."""


def serial_timing(clk_hz: int) -> SerialTiming:
    """Phases of a frame at ``clk_hz``; the gap also covers the wait before LDAC."""
    half_ps = max(SCLK_HIGH_PS, SCLK_LOW_PS, SDIN_SETUP_PS, SDIN_HOLD_PS, SCLK_TO_SYNC_PS)
    gap_ps = max(SYNC_HIGH_PS, SYNC_TO_LDAC_PS)
    return SerialTiming.of_part(clk_hz, SCLK_MAX_HZ, half_ps, SYNC_TO_SCLK_PS, gap_ps)


def ldac_cycles(clk_hz: int) -> int:
    """Cycles of an LDAC pulse."""
    return max(1, cycles_from_ps(max(LDAC_LOW_PS, LDAC_TO_SYNC_PS), clk_hz))


def write_cycles(clk_hz: int) -> int:
    """Cycles from the acceptance of a frame until the part has taken it over: LDAC included."""
    return serial_timing(clk_hz).frame_cycles(FRAME_BITS) + ldac_cycles(clk_hz) + 1


frame_layout = data.StructLayout({"data": 16, "address": 3, "register": 3})
"""A register write; the read bit and the zero above it are added by the driver."""


def register_frame(register: Register, address: int, value: int) -> data.Const:
    """A write of ``value`` to a register."""
    return frame_layout.const({"register": register, "address": address, "data": value})


CONFIGURATION = (
    register_frame(Register.CONTROL, CONTROL_SETTINGS, CONTROL_VALUE),
    register_frame(Register.RANGE, ALL_CHANNELS, RANGE_10V),
    register_frame(Register.POWER, 0, POWER_VALUE),
    register_frame(Register.DAC, ALL_CHANNELS, ZERO_CODE),
)
"""Writes that set the part up, the first three while CLR keeps its outputs at 0 V; the last
one brings all channels to 0 V."""

write_layout = data.StructLayout({"code": 16, "channel": 2, "setup": range(len(CONFIGURATION) + 1)})
"""A write: frame ``setup - 1`` of the configuration, or with 0 there a code to a channel."""
CODE_BITS = 18
"""Of a write of a code, those that are not always 0: they are the frame's lowest."""
FIXED = (0, *(frame.as_bits() << 1 for frame in CONFIGURATION))
"""By ``setup``: the bit that follows, by the bits after the one that is out."""


class QuadDac(wiring.Component):
    """Writes registers; every write is followed by an LDAC pulse.

    Members
    -------
    frame : In(stream of ``write_layout``)
        A write.
    idle : Out(1)
        The last write has been taken over by the part.
    sclk, sync_n, sdin, ldac_n : Out(1)
        Pins. The part takes data on falling edges (its clock idles high here).
    """

    def __init__(self, clk_hz: int) -> None:
        self.ldac_cycles = ldac_cycles(clk_hz)
        self.clock = SerialClock(serial_timing(clk_hz), FRAME_BITS, idle_level=1)
        # Internal state, named for proofs.
        self.shift = Signal(CODE_BITS)
        self.setup = Signal(range(len(CONFIGURATION) + 1))
        super().__init__(
            {
                "frame": In(stream.Signature(write_layout)),
                "idle": Out(1),
                "sclk": Out(1, init=1),
                "sync_n": Out(1, init=1),
                "sdin": Out(1),
                "ldac_n": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        shift, write = self.shift, self.frame.payload
        wait = Signal(range(self.ldac_cycles))
        sending = Signal()
        m.d.comb += [
            self.sclk.eq(clock.sclk),
            self.sync_n.eq(~clock.select),
            clock.bits.eq(FRAME_BITS),
            self.idle.eq(~sending),
            self.frame.ready.eq(~sending),
            clock.start.eq(~sending & self.frame.valid),
        ]
        # The first bit of every frame is 0 and already on the line.
        low = Signal()
        m.d.comb += low.eq(clock.left <= CODE_BITS)
        with m.If(clock.trailing):
            fixed = constant_bit(FIXED, self.setup, clock.left)
            m.d.sync += self.sdin.eq(fixed | (low & shift[-1]))
        with m.If(clock.trailing & low):
            m.d.sync += shift.eq(shift << 1)
        # Taken all the time while there is none: the guard's checks are behind ``valid``.
        with m.If(~sending):
            m.d.sync += [
                self.setup.eq(write.setup),
                shift.eq(Mux(write.setup == 0, Cat(write.code, write.channel), 0)),
            ]
        with m.If(clock.start):
            m.d.sync += sending.eq(1)
        with m.If(sending & clock.idle):
            with m.If(self.ldac_n):
                m.d.sync += [self.ldac_n.eq(0), wait.eq(self.ldac_cycles - 1)]
            with m.Elif(wait != 0):
                m.d.sync += wait.eq(wait - 1)
            with m.Else():
                m.d.sync += [self.ldac_n.eq(1), sending.eq(0)]
        return m
