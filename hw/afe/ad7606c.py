"""Driver of a bank of AD7606C-16 eight-channel simultaneous-sampling ADCs.

The parts run in software mode (OS pins high) over the serial interface with two
data lines each: DOUTA carries V1 to V4, DOUTB V5 to V8, 16 bits each, two's
complement, most significant bit first, +-10 V single-ended.

Sources: "features" is the front page of the AD7606C-16 data sheet; "family" is
the AD7606 data sheet, Rev. C, p. 28 (the select puts out the first bit, rising
clock edges the following ones; 64 clocks read eight channels on two lines) and
the AD7609's, Rev. A, p. 27 (each bit is valid on the falling edge); "no-OS" is
Analog Devices' own driver (drivers/adc/ad7606), and "IIO" its application
(projects/ad7606x-iio). ``assumed`` numbers come from no table that was at hand and are to
be checked before a board is built.

Every channel has a diagnostic multiplexer, which can put the part's temperature sensor in
the place of the input (Analog Devices EngineerZone, document 15877: registers 0x28 to
0x2B, software mode, +-10 V; channel 8 is the most accurate one, none is a precision
channel). It is set by sending the whole configuration again.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from .adc_part import LINES, READ_BITS, AdcPart
from .gather import ParallelGatherer, SerialGatherer
from .interface import cycles_from_ps, sample_layout
from .power import Power
from .spi import SerialClock, constant_bit

REGISTER_BITS = 16

SCLK_MAX_HZ = 40_000_000
"""assumed: the slow end of the part's serial clock, so that any logic supply will do."""
SCLK_HIGH_PS = SCLK_LOW_PS = 10_000
"""assumed: 0.4 of the clock period, as in the family."""
CS_TO_SCLK_PS = 2_000
"""assumed: select low to the first edge, for the part itself."""
DOUT_VALID_PS = 15_000
"""assumed: select or rising clock edge to valid data."""
BOARD_PS = 5_000
"""assumed: of board and pins."""
SDI_SETUP_PS = SDI_HOLD_PS = 8_000
"""assumed."""
CS_HIGH_PS = 25_000
"""assumed: select high between two frames."""
CONVST_HIGH_PS = CONVST_LOW_PS = 10_000
"""assumed: width of either level of CONVST."""
CONVST_TO_BUSY_PS = 25_000
"""assumed: CONVST rising to BUSY rising, at most."""
CONVERT_PS = 650_000
"""assumed: CONVST rising to BUSY falling, at most; 1 MSPS (features) leaves 350 ns."""
CYCLE_PS = 1_000_000
"""Between two conversions: 1 MSPS on all channels (features)."""
RESET_PS = 3_000_000
"""Full reset: no-OS waits 3 us (ad7606_reset)."""
RESET_DRIVEN_PS = 3_300_000
"""Analog Devices' Linux driver of the AD7606C holds it 3.3 us (FULL_RESET_TIME)."""
SETUP_PS = 253_000_000
"""assumed: end of a full reset to the first access."""
SETUP_DRIVEN_PS = 275_000_000
"""Analog Devices' Linux driver of the AD7606C waits 275 us (SETUP_TIME)."""
BANDWIDTH_HZ = 220_000
"""Of the input filter, wide setting: "25 kHz and 220 kHz, per channel" (features)."""
NOISE_CODES = 0.6
"""One conversion, rms: a signal-to-noise ratio of 92 dB (features) is
7.07 V / 10^(92/20) = 178 uV."""
POWER = Power(
    watts=0.080,
    conversion_j=0.120 / 1e6,
    origin="assumed: the AD7606's 80 mW without a conversion, and 200 mW at 1 MSPS, twice the "
    "AD7606's 100 mW at five times its rate; the table was not at hand",
)

FULL_SCALE_V = 10.0
"""+-10 V single-ended: 20 V / 65536 per code."""


class Register(IntEnum):
    """Registers that the card writes: no-OS ad7606.h."""

    ADC_MODE = 0x00
    CONFIG = 0x02
    RANGE_V1_V2 = 0x03
    RANGE_V3_V4 = 0x04
    RANGE_V5_V6 = 0x05
    RANGE_V7_V8 = 0x06
    BANDWIDTH = 0x07
    DIAGNOSTIC_MUX_V1_V2 = 0x28
    DIAGNOSTIC_MUX_V3_V4 = 0x29
    DIAGNOSTIC_MUX_V5_V6 = 0x2A
    DIAGNOSTIC_MUX_V7_V8 = 0x2B


