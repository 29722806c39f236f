"""Transfer functions of the pmod front end: codes to volts and amperes, and back.

Sources: Analog Devices AD5628 data sheet (12-bit DAC, 0 to 2.5 V, mid-rail at 1.25 V) and
AD7476A data sheet, Rev. F (12-bit ADC, straight binary, 0 to its supply). Codes stay 16
bits wide, as everywhere: rail codes lose their lowest four bits, conversions have four
zeros there, and what is within ``CLIP_CODES`` of either end is the 16-bit rail
(``hw/afe/pmod.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..devices import Device
from ..numerics import Z_FRACTION_BITS, FloatArray, IntArray, isqrt, round_half_even_shift
from .card import ADC_BITS, ADC_MAX, ADC_MIN, DAC_BITS, ConverterError, Converters, Gain

CLIP_CODES = 64
"""As the front end's: a code so near to an end counts as the end."""
LIMITS = 3
LIMIT_BASE = 0x8
"""The upper four bits of a GATE_PROGRAM code are this number plus the resistor's."""
GATE_ON_CODE = 0xC000
"""Above the resistors' codes, so that it counts for more than they do."""
BITS = 12
DROPPED = DAC_BITS - BITS
"""Lowest bits of a 16-bit code that the parts do not have."""
_DAC_MID = 1 << BITS - 1
_CLIP = (1 << BITS - 1) - CLIP_CODES
LIMIT_TOLERANCE = 0.05
"""A wanted I_cc may differ so much from a resistor's: assumed, a 5 % resistor."""
SUPPLY_V = 3.3
"""Of the Pmod headers; full scale of the AD7476A."""
STAGE_GAIN = 1.5
"""Of the stage between TIA and converter: 15 kohm over 10 kohm. The converter clips
before the TIA does, so that clipping is always seen."""


