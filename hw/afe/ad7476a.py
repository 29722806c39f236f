"""Driver of a bank of AD7476A 12-bit converters, two of which are on a Pmod AD1.

"DS" is the AD7476A/AD7477A/AD7478A data sheet, Rev. F: Table 4 (timing), p. 9 (the
acquisition time and how it is made up) and "Serial Interface". The select's falling
edge samples the input and puts the first of four zeros out; each falling clock edge puts
the next bit out, and 16 of them end the conversion. All parts of the bank share select
and clock, so that they sample at the same moment.
"""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import cycles_from_ps
from .spi import SerialClock, SerialTiming

CODE_BITS = 12
LEADING_ZEROS = 4
"""DS, "Serial Interface": four zeros, then the code, most significant bit first."""
FRAME_BITS = LEADING_ZEROS + CODE_BITS
HOLD_EDGES = 13
"""Falling edges after which the next rising one ends the hold: DS, "Serial Interface"."""

SCLK_MAX_HZ = 20_000_000
"""DS Table 4, f_SCLK."""
SCLK_MIN_HZ = 20_000
"""DS Table 4, f_SCLK, Y grade; the others may go down to 10 kHz."""
SCLK_HIGH_PERCENT = 40
"""Of a period, either level at least: DS Table 4, t5 and t6."""
CS_HIGH_PS = 10_000
"""DS Table 4, t1."""
CS_TO_SCLK_PS = 10_000
"""DS Table 4, t2."""
CS_TO_DATA_PS = 22_000
"""Select to the first zero, at most: DS Table 4, t3."""
SCLK_TO_DATA_PS = 40_000
"""Falling edge to the next bit, at most: DS Table 4, t4."""
BOARD_PS = 5_000
"""assumed: set-up time of an FPGA pin and the way there and back over a cable of 10 cm."""
RELINQUISH_PS = 36_000
"""16th falling edge to a free data line, at most: DS Table 4, t8."""
QUIET_PS = 50_000
"""A free data line to the next select: DS Table 4, t_QUIET."""
ACQUIRE_PS = 250_000
"""Back in track to the next select: DS, p. 9, t_ACQ."""
POWER_UP_PS = 1_000_000
"""DS Table 4, t_POWER-UP; the first conversion after it is thrown away."""


class AdcTimingError(ValueError):
    """A clock that the part cannot be run from."""


def serial_timing(clk_hz: int) -> SerialTiming:
    """Phases of a frame at ``clk_hz``.

    A bit is taken just before the next falling edge, so a period holds t4 and the way
    back. The gap holds what is missing of the acquisition time, which begins seven half
    periods before the end of a frame.

    Raises
    ------
    AdcTimingError
        If the clock is too slow for the part's slowest serial clock.
    """
    half_ps = -(-(SCLK_TO_DATA_PS + BOARD_PS) // 2)
    lead_ps = max(CS_TO_SCLK_PS, CS_TO_DATA_PS + BOARD_PS)
    gap_ps = max(CS_HIGH_PS, RELINQUISH_PS + QUIET_PS)
    timing = SerialTiming.of_part(clk_hz, SCLK_MAX_HZ, half_ps, lead_ps, gap_ps)
    if 2 * timing.half * SCLK_MIN_HZ > clk_hz:
        raise AdcTimingError(
            f"a clock of {clk_hz} Hz gives a serial clock of {clk_hz // (2 * timing.half)} Hz, "
            f"the AD7476A takes {SCLK_MIN_HZ} to {SCLK_MAX_HZ} Hz"
        )
    tracking = (2 * (FRAME_BITS - HOLD_EDGES) + 1) * timing.half
    gap = max(timing.gap, cycles_from_ps(ACQUIRE_PS, clk_hz) - tracking)
    return SerialTiming(timing.half, timing.lead, gap)


def readout_cycles(chips: int, clk_hz: int) -> int:
    """Cycles from one convert strobe to the earliest next one.

    The frame must be over and the last word handed on, whichever is later; one more
    cycle closes the read-out.
    """
    timing = serial_timing(clk_hz)
    words_out = timing.edge_cycle(FRAME_BITS - 1) + 1 + chips
    return max(timing.frame_cycles(FRAME_BITS), words_out) + 1


def word_layout(chips: int) -> data.StructLayout:
    """One part's conversion: its number and its straight binary code."""
    return data.StructLayout({"chip": range(chips), "code": CODE_BITS})


class AdcBank(wiring.Component):
    """Converts with all parts at once and hands their words on, one a cycle.

    Parameters
    ----------
    chips : int
        Parts; each has its own data line.
    clk_hz : int
        Clock that is really there.

    Members
    -------
    convert : In(1)
        Strobe, taken while ``idle``; the inputs are sampled in the next cycle.
    idle : Out(1)
        The last conversion's words have all been handed on.
    words : Out(stream of :func:`word_layout`)
        No back-pressure.
    cs_n, sclk : Out(1)
        Pins; the clock idles high.
    sdata : In(chips)
        Data line of each part.

    Raises
    ------
    AdcTimingError
        If the clock is too slow.
    """

    def __init__(self, chips: int, clk_hz: int) -> None:
        self.chips = chips
        self.clock = SerialClock(serial_timing(clk_hz), FRAME_BITS, idle_level=1)
        super().__init__(
            {
                "convert": In(1),
                "idle": Out(1),
                "words": Out(stream.Signature(word_layout(chips), always_ready=True)),
                "cs_n": Out(1, init=1),
                "sclk": Out(1, init=1),
                "sdata": In(chips),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        n = self.chips
        chip = Signal(range(n))
        left = Signal(range(n + 1))
        # Bit-sliced: the same bit of every part lies side by side, the newest at the bottom.
        arriving = Signal(CODE_BITS * n)
        ready = Signal(CODE_BITS * n)
        m.d.comb += [
            self.sclk.eq(clock.sclk),
            self.cs_n.eq(~clock.select),
            clock.bits.eq(FRAME_BITS),
            self.words.valid.eq(left != 0),
            self.words.payload["chip"].eq(chip),
            self.words.payload["code"].eq(ready[:CODE_BITS]),
        ]
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), chip.eq(chip + 1), ready.eq(ready >> CODE_BITS)]
        with m.If(clock.active):
            arrived = Cat(self.sdata, arriving[:-n])
            m.d.sync += arriving.eq(arrived)
            with m.If(clock.last):
                m.d.sync += [
                    ready.eq(Cat(arrived[i::n] for i in range(n))),
                    left.eq(n),
                    chip.eq(0),
                ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), clock.start.eq(self.convert)]
                with m.If(self.convert):
                    m.next = "READ"
            with m.State("READ"), m.If(clock.idle & (left == 0)):
                m.next = "IDLE"
        return m
