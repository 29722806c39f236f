"""Driver of an AD5628 octal 12-bit voltage DAC, the part of Digilent's Pmod DA4.

"DS" is the AD5628/AD5648/AD5668 data sheet, Rev. G, p. 23 (frame, update at the 32nd
falling edge, early end of a frame) and Rev. F, front page; commands are those of the
Linux driver ad5064.c and of Analog Devices' own AD5628 driver. The sheet's timing table
was not at hand: where ``assumed`` stands, the numbers are those of the AD5686R, Rev. B,
Table 5 (2.7 V and above), a part with the same kind of interface and longer times.

The grade is AD5628-1: 1.25 V reference and a gain of two, 0 to 2.5 V. Its outputs are at
0 V from power-up on (DS), and the reference is off until it is switched on.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .spi import SerialClock, SerialTiming

CHANNELS = 8
CODE_BITS = 12
FRAME_BITS = 32

SCLK_MAX_HZ = 25_000_000
"""assumed: AD5686R, t1 = 40 ns; the AD5628 is sold as a 50 MHz part."""
SCLK_HIGH_PS = SCLK_LOW_PS = 20_000
"""assumed: AD5686R, t2 and t3."""
SYNC_TO_SCLK_PS = 20_000
"""assumed: AD5686R, t4."""
SCLK_TO_SYNC_PS = 10_000
"""assumed: AD5686R, t7."""
DIN_SETUP_PS = DIN_HOLD_PS = 5_000
"""assumed: AD5686R, t5 and t6."""
SYNC_HIGH_PS = 30_000
"""assumed: AD5686R, t8."""
POWER_UP_PS = 1_000_000_000
"""assumed: supply good to the first frame; the sheet gives no figure."""
REFERENCE_PS = 10_000_000_000
"""assumed: reference on to its final value with the capacitor that a board hangs on it."""
SETTLE_PS = 12_000_000
"""assumed: a full step to half an LSB of 16 bits, as the AD5754R's on the array card."""

FULL_SCALE_V = 2.5
"""0 V at code 0, 2.5 V / 4096 per code: 1.25 V reference, gain of two (DS, front page)."""
MID_CODE = 1 << CODE_BITS - 1
"""1.25 V: the card's 0 V."""


class Command(IntEnum):
    """Command field of a frame: Linux ad5064.c."""

    WRITE_UPDATE = 3
    POWER = 4
    RESET = 7
    REFERENCE = 8


ALL_CHANNELS = 15
"""Address of all eight channels: Linux ad5064.c, AD5064_ADDR_ALL_DAC."""
POWER_ALL = 0xFF
"""Normal operation (bits 9 and 8 zero) of all channels, in the lowest bits of a frame."""
REFERENCE_ON = 1
"""Lowest bit of a frame."""

frame_layout = data.StructLayout({"data": 20, "address": 4, "command": 4})
"""A frame without its four leading bits, which the part does not look at (DS, Figure 59)."""


def frame(command: Command, address: int = 0, value: int = 0) -> data.Const:
    """A frame; ``value`` is its lowest 20 bits."""
    return frame_layout.const({"command": command, "address": address, "data": value})


def code_field(code: int) -> int:
    """The lowest 20 bits of a write: 12 of the code, then eight that do not count."""
    return code << 8


CONFIGURATION = (
    frame(Command.RESET),
    frame(Command.REFERENCE, value=REFERENCE_ON),
    frame(Command.POWER, value=POWER_ALL),
    frame(Command.WRITE_UPDATE, ALL_CHANNELS, code_field(MID_CODE)),
)
"""From any state to all outputs at mid-scale."""


def serial_timing(clk_hz: int) -> SerialTiming:
    """Phases of a frame at ``clk_hz``."""
    half_ps = max(SCLK_HIGH_PS, SCLK_LOW_PS, DIN_SETUP_PS, DIN_HOLD_PS, SCLK_TO_SYNC_PS)
    return SerialTiming.of_part(clk_hz, SCLK_MAX_HZ, half_ps, SYNC_TO_SCLK_PS, SYNC_HIGH_PS)


def write_cycles(clk_hz: int) -> int:
    """Cycles from the acceptance of a frame to the acceptance of the next one."""
    return serial_timing(clk_hz).frame_cycles(FRAME_BITS)


class OctalDac(wiring.Component):
    """Writes frames.

    Parameters
    ----------
    clk_hz : int
        Clock that is really there.

    Members
    -------
    frame : In(stream of ``frame_layout``)
        A frame; its effect comes with its 32nd falling clock edge.
    idle : Out(1)
        The last frame has taken effect and the next one can start.
    sclk, sync_n, din : Out(1)
        Pins. The part takes data on falling edges; its clock idles high here.
    """

    def __init__(self, clk_hz: int) -> None:
        self.clock = SerialClock(serial_timing(clk_hz), FRAME_BITS, idle_level=1)
        super().__init__(
            {
                "frame": In(stream.Signature(frame_layout)),
                "idle": Out(1),
                "sclk": Out(1, init=1),
                "sync_n": Out(1, init=1),
                "din": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        shift = Signal(FRAME_BITS)
        m.d.comb += [
            self.sclk.eq(clock.sclk),
            self.sync_n.eq(~clock.select),
            self.din.eq(shift[-1]),
            self.idle.eq(clock.idle),
            self.frame.ready.eq(clock.idle),
            clock.start.eq(self.frame.valid),
            clock.bits.eq(FRAME_BITS),
        ]
        with m.If(clock.idle & self.frame.valid):
            m.d.sync += shift.eq(Cat(self.frame.payload.as_value(), 0, 0, 0, 0))
        with m.If(clock.trailing):
            m.d.sync += shift.eq(shift << 1)
        return m
