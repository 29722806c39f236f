"""Driver of banks of ADGS1414D octal switches.

Facts from the ADGS1414D data sheet, Rev. 0 ("DS" below): SPI mode 0, 16-bit
frames (write bit 0, seven address bits, eight data bits), 24 bits with a CRC-8
once that is enabled. A register is written at the last rising edge of the
clock, not when the select goes high (DS, "Address Mode" and "Cyclic Redundancy
Check Error Detection"). An update is therefore held loaded one edge before its
end, and that one edge lets the switches of all chips of a bank move at once.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .spi import SerialClock, SerialTiming

SWITCHES = 8

SCLK_MAX_HZ = 50_000_000
"""DS, "Theory of Operation"; t1 = 20 ns in DS Table 6."""
SCLK_HIGH_PS = SCLK_LOW_PS = 8_000
"""DS Table 6, t2 and t3."""
CS_TO_SCLK_PS = 10_000
"""Select low to active edge: DS Table 6, t4."""
SDI_SETUP_PS = 6_000
"""DS Table 6, t5."""
SDI_HOLD_PS = 8_000
"""DS Table 6, t6."""
SCLK_TO_CS_PS = 10_000
"""Active edge to select high: DS Table 6, t7."""
CS_HIGH_PS = 20_000
"""Select high between frames: DS Table 6, t11."""
RESET_PS = 120_000_000
"""Power-up or reset to the first frame: DS, "Power-On Reset"."""
T_ON_PS = 485_000
"""Turn-on time, worst case up to 125 C, +-15 V: DS Table 1. Turn-off is faster (225 ns),
and break before make is guaranteed (t_D >= 170 ns)."""
R_ON_OHM = 1.5
"""Typical, +-15 V, 25 C: DS Table 1 (2.6 ohm at most)."""

CRC_POLYNOMIAL = 0x07
"""x^8 + x^2 + x + 1, seed 0, over the 16 bits before it: DS, "Cyclic Redundancy Check"."""
FRAME_BITS = 16
CRC_FRAME_BITS = 24


class Register(IntEnum):
    """Registers that the card writes: DS, "Register Details"."""

    SW_DATA = 0x01
    ERR_CONFIG = 0x02
    SOFT_RESETB = 0x0B


ERR_CONFIG_ALL = 0b111
"""Address, clock-count and CRC checks on: DS Table 14."""
SOFT_RESET = (0xA3, 0x05)
"""Written one after the other to SOFT_RESETB: DS, "Software Reset"."""


def crc_step(crc: Value, bits: Value, feeding: Value | int = 1) -> Value:
    """One step of the chips' CRCs, bit-sliced: bit ``j`` of all chips is slice ``j``.

    Parameters
    ----------
    crc : Value, 8 * chips bits
        Present remainders.
    bits : Value, chips bits
        The next bit of each chip.
    feeding : Value, 1 bit
        When low, the remainders are shifted out instead.
    """
    n = len(bits)
    feedback = Mux(feeding, crc[7 * n :] ^ bits, 0)
    taps = [feedback if CRC_POLYNOMIAL >> j & 1 else Const(0, n) for j in range(8)]
    return Cat(Const(0, n), crc[: 7 * n]) ^ Cat(*taps)


def serial_timing(clk_hz: int, edge_cycles: int = 1) -> SerialTiming:
    """Phases of a frame at ``clk_hz``, each at least ``edge_cycles`` long."""
    half_ps = max(SCLK_HIGH_PS, SCLK_LOW_PS, SDI_SETUP_PS, SDI_HOLD_PS, SCLK_TO_CS_PS)
    fastest = SerialTiming.of_part(clk_hz, SCLK_MAX_HZ, half_ps, CS_TO_SCLK_PS, CS_HIGH_PS)
    return SerialTiming(
        half=max(fastest.half, edge_cycles),
        lead=max(fastest.lead, edge_cycles),
        gap=max(fastest.gap, edge_cycles),
    )


def update_cycles(clk_hz: int, edge_cycles: int = 1) -> int:
    """Cycles of a switch update whose latch comes at once."""
    return serial_timing(clk_hz, edge_cycles).frame_cycles(CRC_FRAME_BITS)


def frame_layout(groups: int, chips: int) -> data.StructLayout:
    """One frame: groups addressed, register, data of each chip, and whether it has a CRC."""
    return data.StructLayout(
        {
            "groups": groups,
            "register": 7,
            "data": data.ArrayLayout(SWITCHES, chips),
            "crc": 1,
        }
    )


class SwitchBanks(wiring.Component):
    """Writes registers of groups of chips that share clock and data lines.

    Parameters
    ----------
    groups : int
        Groups, each with its own select.
    chips : int
        Data lines: chips of the largest group.
    clk_hz : int
        Clock that is really there.
    edge_cycles : int
        Shortest time between two changes of a line, where the lines need longer than
        the chips.

    Members
    -------
    frame : In(stream of :func:`frame_layout`)
        A register write.
    loaded, latch : Out(1), In(1)
        The write is complete but for its last edge; ``latch`` makes that edge.
    moving : Out(1)
        Bits or guard times are running (not while waiting for ``latch``).
    sclk, cs_n, sdi : Out
        Pins.
    """

    def __init__(self, groups: int, chips: int, clk_hz: int, edge_cycles: int = 1) -> None:
        self.groups = groups
        self.chips = chips
        timing = serial_timing(clk_hz, edge_cycles)
        self.clock = SerialClock(timing, CRC_FRAME_BITS, idle_level=0)
        super().__init__(
            {
                "frame": In(stream.Signature(frame_layout(groups, chips))),
                "loaded": Out(1),
                "latch": In(1),
                "moving": Out(1),
                "sclk": Out(1),
                "cs_n": Out(groups, init=(1 << groups) - 1),
                "sdi": Out(chips),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        payload = self.frame.payload
        n = self.chips
        command = Signal(8)
        # Bit-sliced: the same bit of every chip lies side by side, the first one out on top.
        words = Signal(SWITCHES * n)
        crc = Signal(8 * n)
        position = Signal(range(CRC_FRAME_BITS))

        m.d.comb += [
            self.sclk.eq(clock.sclk),
            self.frame.ready.eq(clock.idle),
            clock.start.eq(self.frame.valid),
            clock.bits.eq(Mux(payload.crc, CRC_FRAME_BITS, FRAME_BITS)),
            clock.hold.eq(~self.latch),
            self.loaded.eq(clock.held),
            self.moving.eq(~clock.idle & ~clock.held),
        ]
        with m.If(clock.idle & clock.start):
            m.d.sync += [
                self.cs_n.eq(~payload.groups),
                # The first bit, "write", is 0 and already on the lines.
                command.eq(Cat(0, payload.register)),
                words.eq(Cat(payload.data[i][j] for j in range(SWITCHES) for i in range(n))),
                crc.eq(0),
                position.eq(0),
            ]
        with m.If(clock.release):
            m.d.sync += self.cs_n.eq(-1)

        following = Signal.like(crc)
        m.d.comb += following.eq(crc_step(crc, self.sdi, position < FRAME_BITS))
        with m.If(clock.trailing):
            m.d.sync += [
                position.eq(position + 1),
                command.eq(command << 1),
                crc.eq(following),
            ]
            with m.If(clock.last):
                m.d.sync += self.sdi.eq(0)
            with m.Elif(position < 7):
                m.d.sync += self.sdi.eq(command[7].replicate(n))
            with m.Elif(position < FRAME_BITS - 1):
                m.d.sync += [self.sdi.eq(words[-n:]), words.eq(words << n)]
            with m.Else():
                m.d.sync += self.sdi.eq(following[-n:])
        return m