TWO_LINES = 0b01 << 3
"""CONFIG, DOUT_FORMAT field: no-OS AD7606_2_DOUT."""
RANGE_10V = 0x33
"""Two channels at +-10 V single-ended: no-OS ad7606c_range_table, entry 0b0011."""
WIDE = 0xFF
"""BANDWIDTH, one bit per channel: 220 kHz."""
MUXES = (
    Register.DIAGNOSTIC_MUX_V1_V2,
    Register.DIAGNOSTIC_MUX_V3_V4,
    Register.DIAGNOSTIC_MUX_V5_V6,
    Register.DIAGNOSTIC_MUX_V7_V8,
)
"""no-OS AD7606_REG_DIAGNOSTIC_MUX_CH."""
MUX_BITS = 3
"""Of a channel in them, the lower one's first; 0 is the input (IIO AD7606_DIAGN_MUX_CH_VAL)."""
MUX_SENSOR = 1
"""IIO TEMPERATURE_MUX."""
SENSOR_25C_V = 0.69068
SENSOR_V_PER_K = 0.019328
"""The sensor's voltage at 25 degC and its slope: IIO get_chn_temperature, "equation specified
in device datasheet", one for AD7606B and AD7606C."""
SENSOR_PS = 100_000_000
"""IIO waits 100 us after it has set the multiplexer."""
SENSOR_CHANNEL = 7
"""V8, the most accurate one (document 15877)."""
READ_FLAG = 1 << 14
"""A frame with this bit reads a register, and takes the part from ADC to register mode."""


def register_frame(register: Register, value: int) -> int:
    """Write frame: no-OS ad7606_spi_reg_write."""
    return int(register) << 8 | value


CONFIGURATION = (
    READ_FLAG | register_frame(Register.CONFIG, 0),
    register_frame(Register.CONFIG, TWO_LINES),
    register_frame(Register.RANGE_V1_V2, RANGE_10V),
    register_frame(Register.RANGE_V3_V4, RANGE_10V),
    register_frame(Register.RANGE_V5_V6, RANGE_10V),
    register_frame(Register.RANGE_V7_V8, RANGE_10V),
    register_frame(Register.BANDWIDTH, WIDE),
    *(register_frame(mux, 0) for mux in MUXES),
    register_frame(Register.ADC_MODE, 0),
)
"""Frames that set the parts up, from ADC mode back to ADC mode. A read-out sends what the last
one is made of: zeros."""
SENSING = tuple(
    MUX_SENSOR << MUX_BITS | MUX_SENSOR if frame >> 8 in MUXES else 0 for frame in CONFIGURATION
)
"""What is set in them besides for the temperature sensor in place of every input."""


def sensor_volts(celsius: float) -> float:
    """Voltage that a channel converts while its multiplexer is on the sensor."""
    return SENSOR_25C_V + SENSOR_V_PER_K * (celsius - 25)


def sensor_celsius(volts: float) -> float:
    """Temperature of the die at such a voltage."""
    return (volts - SENSOR_25C_V) / SENSOR_V_PER_K + 25


PART = AdcPart(
    name="AD7606C-16",
    sclk_max_hz=SCLK_MAX_HZ,
    sclk_level_ps=max(SCLK_HIGH_PS, SCLK_LOW_PS),
    cs_to_sclk_ps=CS_TO_SCLK_PS,
    cs_high_ps=CS_HIGH_PS,
    msb_ps=DOUT_VALID_PS,
    bit_ps=DOUT_VALID_PS,
    board_ps=BOARD_PS,
    convst_ps=max(CONVST_HIGH_PS, CONVST_LOW_PS),
    busy_ps=CONVST_TO_BUSY_PS,
    convert_ps=CONVERT_PS,
    acquire_ps=0,
    cycle_ps=CYCLE_PS,
    reset_ps=RESET_PS,
    reset_driven_ps=RESET_DRIVEN_PS,
    setup_ps=SETUP_PS,
    setup_driven_ps=SETUP_DRIVEN_PS,
    bandwidth_hz=BANDWIDTH_HZ,
    order=1,
    noise_codes=NOISE_CODES,
    power=POWER,
    configuration=CONFIGURATION,
    sdi_ps=max(SDI_SETUP_PS, SDI_HOLD_PS),
    sensing=SENSING,
    sensor_ps=SENSOR_PS,
)
"""The part as the card sets it up."""


