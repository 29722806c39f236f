"""Driver of a MAX11125, the 12-bit eight-channel converter that a ULX3S carries.

One converter behind a multiplexer: a conversion of the card is one frame of 16 clocks for
each channel, one channel after the other. A frame's command names the channel of the next
frame, whose select samples it (external clock, manual mode); every word says which channel
it is of. The last frame of a conversion names channel 0 again, so that the select of the
next conversion's first frame samples that one at once.

No data sheet was at hand. Sources: "emard" is ``examples/adc/max1112x`` of emard/ulx3s-misc
(registers, clocks, the word from the select's edge on), "MAX11128.c" a driver of that
16-channel part for STM32 (17 frames read 16 channels in manual mode; the word's channel is
in its upper four bits), "streams" is DaveBerkeley/streams, ``streams/adc.py`` ("the 12-bit
1M s/s ADC found on the ulx3s": clock idles high, both sides take data when it rises).

Where the first bit comes the sources disagree: with the select (emard) or with the first
falling edge of the clock (streams). The driver looks: at its start it asks for a channel
whose number tells the two apart, and is not idle before it has seen it.
"""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import cycles_from_ps
from .spi import SerialClock, SerialTiming

CHANNELS = 8
"""emard/ulx3s, analog.sch: AIN0 to AIN7 are on GN14, GP14 to GN17, GP17."""
CODE_BITS = 12
ID_BITS = 4
FRAME_BITS = ID_BITS + CODE_BITS
TRACK_EDGE = 14
"""assumed: falling edge with which the input is tracked again; a conversion of 12 bits and a
sampling clock are over then."""

SCLK_MAX_HZ = 16_000_000
"""emard: 64 MHz at a quarter; 16 clocks at 1 MSPS (emard/ulx3s, README)."""
SCLK_MIN_HZ = 160_000
"""assumed: a hundredth of the highest; the held charge leaks away."""
SCLK_HIGH_PERCENT = 40
"""assumed: of a period, either level at least."""
CS_TO_SCLK_PS = 10_000
"""assumed: select low to the first falling edge."""
CS_HIGH_PS = 10_000
"""assumed."""
CS_TO_DATA_PS = 20_000
"""assumed: select to the first bit, at most, where it comes with the select."""
SCLK_TO_DATA_PS = 20_000
"""assumed: falling edge to the next bit, at most."""
BOARD_PS = 5_000
"""assumed: set-up time of an FPGA pin and the way there and back on the board."""
DIN_SETUP_PS = DIN_HOLD_PS = 10_000
"""assumed: around the rising edge."""
ACQUIRE_PS = 156_250
"""assumed: 2.5 clocks of 16 MHz, from :data:`TRACK_EDGE` of one frame to the select of the
next at 1 MSPS. It is the part's own; a source that the sampling disturbs needs more."""
POWER_UP_PS = 1_000_000_000
"""assumed: 1 ms."""


def mode_frame(channel: int) -> int:
    """ADC_MODE_CONTROL: manual scan, the channel, its number in the word.

    ``0 SCAN[3:0] CHSEL[3:0] RESET[1:0] PM[1:0] CHAN_ID SWCNV 0``: Maxim's own MAX11131
    driver (os.mbed.com, MAX11131.cpp), the same registers; MAX11128.c.
    """
    return 0b0001 << 11 | channel << 7 | 1 << 2


RESET_FRAME = 0x0040
"""All registers to their defaults: emard (C_MAX1112x_RESET)."""
REGISTER_FRAMES = (0x8000, 0x8800, 0x9000)
"""ADC_CONFIGURATION without averaging and echo, UNIPOLAR and BIPOLAR: every input by itself,
against ground: emard (the same registers, with other contents)."""
PROBE = 0b0101
"""Channel whose number is not its own neighbour, shifted by a bit."""
CONFIGURATION = (
    RESET_FRAME,
    *REGISTER_FRAMES,
    mode_frame(0),
    mode_frame(PROBE),
    mode_frame(0),
)
"""The word of the last one is that of :data:`PROBE`."""


class AdcTimingError(ValueError):
    """A clock that the part cannot be run from."""


def serial_timing(clk_hz: int, acquire_ps: int = ACQUIRE_PS) -> SerialTiming:
    """Phases of a frame at ``clk_hz``.

    Half a period holds the data's way back, since the last bit is taken half a period
    after its edge. The gap holds what is missing of the acquisition.

    Parameters
    ----------
    clk_hz : int
        Controller clock.
    acquire_ps : int
        Acquisition time of the part with its source.

    Raises
    ------
    AdcTimingError
        If the clock is too slow for the part's slowest serial clock.
    """
    half_ps = max(SCLK_TO_DATA_PS + BOARD_PS, DIN_SETUP_PS, DIN_HOLD_PS)
    lead_ps = max(CS_TO_SCLK_PS, CS_TO_DATA_PS + BOARD_PS)
    timing = SerialTiming.of_part(clk_hz, SCLK_MAX_HZ, half_ps, lead_ps, CS_HIGH_PS)
    if 2 * timing.half * SCLK_MIN_HZ > clk_hz:
        raise AdcTimingError(
            f"a clock of {clk_hz} Hz gives a serial clock of {clk_hz // (2 * timing.half)} Hz, "
            f"the MAX11125 takes {SCLK_MIN_HZ} to {SCLK_MAX_HZ} Hz"
        )
    tracking = 2 * (FRAME_BITS - TRACK_EDGE + 1) * timing.half
    gap = max(timing.gap, cycles_from_ps(max(acquire_ps, ACQUIRE_PS), clk_hz) - tracking)
    return SerialTiming(timing.half, timing.lead, gap)


