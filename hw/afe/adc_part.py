"""The numbers of a simultaneous-sampling converter, and what follows from them.

The eight-channel parts of the AD7606 family differ in their numbers and in their registers,
not in how they are converted and read: one bank (:class:`~ohmloom.hw.afe.ad7606c.AdcBank`)
and one model serve them, each with an :class:`AdcPart`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .interface import cycles_from_ps
from .power import Power
from .spi import SerialTiming

CHANNELS = 8
LINES = 2
"""Data lines per chip: DOUTA carries V1 to V4, DOUTB V5 to V8."""
CODE_BITS = 16
READ_BITS = CODE_BITS * CHANNELS // LINES


@dataclass(frozen=True)
class AdcPart:
    """A part of the family; times in picoseconds.

    Attributes
    ----------
    name:
        The part.
    sclk_max_hz:
        Highest serial clock.
    sclk_level_ps:
        Shortest time at either level of the serial clock.
    cs_to_sclk_ps, cs_high_ps:
        Select low to the first edge of the clock, select high between two frames.
    msb_ps, bit_ps:
        Select, and rising clock edge, to valid data at the part's pin, at most.
    board_ps:
        From there into the controller.
    convst_ps:
        Shortest time at either level of CONVST.
    busy_ps:
        CONVST rising to BUSY rising, at most.
    convert_ps:
        CONVST rising to BUSY falling, at most.
    acquire_ps:
        BUSY falling to the next rising edge of CONVST.
    cycle_ps:
        Between two rising edges of CONVST.
    reset_ps, reset_driven_ps:
        Width of a full reset: at least, and as the card gives it.
    setup_ps, setup_driven_ps:
        End of a full reset to the first access: at least, and as the card waits.
    bandwidth_hz:
        -3 dB frequency of the input filter at +-10 V.
    order:
        Of that filter: 1, a single pole, or 2, a Butterworth filter.
    noise_codes:
        Of one conversion, rms.
    power:
        What it takes; converting all of the time it is ``conversion_j / cycle_ps`` more.
    configuration:
        Frames that write the card's settings; none: the part has no registers.
    sdi_ps:
        Set-up and hold times of their bits.
    sensing:
        Bits that are set in each of these frames besides while the parts are to convert their
        own temperature sensors; none: they cannot.
    sensor_ps:
        From such a frame until the sensor has settled.
    """

    name: str
    sclk_max_hz: int
    sclk_level_ps: int
    cs_to_sclk_ps: int
    cs_high_ps: int
    msb_ps: int
    bit_ps: int
    board_ps: int
    convst_ps: int
    busy_ps: int
    convert_ps: int
    acquire_ps: int
    cycle_ps: int
    reset_ps: int
    reset_driven_ps: int
    setup_ps: int
    setup_driven_ps: int
    bandwidth_hz: int
    order: int
    noise_codes: float
    power: Power
    configuration: tuple[int, ...] = ()
    sdi_ps: int = 0
    sensing: tuple[int, ...] = ()
    sensor_ps: int = 0

    @property
    def filter_ps(self) -> int:
        """Time constant of the input filter's step response, rounded up.

        sqrt(order) / (2 pi f): a Butterworth filter of second order has its poles at
        (-1 +- j) 2 pi f / sqrt(2).
        """
        return math.ceil(10**12 * math.sqrt(self.order) / (2 * math.pi * self.bandwidth_hz))

    @property
    def settle_taus(self) -> float:
        """Time constants until the remainder of a full-scale step is half an LSB.

        ln(2^17), and for second order ln(sqrt(2) 2^17): its remainder is
        sqrt(2) exp(-t / tau) sin(t / tau + pi / 4).
        """
        return math.log(math.sqrt(self.order) * 2 ** (CODE_BITS + 1))

    def serial_timing(self, clk_hz: int, chips: int = 1, compact: bool = False) -> SerialTiming:
        """Phases of a frame at ``clk_hz``: half a period must also hold the data's way back.

        ``compact``: a period has a cycle for each data line, and so has the time before the
        first edge; the first line's bit is taken a cycle after its edge.

        Raises
        ------
        ValueError
            If bits come too late for a compact card, or the words of so many chips cannot
            be handed on while the next ones arrive.
        """
        half_ps = max(self.sclk_level_ps, self.bit_ps + self.board_ps, self.sdi_ps)
        lead_ps = max(self.cs_to_sclk_ps, self.msb_ps + self.board_ps)
        fastest = SerialTiming.of_part(clk_hz, self.sclk_max_hz, half_ps, lead_ps, self.cs_high_ps)
        if not compact:
            lines, word_cycles = LINES * chips, 2 * fastest.half * CODE_BITS
            if lines > word_cycles:
                raise ValueError(
                    f"{chips} ADC chips give {lines} words every {word_cycles} cycles at "
                    f"{clk_hz} Hz, one a cycle can be handed on: at most "
                    f"{word_cycles // LINES} chips"
                )
            return fastest
        late_ps = self.bit_ps + self.board_ps
        if late_ps * clk_hz > 10**12:
            raise ValueError(
                f"bits of {self.name} come {late_ps} ps after their edge, a compact card takes "
                f"the first one after a cycle: at most {10**12 // late_ps} Hz, not {clk_hz} Hz"
            )
        half = max(fastest.half, -(-LINES * chips // 2))
        return replace(fastest, half=half, lead=max(fastest.lead, half))

    def read_start_cycle(self, clk_hz: int) -> int:
        """Cycle, counted from the convert strobe, in which the read-out starts.

        CONVST rises after one cycle, BUSY is high for the conversion, and its fall
        passes two synchroniser stages.
        """
        return cycles_from_ps(self.convert_ps, clk_hz) + 3

    def readout_cycles(self, chips: int, clk_hz: int, compact: bool = False) -> int:
        """Cycles from one convert strobe to the earliest next one.

        The frame must be over and the last word of every line handed on, whichever
        is later; one more cycle closes the read-out. The read-out is longer than the
        acquisition, which goes on meanwhile.
        """
        timing = self.serial_timing(clk_hz, chips, compact)
        frame = timing.frame_cycles(READ_BITS)
        if not compact:
            frame = max(frame, timing.edge_cycle(READ_BITS - 1) + 1 + LINES * chips)
        return self.read_start_cycle(clk_hz) + frame + 1