class AdcBank(wiring.Component):
    """Converts with and reads out chips that share all lines but their data outputs.

    Parameters
    ----------
    chips : int
        Chips; channel ``c`` of chip ``i`` is column ``8 * i + c``.
    clk_hz : int
        Clock that is really there.
    part : AdcPart
        The part; one without registers leaves ``command`` and ``sdi`` alone.
    compact : bool
        Whether the bits are gathered by :class:`~ohmloom.hw.afe.gather.SerialGatherer`.

    Members
    -------
    command : In(stream of ``setup``)
        A register frame of the part's configuration, by its place; not during a conversion.
    sensor : In(1)
        The frames put the temperature sensors in the place of the inputs; stable while any
        of them is sent.
    convert : In(1)
        Strobe, taken while ``idle``.
    idle : Out(1)
        The last conversion's words have all been handed on.
    samples : Out(stream)
        The words; no back-pressure.
    convst, cs_n, sclk, sdi : Out(1)
        Pins. The serial clock idles high; the parts take ``sdi`` on falling edges.
    busy : In(1)
        OR of the chips' BUSY.
    dout : In(2 * chips)
        Bit ``2 * i`` is DOUTA of chip ``i``, bit ``2 * i + 1`` its DOUTB.

    Raises
    ------
    ValueError
        As :meth:`~ohmloom.hw.afe.adc_part.AdcPart.serial_timing`.
    """

    def __init__(
        self, chips: int, clk_hz: int, part: AdcPart = PART, compact: bool = False
    ) -> None:
        lines = LINES * chips
        timing = part.serial_timing(clk_hz, chips, compact)
        # Not before this many cycles can BUSY have come through the synchroniser.
        self.blank_cycles = cycles_from_ps(part.busy_ps, clk_hz) + 2
        self.clock = SerialClock(timing, READ_BITS, idle_level=1)
        gatherer = SerialGatherer if compact else ParallelGatherer
        self.gatherer = gatherer(lines, self.clock)
        self.frames = part.configuration or (0,)
        self.sensing = part.sensing
        command = data.StructLayout({"setup": range(len(self.frames))})
        super().__init__(
            {
                "command": In(stream.Signature(command)),
                "sensor": In(1),
                "convert": In(1),
                "idle": Out(1),
                "samples": Out(stream.Signature(sample_layout(), always_ready=True)),
                "convst": Out(1),
                "busy": In(1),
                "cs_n": Out(1, init=1),
                "sclk": Out(1, init=1),
                "sdi": Out(1),
                "dout": In(lines),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.clock = clock = self.clock
        m.submodules.gatherer = gatherer = self.gatherer
        busy = Signal()
        m.submodules.busy = FFSynchronizer(self.busy, busy)

        setup = Signal(range(len(self.frames)))
        wait = Signal(range(self.blank_cycles))
        reading = Signal()
        m.d.comb += [
            self.sclk.eq(clock.sclk),
            self.cs_n.eq(~clock.select),
            clock.bits.eq(REGISTER_BITS),
            gatherer.lines.eq(self.dout),
            gatherer.enable.eq(reading),
            self.samples.valid.eq(gatherer.valid),
            self.samples.payload["column"].eq(gatherer.place),
            self.samples.payload["code"].eq(gatherer.word),
        ]
        # The first bit of every frame is 0 and already on the line.
        with m.If(clock.trailing):
            words, more = ([word << 1 for word in w] for w in (self.frames, self.sensing))
            bit = constant_bit(words, setup, clock.left[:4])
            if self.sensing:
                bit |= self.sensor & constant_bit(more, setup, clock.left[:4])
            m.d.sync += self.sdi.eq(bit)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.command.ready.eq(~self.convert)]
                with m.If(self.convert):
                    m.d.sync += [
                        self.convst.eq(1),
                        setup.eq(len(self.frames) - 1),
                        wait.eq(self.blank_cycles - 1),
                    ]
                    m.next = "BLANK"
                with m.Elif(self.command.valid):
                    m.d.comb += clock.start.eq(1)
                    m.d.sync += setup.eq(self.command.payload.setup)
                    m.next = "COMMAND"
            with m.State("COMMAND"), m.If(clock.idle):
                m.next = "IDLE"
            with m.State("BLANK"):
                with m.If(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Else():
                    m.d.sync += self.convst.eq(0)
                    m.next = "CONVERT"
            with m.State("CONVERT"), m.If(~busy):
                m.d.comb += [clock.start.eq(1), clock.bits.eq(READ_BITS)]
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += reading.eq(1)
                with m.If(clock.idle & ~gatherer.busy):
                    m.next = "IDLE"
        return m
