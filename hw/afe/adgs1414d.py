"""Driver of banks of ADGS1414D octal switches.

Facts from the ADGS1414D data sheet, Rev. 0 ("DS" below): SPI mode 0, 16-bit
frames (write bit 0, seven address bits, eight data bits), 24 bits with a CRC-8
once that is enabled. A register is written at the last rising edge of the
clock, not when the select goes high (DS, "Address Mode" and "Cyclic Redundancy
Check Error Detection"). An update is therefore held loaded one edge before its
end, and that one edge lets the switches of all chips of a bank move at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from operator import xor

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .power import Power
from .spi import SerialClock, SerialTiming, constant_bit

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
POWER = Power(
    watts=1e-3,
    origin="assumed: CMOS switches take microamperes, their logic about 0.3 mA of 3.3 V",
)

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


def crc(word: int) -> int:
    """Check value of the 16 bits of ``word``."""
    remainder = word << 8
    for place in reversed(range(8, CRC_FRAME_BITS)):
        if remainder >> place & 1:
            remainder ^= (1 << 8 | CRC_POLYNOMIAL) << place - 8
    return remainder


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


def load_cycles(timing: SerialTiming) -> int:
    """Cycles from an accepted switch update to ``loaded``."""
    return timing.edge_cycle(CRC_FRAME_BITS - 1)


def recover_cycles(timing: SerialTiming) -> int:
    """Cycles from ``latch`` to the next update that is accepted."""
    return timing.frame_cycles(CRC_FRAME_BITS) - load_cycles(timing)


class Write(enum.Enum, shape=2):
    """What a frame writes."""

    LINES = 0
    """The switches of one bank, from line masks."""
    SOFT_RESET_1 = 1
    SOFT_RESET_2 = 2
    """The same to every chip, with a CRC: the two steps of a software reset."""
    ENABLE_CRC = 3
    """The same to every chip, without a CRC: all checks on."""


def _frame(register: Register, value: int) -> int:
    word = register << SWITCHES | value
    return word << 8 | crc(word)


_COMMON = {
    Write.SOFT_RESET_1: _frame(Register.SOFT_RESETB, SOFT_RESET[0]),
    Write.SOFT_RESET_2: _frame(Register.SOFT_RESETB, SOFT_RESET[1]),
    Write.ENABLE_CRC: Register.ERR_CONFIG << SWITCHES | ERR_CONFIG_ALL,
}
_OPEN = {Write.LINES: _frame(Register.SW_DATA, 0), **_COMMON}
_CLOSED = {Write.LINES: _frame(Register.SW_DATA, 0xFF), **_COMMON}


def frame_layout(banks: int, lines: int) -> data.StructLayout:
    """One frame: what it writes, and for ``LINES`` the bank, its line masks, and whether it is
    to ground every line whatever they are."""
    return data.StructLayout(
        {"write": Write, "bank": range(banks), "a": lines, "b": lines, "ground": 1}
    )


@dataclass(frozen=True)
class Bank:
    """Chips with one select: a line has one switch of a chip on each of its ways.

    Attributes
    ----------
    lines : int
        Lines, a multiple of eight.
    ways : int
        3: ``a``, ``b`` and 0 V; 2: ``a`` and 0 V.
    """

    lines: int
    ways: int

    @property
    def chips(self) -> int:
        """Chips: those of the first way, then those of the second, and so on."""
        return self.ways * self.lines // SWITCHES


class SwitchBanks(wiring.Component):
    """Writes registers of banks of chips that share clock and data lines.

    Parameters
    ----------
    banks : sequence of Bank
        Each with its own select. Data line ``i`` goes to chip ``i`` of each.
    clk_hz : int
        Clock that is really there.
    edge_cycles : int
        Shortest time between two changes of a line, where the lines need longer than
        the chips.

    Members
    -------
    frame : In(stream of :func:`frame_layout`)
        A register write. A line in ``a`` and in ``b``, or in neither, goes to 0 V; so does
        one that is in ``b`` alone where there is no such way.
    loaded, latch : Out(1), In(1)
        The write is complete but for its last edge; ``latch`` makes that edge.
    moving : Out(1)
        Bits or guard times are running (not while waiting for ``latch``).
    sclk, cs_n, sdi : Out
        Pins.
    """

    def __init__(self, banks: Sequence[Bank], clk_hz: int, edge_cycles: int = 1) -> None:
        self.banks = tuple(banks)
        self.lines = max(bank.lines for bank in banks)
        self.chips = max(bank.chips for bank in banks)
        timing = serial_timing(clk_hz, edge_cycles)
        self.clock = SerialClock(timing, CRC_FRAME_BITS, idle_level=0)
        super().__init__(
            {
                "frame": In(stream.Signature(frame_layout(len(banks), self.lines))),
                "loaded": Out(1),
                "latch": In(1),
                "moving": Out(1),
                "sclk": Out(1),
                "cs_n": Out(len(banks), init=(1 << len(banks)) - 1),
                "sdi": Out(self.chips),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        payload, left = self.frame.payload, clock.left
        write, masks = Signal(Write), Signal()
        begin, ours = Signal(), Signal()
        m.d.comb += [
            self.sclk.eq(clock.sclk),
            self.frame.ready.eq(clock.idle),
            clock.start.eq(self.frame.valid),
            clock.bits.eq(Mux(payload.write == Write.ENABLE_CRC, FRAME_BITS, CRC_FRAME_BITS)),
            clock.hold.eq(~self.latch),
            self.loaded.eq(clock.held),
            self.moving.eq(~clock.idle & ~clock.held),
            begin.eq(clock.idle & self.frame.valid),
            # The bit that follows is of the lines' own: of their masks, or of the CRC.
            ours.eq(clock.trailing & (left <= FRAME_BITS)),
        ]
        with m.If(clock.release):
            m.d.sync += self.cs_n.eq(-1)
        # What is sent is taken all the time between frames: the guard's checks are behind
        # ``valid``.
        with m.If(clock.idle):
            m.d.sync += [
                write.eq(payload.write),
                masks.eq((payload.write == Write.LINES) & ~payload.ground),
            ]
        with m.If(begin):
            m.d.sync += self.cs_n.eq(0)
            with m.If(payload.write == Write.LINES):
                m.d.sync += self.cs_n.eq(~(1 << payload.bank))

        loaded = {"a": payload.a & ~payload.b, "b": payload.b & ~payload.a}
        ways = {"a": self.lines, "b": max((b.lines for b in self.banks if b.ways == 3), default=0)}
        bits = {
            (way, chip): self._word(
                m, loaded[way].word_select(chip, SWITCHES), clock.idle, ours, f"{way}{chip}"
            )
            for way, lines in ways.items()
            for chip in range(lines // SWITCHES)
        }

        # What is the same whatever the masks are: of open switches, and of closed ones.
        opened, closed = (
            constant_bit([words[each] << 1 for each in Write], write.as_value(), left)
            for words in (_OPEN, _CLOSED)
        )

        def following(bank: Bank, line: int) -> tuple[Value, Value]:
            """The masks' share of a data line's next bit, and the rest of it."""
            way, chip = divmod(line, bank.lines // SWITCHES)
            if way == bank.ways - 1:
                other = bits["b", chip] if bank.ways == 3 else 0
                return bits["a", chip] ^ other, closed
            return bits["ab"[way], chip], opened

        masked = masks & (left <= FRAME_BITS)
        for line in range(self.chips):
            choices = [
                (n, following(bank, line)) for n, bank in enumerate(self.banks) if line < bank.chips
            ]
            for n, (share, rest) in choices:
                with m.If(clock.trailing & ~self.cs_n[n]):
                    m.d.sync += self.sdi[line].eq((share & masked) ^ rest)
        return m

    def _word(self, m: Module, value: Value, load: Value, ours: Value, name: str) -> Value:
        """The bits that a word adds to its frame: its own eight, then those of its CRC.

        The CRC of ``word * x^8`` is the lowest eight bits of the quotient by the polynomial
        times the polynomial, and a bit of that quotient is a bit of the word and some of the
        quotient's higher ones. So the quotient takes the place of the word as that is shifted
        out, and no CRC needs a register of its own. All of it is linear: what the command
        before the word adds is the same for every word.
        """
        left = self.clock.left
        word = Signal(SWITCHES, name=name)
        taps = [k for k in range(1, 8) if CRC_POLYNOMIAL >> k & 1]
        checking = left <= 8
        quotient = word[-1]
        for k in taps:
            quotient = quotient ^ (word[-1 - k] & (left < 9 + k))
        with m.If(load):
            m.d.sync += word.eq(value)
        with m.Elif(ours):
            # Behind the word go zeros, so that nothing is left of it.
            m.d.sync += word.eq(Cat(quotient & ~checking, word))
        check = reduce(xor, (word[-1 - k] for k in taps), word[-1])
        return Mux(checking, check, word[-1])