@dataclass(frozen=True)
class PmodConverters(Converters):
    """The converters of the pmod front end.

    Attributes
    ----------
    dac_volts_span:
        Rails give -span .. span around mid-rail (one LSB of 12 bits less at the top) [V].
    adc_volts_span:
        Of the TIA's output around mid-rail that the converter covers [V].
    tia_ohms:
        The one feedback resistor [ohm]: full scale 234 uA.
    source_ohms:
        There is no current source.
    limit_amperes:
        I_cc of the fixed resistors, ascending, three at most [A]. A resistor of
        V_SET / I_cc passes I_cc into a cell of no resistance: an upper bound, since a
        resistor is no current source.
    gate_threshold, gate_k, gate_on_volts:
        Not used: gates are on or off.
    celsius:
        There is no temperature sensor.
    """

    dac_volts_span: float = 1.25
    adc_volts_span: float = SUPPLY_V / 2 / STAGE_GAIN
    tia_ohms: tuple[float, ...] = (4.7e3,)
    source_ohms: tuple[float, ...] = ()
    limit_amperes: tuple[float, ...] = ()
    celsius: float | None = None

    def __post_init__(self) -> None:
        values = self.limit_amperes
        if len(values) > LIMITS or list(values) != sorted({v for v in values if v > 0}):
            raise ConverterError(
                f"limit_amperes = {values}: accepted are at most {LIMITS} currents above 0, "
                "ascending"
            )

    def dac_code(self, volts: float) -> int:
        """Offset-binary code nearest to ``volts``, its lowest four bits zero.

        Raises
        ------
        ConverterError
            If the DAC does not reach that far.
        """
        lsb = self.dac_lsb * (1 << DROPPED)
        span = self.dac_volts_span
        if not -span <= volts <= span - lsb / 2:
            raise ConverterError(f"{volts:g} V is outside the DAC's {-span:g}..{span - lsb:g} V")
        return min(round(volts / lsb) + _DAC_MID, (1 << BITS) - 1) << DROPPED

    def read_code(self, v_read: float) -> int:
        """Offset-binary code nearest to ``v_read`` but not above it: a read must not disturb.

        Raises
        ------
        ConverterError
            If ``v_read`` is negative or the DAC does not reach that far.
        """
        code = self.dac_code(v_read)
        if v_read < 0:
            raise ConverterError(f"V_read = {v_read:g} V is negative, accepted is one above 0")
        return code - (int(self.dac_volts(code) > v_read) << DROPPED)

    def dac_volts(self, code: int) -> float:
        """Volts against mid-rail of an offset-binary code; its lowest four bits do not count.

        Raises
        ------
        ConverterError
            If the code has more than 16 bits.
        """
        return super().dac_volts(code >> DROPPED << DROPPED)

    @property
    def gate_on_code(self) -> int:
        """Code of a gate that is on with a wire behind it; the gates have no DAC."""
        return GATE_ON_CODE

    def i_cc(self, gate_code: ArrayLike) -> FloatArray:
        """Compliance current [A] of gate codes; 0 where a code stands for no resistor."""
        codes = np.asarray(gate_code, dtype=np.int64)
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << DAC_BITS:
            raise ConverterError(f"gate codes are not all in 0..{(1 << DAC_BITS) - 1}")
        table = np.zeros(16)
        first = LIMIT_BASE + 1
        table[first : first + len(self.limit_amperes)] = self.limit_amperes
        return table[codes >> DAC_BITS - 4]

    def gate_code(self, i_cc: ArrayLike) -> IntArray:
        """Gate codes of the resistors whose current is nearest to ``i_cc`` [A].

        Raises
        ------
        ConverterError
            If no resistor is within ``LIMIT_TOLERANCE`` of a current.
        """
        wanted = np.asarray(i_cc, dtype=np.float64)
        limits = np.array(self.limit_amperes)
        if not limits.size:
            raise ConverterError("no resistor for I_cc has been chosen")
        off = np.abs(wanted[..., np.newaxis] / limits - 1)
        if (off.min(axis=-1) > LIMIT_TOLERANCE).any():
            worst = float(wanted.reshape(-1)[int(off.min(axis=-1).argmax())])
            raise ConverterError(
                f"I_cc = {worst:.4g} A, the resistors are for "
                + ", ".join(f"{value:.4g} A" for value in limits)
            )
        return (LIMIT_BASE + 1 + off.argmin(axis=-1)) << DAC_BITS - 4

    def convert(
        self, total: ArrayLike, variance: ArrayLike, z: ArrayLike, gain: Gain, var_exponent: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """ADC codes of exact column sums, and where they are at either rail.

        Rounded once, half to even, to 12 bits; then left-aligned. See
        :meth:`Converters.convert`.
        """
        total = np.asarray(total, dtype=np.int64)
        sigma = isqrt(variance)
        z = np.asarray(z, dtype=np.int64)
        noise = (z * sigma * gain.mantissa) >> (Z_FRACTION_BITS + var_exponent)
        short = round_half_even_shift(total * gain.mantissa + noise, gain.shift + DROPPED)
        low, high = short < -_CLIP, short >= _CLIP
        codes = np.where(low, ADC_MIN, np.where(high, ADC_MAX, short << DROPPED))
        return codes.astype(np.int64), low | high

    def scales(self, gain: Gain, var_exponent: int) -> None:
        """None: codes at the rails are others."""

    @staticmethod
    def raw(codes: ArrayLike) -> IntArray:
        """What the AD7476A gives for codes of :meth:`convert`: straight binary, 12 bits."""
        return (np.asarray(codes, dtype=np.int64) + (1 << ADC_BITS - 1)) >> DROPPED


def for_device(device: Device, rows: int) -> PmodConverters:
    """The front end with resistors for a device.

    Parameters
    ----------
    device:
        The cells.
    rows:
        Rows that may be driven at once.

    Raises
    ------
    ConverterError
        If the device needs more than the front end has; one sentence with its name and
        every number that is missing.
    """
    currents = tuple(sorted({float(value) for value in device.level_i_cc}))
    card = PmodConverters()
    span, lsb = card.dac_volts_span, card.dac_lsb * (1 << DROPPED)
    missing = [
        f"{what} at {volts:g} V, it gives {-span:g} to {span - lsb:.4g} V"
        for what, volts in (
            ("SET", device.v_set),
            ("RESET", device.v_reset),
            ("read", device.v_read),
        )
        if not -span <= volts <= span - lsb / 2
    ]
    if len(currents) > LIMITS:
        missing.append(
            f"{len(currents)} compliance currents from {currents[0]:.4g} to {currents[-1]:.4g} A, "
            f"it has {LIMITS} resistors"
        )
    amperes = rows * float(device.levels[-1]) * device.v_read
    full_scale = card.adc_volts_span * _CLIP / _DAC_MID / card.tia_ohms[0]
    if amperes > full_scale:
        missing.append(
            f"{amperes:.4g} A in a column of {rows} rows, its TIA takes {full_scale:.4g} A"
        )
    if missing:
        raise ConverterError(f"{device.name} does not fit the pmod front end: {'; '.join(missing)}")
    return PmodConverters(limit_amperes=currents)
