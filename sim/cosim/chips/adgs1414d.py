"""Model of a bank of ADGS1414D switches that share clock and select.

Registers are bit-sliced: the same bit of every chip lies side by side.
Reads, burst and daisy-chain mode are not modelled: the card has no line back and
never asks for them, and a frame that does is a fault.
"""

from __future__ import annotations

from enum import IntEnum
from functools import reduce
from operator import and_, or_

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import adgs1414d as part
from .watch import SKIPPED_BITS, Watch


class SwitchFault(IntEnum):
    """What a bank of switches can complain about."""

    NONE = 0
    TIMING = 1
    """A minimum time of the interface was undercut, or data moved with its clock edge."""
    COUNT = 2
    """The select went high after a wrong number of clocks."""
    CRC = 3
    """A wrong CRC; the write is refused."""
    ADDRESS = 4
    """A read, or a write to a register that the card does not use."""
    NOT_READY = 5
    """A frame within 120 us of power-up or reset."""


def crc_step(crc: Value, bits: Value) -> Value:
    """One step of the chips' CRCs, bit-sliced: bit ``j`` of all chips is slice ``j``."""
    n = len(bits)
    feedback = crc[7 * n :] ^ bits
    taps = [feedback if part.CRC_POLYNOMIAL >> j & 1 else Const(0, n) for j in range(8)]
    return Cat(Const(0, n), crc[: 7 * n]) ^ Cat(*taps)


