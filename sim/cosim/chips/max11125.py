"""Model of a MAX11125 in manual mode with external clock.

A bit appears as late as the driver's numbers allow: a driver that takes it sooner reads the
one before. The sampled code comes from outside: ``sample`` toggles when a channel is held,
and ``codes`` is taken with the third falling clock edge.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ....hw.afe import max11125 as part
from .watch import SKIPPED_BITS, Watch

TAKE_EDGE = 3
"""Falling edge with which the code is taken: before the first bit that depends on it."""
MANUAL = 0b0001
"""SCAN field of the only mode that the card uses."""


class ScanAdcFault(IntEnum):
    """What the converter can complain about."""

    NONE = 0
    TIMING = 1
    """A minimum time was undercut, data moved with its clock edge, or the clock is too slow."""
    COUNT = 2
    """The select went high after other than 16 whole clocks."""
    ACQUIRE = 3
    """A channel was sampled before it had been acquired."""
    NOT_READY = 4
    """A frame too soon after power-up."""
    COMMAND = 5
    """A frame that the card has no use for."""
    NOT_CONFIGURED = 6
    """A channel was asked for before the registers had been written since a reset."""


class ScanAdcModel(wiring.Component):
    """One MAX11125.

    Parameters
    ----------
    clk_hz : int
        Clock on which the pins are seen.
    late : bool
        The first bit comes with the first falling edge, not with the select.

    Members
    -------
    cs_n, sclk, din : In(1)
        Pins.
    dout : Out(1)
        Pin; low where the real one is free.
    codes : In(ArrayLayout(12, 8))
        Straight binary codes of the channels.
    sample : Out(1)
        Toggles when a channel is held, one cycle after the select falls.
    channel : Out(3)
        Which one.
    awake : Out(1)
        The part has its settings.
    skipped : In(64)
        Cycles that time jumps have skipped since reset.
    fault : Out(ScanAdcFault)
        Sticky.
    """

    def __init__(self, clk_hz: int, late: bool = False) -> None:
        self.clk_hz = clk_hz
        self.late = late
        super().__init__(
            {
                "cs_n": In(1, init=1),
                "sclk": In(1, init=1),
                "din": In(1),
                "dout": Out(1),
                "codes": In(data.ArrayLayout(part.CODE_BITS, part.CHANNELS)),
                "sample": Out(1),
                "channel": Out(range(part.CHANNELS)),
                "awake": Out(1),
                "skipped": In(SKIPPED_BITS),
                "fault": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watch = Watch(m, self.clk_hz, self.fault, self.skipped)
        rise, fall = watch.edges(self.sclk, 1)
        deselect, select = watch.edges(self.cs_n, 1)
        rise, fall = rise & ~self.cs_n, fall & ~self.cs_n
        soon = watch.too_soon

        count = Signal(range(part.FRAME_BITS + 2))
        rises = Signal.like(count)
        with m.If(select):
            m.d.sync += [count.eq(0), rises.eq(0)]
        for edge, counted in ((fall, count), (rise, rises)):
            with m.If(edge):
                m.d.sync += counted.eq(Mux(counted > part.FRAME_BITS, counted, counted + 1))
        whole = (count == part.FRAME_BITS) & (rises == part.FRAME_BITS)

        # The command, most significant bit first.
        command = Signal(part.FRAME_BITS)
        with m.If(rise):
            m.d.sync += command.eq(Cat(self.din, command))
        written = Signal(len(part.REGISTER_FRAMES))
        was_reset, manual = Signal(), Signal()
        following = Signal(range(part.CHANNELS))
        bad_command = Signal()
        with m.If(deselect & whole):
            with m.If(command == part.RESET_FRAME):
                m.d.sync += [was_reset.eq(1), written.eq(0), manual.eq(0)]
            for i, frame in enumerate(part.REGISTER_FRAMES):
                with m.Elif(command == frame):
                    m.d.sync += written[i].eq(1)
            with m.Elif((command & ~(0x7 << 7)) == part.mode_frame(0)):
                m.d.sync += [manual.eq(1), following.eq(command[7:10])]
            with m.Else():
                m.d.comb += bad_command.eq(1)
        m.d.comb += self.awake.eq(was_reset & written.all() & manual)

        # A select in manual mode samples the channel of the frame before.
        code = Signal(part.CODE_BITS)
        with m.If(select & manual):
            m.d.sync += [self.sample.eq(~self.sample), self.channel.eq(following)]
        with m.If(fall & (count == TAKE_EDGE - 1)):
            m.d.sync += code.eq(self.codes[self.channel])

        # The word, each bit after its longest access time.
        shown = Signal(range(part.FRAME_BITS + 2))
        opened = watch.later(select, part.CS_TO_DATA_PS, "select")
        step = watch.later(fall, part.SCLK_TO_DATA_PS, "fall") & ~self.cs_n
        begun = Signal()
        with m.If(opened):
            m.d.sync += begun.eq(1)
        with m.Elif(select):
            m.d.sync += begun.eq(0)
        with m.If(select):
            m.d.sync += shown.eq(0)
        with m.Elif(step):
            m.d.sync += shown.eq(Mux(shown > part.FRAME_BITS, shown, shown + 1))
        place = Mux(step, shown + 1, shown)
        bits = Cat(
            Const(0, int(self.late)),
            Const(0, part.ID_BITS - len(self.channel)),
            *reversed(list(self.channel)),
            *reversed(list(code)),
            Const(0, 2),
        )
        with m.If(~self.cs_n & ~select & (begun | opened) & manual):
            m.d.comb += self.dout.eq(bits.bit_select(place, 1))

        # Complaints.
        watch.serial_clock(part, rise, fall, select, deselect, self.cs_n, ScanAdcFault.TIMING)
        before = Signal()
        m.d.sync += before.eq(self.din)
        moved = (self.din ^ before) & ~self.cs_n
        watch.fail(rise & moved, ScanAdcFault.TIMING)
        watch.fail(rise & soon(moved, part.DIN_SETUP_PS, "din_setup"), ScanAdcFault.TIMING)
        watch.fail(moved & soon(rise, part.DIN_HOLD_PS, "din_hold"), ScanAdcFault.TIMING)
        watch.fail(deselect & ~whole, ScanAdcFault.COUNT)
        tracking = fall & (count == part.TRACK_EDGE - 1)
        acquiring = soon(tracking, part.ACQUIRE_PS, "acquire")
        watch.fail(select & manual & acquiring, ScanAdcFault.ACQUIRE)
        starting = soon(Signal(name="never"), part.POWER_UP_PS, "power_up", armed=True)
        watch.fail(select & starting, ScanAdcFault.NOT_READY)
        watch.fail(bad_command, ScanAdcFault.COMMAND)
        watch.fail(select & manual & ~self.awake, ScanAdcFault.NOT_CONFIGURED)
        return m