def hold_cycles(channels: int, clk_hz: int, acquire_ps: int = ACQUIRE_PS) -> int:
    """Cycles from the convert strobe until the last channel has been sampled."""
    return (channels - 1) * serial_timing(clk_hz, acquire_ps).frame_cycles(FRAME_BITS) + 1


def readout_cycles(channels: int, clk_hz: int, acquire_ps: int = ACQUIRE_PS) -> int:
    """Cycles from one convert strobe to the earliest next one: the frames, and one to close."""
    return channels * serial_timing(clk_hz, acquire_ps).frame_cycles(FRAME_BITS) + 1


def word_layout() -> data.StructLayout:
    """One channel's conversion: its number and its straight binary code."""
    return data.StructLayout({"chip": range(CHANNELS), "code": CODE_BITS})


class ScanAdc(wiring.Component):
    """Converts the first channels one after the other and hands their words on.

    Parameters
    ----------
    channels : int
        2 to 8.
    clk_hz : int
        Clock that is really there.
    acquire_ps : int
        Acquisition time of the part with its source.

    Members
    -------
    wake : In(1)
        Strobe, taken while ``idle``: sets the part up. ``idle`` comes back when it has
        answered as it should, and until then it is asked again.
    convert : In(1)
        Strobe, taken while ``idle``; channel 0 is sampled in the next cycle.
    holding : Out(1)
        Channels are still to be sampled: nothing may move before their inputs.
    idle : Out(1)
        The last conversion's words have all been handed on.
    words : Out(stream of :func:`word_layout`)
        No back-pressure.
    cs_n, sclk, din : Out(1)
        Pins; the clock idles high, and the part takes ``din`` when it rises.
    dout : In(1)
        Pin.

    Raises
    ------
    AdcTimingError
        If the clock is too slow.
    ValueError
        If the part has not so many channels, or there is but one.
    """

    def __init__(self, channels: int, clk_hz: int, acquire_ps: int = ACQUIRE_PS) -> None:
        if not 2 <= channels <= CHANNELS:
            raise ValueError(f"channels = {channels}: a MAX11125 scans 2 to {CHANNELS}")
        self.channels = channels
        timing = serial_timing(clk_hz, acquire_ps)
        self.clock = SerialClock(timing, FRAME_BITS, idle_level=1)
        super().__init__(
            {
                "wake": In(1),
                "convert": In(1),
                "holding": Out(1),
                "idle": Out(1),
                "words": Out(stream.Signature(word_layout(), always_ready=True)),
                "cs_n": Out(1, init=1),
                "sclk": Out(1, init=1),
                "din": Out(1),
                "dout": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        command = Signal(FRAME_BITS)
        first = Signal()
        late = Signal()  # the first bit comes with the first falling edge, not with the select
        # What was there before each falling edge, and half a period after the last one.
        arrived = Signal(FRAME_BITS + 1)
        complete = Signal()
        word = Mux(late, arrived[:FRAME_BITS], arrived[1:])
        converting = Signal()
        m.d.comb += [
            self.sclk.eq(clock.sclk),
            self.cs_n.eq(~clock.select),
            self.din.eq(command[-1]),
            clock.bits.eq(FRAME_BITS),
            self.words.valid.eq(complete & converting),
            self.words.payload.eq(Cat(word[CODE_BITS : CODE_BITS + 3], word[:CODE_BITS])),
        ]
        m.d.sync += complete.eq(clock.trailing & clock.last)
        with m.If(clock.active | (clock.trailing & clock.last)):
            m.d.sync += arrived.eq(Cat(self.dout, arrived))
        # A bit changes with the falling edge, but the first one, which the select puts out.
        with m.If(clock.active):
            m.d.sync += first.eq(0)
            with m.If(~first):
                m.d.sync += command.eq(command << 1)

        frames = Array(CONFIGURATION)
        left = Signal(range(max(self.channels, len(CONFIGURATION)) + 1))
        step = Signal(range(len(CONFIGURATION)))
        channel = Signal(range(CHANNELS))

        def send(frame: int | Signal) -> None:
            m.d.comb += clock.start.eq(1)
            m.d.sync += [command.eq(frame), first.eq(1), left.eq(left - 1)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [step.eq(0), channel.eq(1), left.eq(len(CONFIGURATION))]
                with m.If(self.wake):
                    m.next = "WAKE"
                with m.Elif(self.convert):
                    send(mode_frame(1))
                    m.d.sync += [
                        converting.eq(1),
                        self.holding.eq(1),
                        left.eq(self.channels - 1),
                    ]
                    m.next = "CONVERT"
            with m.State("CONVERT"), m.If(clock.idle):
                with m.If(left == 0):
                    m.d.sync += converting.eq(0)
                    m.next = "IDLE"
                with m.Else():
                    following = Mux(left == 1, 0, channel + 1)
                    send(mode_frame(0) | following << 7)
                    m.d.sync += [channel.eq(channel + 1), self.holding.eq(left != 1)]
            with m.State("WAKE"), m.If(clock.idle):
                with m.If(left != 0):
                    send(frames[step])
                    m.d.sync += step.eq(step + 1)
                with m.Else():
                    m.d.sync += [step.eq(0), left.eq(len(CONFIGURATION))]
                    with m.If(arrived[FRAME_BITS + 1 - ID_BITS :] == PROBE):
                        m.d.sync += late.eq(0)
                        m.next = "IDLE"
                    with m.Elif(arrived[FRAME_BITS - ID_BITS : FRAME_BITS] == PROBE):
                        m.d.sync += late.eq(1)
                        m.next = "IDLE"
        return m