class SwitchBankModel(wiring.Component):
    """``chips`` ADGS1414D, each with its own data line.

    Members
    -------
    sclk, cs_n, sdi, reset_n : In
        Pins. ``reset_n`` is RESET/VL, the logic supply: while it is low every switch is
        open and nothing is heard.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    switches : Out(8 * chips)
        Bit ``8 * i + j`` is switch ``j + 1`` of chip ``i``; it follows the clock edge
        that writes it by two cycles (turn-on is the analog side's).
    fault : Out(SwitchFault)
        Sticky.
    """

    def __init__(self, chips: int, clk_hz: int) -> None:
        self.chips = chips
        self.clk_hz = clk_hz
        super().__init__(
            {
                "sclk": In(1),
                "cs_n": In(1, init=1),
                "sdi": In(chips),
                "reset_n": In(1, init=1),
                "skipped": In(SKIPPED_BITS),
                "switches": Out(part.SWITCHES * chips),
                "fault": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.chips
        everyone = (1 << n) - 1
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        rise, fall = watch.edges(self.sclk, 0)
        deselect, select = watch.edges(self.cs_n, 1)
        rise, fall = rise & ~self.cs_n, fall & ~self.cs_n

        # Shift in: the first 16 bits are the write, everything runs through the CRC.
        shifted = Signal(part.FRAME_BITS * n)
        bits = [shifted.word_select(j, n) for j in range(part.FRAME_BITS)]
        crc = Signal(8 * n)
        count = Signal(range(part.CRC_FRAME_BITS + 2))
        crc_on = Signal(n)
        framed = Signal(n)
        end_plain, end_crc = Signal(), Signal()
        m.d.sync += [end_plain.eq(0), end_crc.eq(0)]
        with m.If(select):
            m.d.sync += [count.eq(0), framed.eq(crc_on), crc.eq(0)]
        with m.If(rise):
            m.d.sync += count.eq(Mux(count > part.CRC_FRAME_BITS, count, count + 1))
            with m.If(count < part.FRAME_BITS):
                m.d.sync += shifted.eq(Cat(self.sdi, shifted[:-n]))
            m.d.sync += crc.eq(crc_step(crc, self.sdi))
            m.d.sync += [
                end_plain.eq(count == part.FRAME_BITS - 1),
                end_crc.eq(count == part.CRC_FRAME_BITS - 1),
            ]

        # Write: a register followed by its own CRC leaves a CRC of zero.
        crc_good = ~reduce(or_, (crc.word_select(j, n) for j in range(8)))
        due = Mux(end_plain, ~framed, Mux(end_crc, framed, 0))
        writing = Signal(n)
        m.d.comb += writing.eq(due & (~framed | crc_good))

        def equals(wires: list[Signal], value: int) -> Value:
            return reduce(and_, (w if value >> j & 1 else ~w for j, w in enumerate(wires)))

        command, data = bits[8:], bits[:8]
        to = {register: Signal(n, name=f"to_{register.name.lower()}") for register in part.Register}
        for register, here in to.items():
            m.d.comb += here.eq(equals(command, register))
        known = reduce(or_, to.values())

        switches = Signal(part.SWITCHES * n)
        first_reset, second_reset = (equals(data, value) for value in part.SOFT_RESET)
        armed, reset = Signal(n), Signal(n)
        resetting = to[part.Register.SOFT_RESETB]
        with m.If(writing.any()):
            load = (writing & to[part.Register.SW_DATA]).replicate(part.SWITCHES)
            m.d.sync += switches.eq((switches & ~load) | (Cat(*data) & load))
            load = writing & to[part.Register.ERR_CONFIG]
            m.d.sync += [
                crc_on.eq((crc_on & ~load) | (data[0] & load)),
                armed.eq((armed & ~writing) | (writing & resetting & first_reset)),
            ]
            m.d.comb += reset.eq(writing & resetting & second_reset & armed)
            with m.If(reset.any()):
                m.d.sync += [
                    switches.eq(switches & ~reset.replicate(part.SWITCHES)),
                    crc_on.eq(crc_on & ~reset),
                ]
        with m.If(~self.reset_n):
            m.d.sync += [switches.eq(0), crc_on.eq(0), framed.eq(0), armed.eq(0), count.eq(0)]
            m.d.sync += [end_plain.eq(0), end_crc.eq(0)]
        m.d.comb += self.switches.eq(
            Cat(switches[j * n + i] for i in range(n) for j in range(part.SWITCHES))
        )

        # Complaints.
        def complain(condition: Value, code: SwitchFault) -> None:
            watch.fail(condition & self.reset_n, code)

        moved_before = Signal(n)
        m.d.sync += moved_before.eq(self.sdi)
        moved = (self.sdi != moved_before) & ~self.cs_n
        soon = watch.too_soon
        high, low = soon(rise, part.SCLK_HIGH_PS, "high"), soon(fall, part.SCLK_LOW_PS, "low")
        complain((rise & moved) | (fall & high) | (rise & low), SwitchFault.TIMING)
        period_ps = 10**12 // part.SCLK_MAX_HZ
        complain(rise & soon(rise, period_ps, "period"), SwitchFault.TIMING)
        complain(rise & soon(moved, part.SDI_SETUP_PS, "setup"), SwitchFault.TIMING)
        complain(moved & soon(rise, part.SDI_HOLD_PS, "hold"), SwitchFault.TIMING)
        complain(rise & (select | soon(select, part.CS_TO_SCLK_PS, "lead")), SwitchFault.TIMING)
        complain(deselect & soon(rise, part.SCLK_TO_CS_PS, "lag"), SwitchFault.TIMING)
        complain(select & soon(deselect, part.CS_HIGH_PS, "gap"), SwitchFault.TIMING)
        starting = soon(reset.any() | ~self.reset_n, part.RESET_PS, "reset", armed=True)
        complain(select & starting, SwitchFault.NOT_READY)
        # Surplus clocks of a reset raise a flag that the reset itself clears.
        surplus = (count == part.CRC_FRAME_BITS) & (resetting == everyone)
        bad_plain = (count != part.FRAME_BITS) & ~surplus
        bad_crc = count != part.CRC_FRAME_BITS
        wrong = Mux(bad_plain, ~framed, 0) | Mux(bad_crc, framed, 0)
        complain(deselect & wrong.any(), SwitchFault.COUNT)
        complain(end_crc & (framed & ~crc_good).any(), SwitchFault.CRC)
        complain((writing & ~known).any(), SwitchFault.ADDRESS)
        return m
