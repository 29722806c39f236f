"""Transfer functions of the reference array card: codes to volts and amperes, and back.

Sources: Analog Devices AD5754R data sheet (16-bit DAC, offset binary, +-10 V),
AD7606C-16 data sheet (16-bit ADC, two's complement, +-10 V single-ended).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import OhmloomError
from ...hw.afe.ad7606c import NOISE_CODES, sensor_volts
from ...hw.afe.array_card import CODES_PER_V, LIMITER_CODES
from ..numerics import (
    Z_FRACTION_BITS,
    FloatArray,
    IntArray,
    round_half_even_shift,
)
from .codes import Scales, codes_of

DAC_BITS = 16
ADC_BITS = 16
ADC_BITS_MIN = 8
ADC_MIN = -(1 << ADC_BITS - 1)
ADC_MAX = (1 << ADC_BITS - 1) - 1
GAIN_BITS = 16
INPUT_BITS_MAX = 8
Sensing = Literal["columns", "differential"]
_DAC_ZERO = 1 << DAC_BITS - 1


class ConverterError(OhmloomError, ValueError):
    """A voltage, current, code or gain outside what the card can give."""


@dataclass(frozen=True)
class Gain:
    """ADC codes per conductance code, ``mantissa / 2**shift`` with 2^15 <= mantissa < 2^16."""

    mantissa: int
    shift: int

    def __float__(self) -> float:
        return math.ldexp(self.mantissa, -self.shift)


@dataclass(frozen=True)
class Converters:
    """The converters of the reference array card.

    Attributes
    ----------
    dac_volts_span:
        Rail and gate DACs give -span .. span (one LSB less at the top) [V].
    adc_volts_span:
        The ADC takes -span .. span (one LSB less at the top) [V].
    adc_bits:
        Resolution of the ADC, 8 to 16; its codes are left-aligned in 16 bits.
    tia_ohms:
        Feedback resistors of the TIA ranges, by range index [ohm]: full scale
        2 mA, 200 uA, and so on to 20 nA.
    source_ohms:
        Scaling resistors of the current source, by range index [ohm]: a rail code of V
        gives V / R, full scale 10 uA, 1 uA, 100 nA, 10 nA. None: there is no source.
    gate_threshold, gate_k:
        Gate transistor in saturation, I_cc = k (V_gate - V_t)^2 [V, A/V^2].
        Assumed: a small logic-level MOSFET; it covers 10 uA (1.2 V) to 1 mA
        (3 V), with a step below 0.4 % of I_cc at either end. A real card replaces
        the law by its measured table.
    gate_on_volts:
        Gate voltage of a transistor that is fully on [V]; assumed, 4 mA.
    limiter_volts:
        Gate voltage of the transistor that limits rail B's current in a passive array.
    celsius:
        Temperature of the ADC's dice [degC], which their sensors give; None: they have none.
    input_bits:
        Of a DAC at each row, 1 to 8; 1: a switch, as the card has. In simulation alone.
    sensing:
        ``columns``: every column is converted, as the card does. ``differential``: the
        difference of the currents of a pair is. In simulation alone.
    """

    dac_volts_span: float = 10.0
    adc_volts_span: float = 10.0
    adc_bits: int = ADC_BITS
    tia_ohms: tuple[float, ...] = (5e3, 50e3, 500e3, 5e6, 50e6, 500e6)
    source_ohms: tuple[float, ...] = (1e6, 1e7, 1e8, 1e9)
    gate_threshold: float = 1.0
    gate_k: float = 250e-6
    gate_on_volts: float = 5.0
    limiter_volts: float = LIMITER_CODES / CODES_PER_V
    celsius: float | None = 25.0
    input_bits: int = 1
    sensing: Sensing = "columns"

    def __post_init__(self) -> None:
        if not 1 <= self.input_bits <= INPUT_BITS_MAX:
            raise ConverterError(
                f"a row DAC of {self.input_bits} bits, 1 to {INPUT_BITS_MAX} are accepted"
            )
        if self.sensing not in get_args(Sensing):
            raise ConverterError(
                f"sensing '{self.sensing}', {' and '.join(get_args(Sensing))} are accepted"
            )
        if not ADC_BITS_MIN <= self.adc_bits <= ADC_BITS:
            raise ConverterError(
                f"an ADC of {self.adc_bits} bits, {ADC_BITS_MIN} to {ADC_BITS} are accepted"
            )

    def require_card(self) -> None:
        """Refuse what the array card does not do.

        Raises
        ------
        ConverterError
            If a row has a DAC, or pairs are sensed together.
        """
        if self.input_bits != 1 or self.sensing != "columns":
            raise ConverterError(
                f"rows are driven by {self.input_bits} bits and sensing is '{self.sensing}', which "
                "the array card does not do: only the numpy engine does, on the target 'simulated'"
            )

    def conversions(self, planes: int, columns: int, *, pairs: bool) -> int:
        """That a product of so many planes takes, of all columns of a tile.

        ``pairs``: an output is a pair of columns.
        """
        joined = pairs and self.sensing == "differential"
        return -(-planes // self.input_bits) * (columns // 2 if joined else columns)

    @classmethod
    def counting(cls, g_lsb: float, v_read: float) -> Self:
        """Converters of one TIA range whose codes are conductance codes of ``g_lsb`` [S].

        Without noise no conversion at ``v_read`` [V] rounds anything: for comparisons that
        have to be exact.
        """
        card = cls()
        ohms = card.adc_lsb / (card.dac_volts(card.read_code(v_read)) * g_lsb)
        return cls(tia_ohms=(ohms,))

    @property
    def dac_lsb(self) -> float:
        """Volts of one DAC code."""
        return self.dac_volts_span / _DAC_ZERO

    @property
    def adc_lsb(self) -> float:
        """Volts of one ADC code."""
        return self.adc_volts_span / (ADC_MAX + 1)

    def dac_code(self, volts: float) -> int:
        """Offset-binary code nearest to ``volts``.

        Raises
        ------
        ConverterError
            If the DAC does not reach that far.
        """
        span = self.dac_volts_span
        if not -span <= volts <= span - self.dac_lsb / 2:
            raise ConverterError(f"{volts:g} V is outside the DAC's {-span:g}..{span:g} V")
        return min(round(volts / self.dac_lsb) + _DAC_ZERO, (1 << DAC_BITS) - 1)

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
        return code - (self.dac_volts(code) > v_read)

    def dac_volts(self, code: int) -> float:
        """Volts of an offset-binary code; exact.

        Raises
        ------
        ConverterError
            If the code has more than 16 bits.
        """
        if not 0 <= code < 1 << DAC_BITS:
            raise ConverterError(f"DAC code {code} is outside 0..{(1 << DAC_BITS) - 1}")
        return (code - _DAC_ZERO) * self.dac_lsb

    @property
    def gate_on_code(self) -> int:
        """Gate DAC code of a transistor that is fully on."""
        return self.dac_code(self.gate_on_volts)

    @property
    def limiter_code(self) -> int:
        """Gate DAC code of what the limiter of a passive array has."""
        return self.dac_code(self.limiter_volts)

    @property
    def limiter_a(self) -> float:
        """Compliance current of a passive array [A]."""
        return float(self.i_cc(self.limiter_code))

    @cached_property
    def _gate_currents(self) -> FloatArray:
        """I_cc of every gate DAC code, shape (65536,) [A]."""
        volts = (np.arange(1 << DAC_BITS) - _DAC_ZERO) * self.dac_lsb
        overdrive = np.maximum(volts - self.gate_threshold, 0.0)
        return self.gate_k * (overdrive * overdrive)

    def i_cc(self, gate_code: ArrayLike) -> FloatArray:
        """Compliance current [A] of gate DAC codes; monotone, 0 below threshold."""
        codes = np.asarray(gate_code, dtype=np.int64)
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << DAC_BITS:
            raise ConverterError(f"gate codes are not all in 0..{(1 << DAC_BITS) - 1}")
        return self._gate_currents[codes]

    def gate_code(self, i_cc: ArrayLike) -> IntArray:
        """Gate DAC codes whose compliance current is nearest to ``i_cc`` [A].

        Raises
        ------
        ConverterError
            If a current is not above zero or is more than the transistor gives.
        """
        wanted = np.asarray(i_cc, dtype=np.float64)
        table = self._gate_currents
        if not ((wanted > 0) & (wanted <= table[-1])).all():
            raise ConverterError(f"I_cc is not in 0..{table[-1]:.4g} A, what the gate can set")
        above = np.searchsorted(table, wanted)
        below = above - 1
        return np.where(wanted - table[below] <= table[above] - wanted, below, above)

    def gain(self, g_lsb: float, v_read: float, tia_range: int) -> Gain:
        """ADC codes per conductance code of ``g_lsb`` [S] at ``v_read`` [V].

        ``v_read`` counts as the voltage that the rail DAC really gives for it
        (:meth:`read_code`).

        Raises
        ------
        ConverterError
            On an unknown TIA range, or a gain that is not above 0 and below 2**15.
        """
        if not 0 <= tia_range < len(self.tia_ohms):
            raise ConverterError(
                f"TIA range {tia_range} does not exist, there are {len(self.tia_ohms)}"
            )
        volts = self.dac_volts(self.read_code(v_read))
        ratio = volts * g_lsb * self.tia_ohms[tia_range] / self.adc_lsb
        if not 0 < ratio < 1 << GAIN_BITS - 1:
            raise ConverterError(
                f"V_read = {volts:g} V gives {ratio:g} ADC codes per conductance code, "
                f"accepted is a number above 0 and below {1 << GAIN_BITS - 1}"
            )
        fraction, exponent = math.frexp(ratio)
        mantissa = round(math.ldexp(fraction, GAIN_BITS))
        shift = GAIN_BITS - exponent
        if mantissa == 1 << GAIN_BITS:
            mantissa, shift = mantissa >> 1, shift - 1
        if shift > 63:
            raise ConverterError(f"a gain of {ratio:g} is too small to be scaled by a shift")
        return Gain(mantissa, shift)

    def current_codes(self, amperes: ArrayLike, tia_range: int) -> IntArray:
        """ADC codes of column currents [A], rounded half to even and clipped at the rails.

        Raises
        ------
        ConverterError
            On an unknown TIA range.
        """
        if not 0 <= tia_range < len(self.tia_ohms):
            raise ConverterError(
                f"TIA range {tia_range} does not exist, there are {len(self.tia_ohms)}"
            )
        return self.voltage_codes(np.asarray(amperes, dtype=np.float64) * self.tia_ohms[tia_range])

    def source_amperes(self, code: int, source_range: int) -> float:
        """Current [A] of the source at a rail code, positive into the row.

        Raises
        ------
        ConverterError
            If there is no such range, or no source at all.
        """
        if not 0 <= source_range < len(self.source_ohms):
            raise ConverterError(
                f"range {source_range} of the current source does not exist, "
                f"there are {len(self.source_ohms)}"
            )
        return self.dac_volts(code) / self.source_ohms[source_range]

    def voltage_codes(self, volts: ArrayLike) -> IntArray:
        """ADC codes of voltages behind the buffer [V], half to even, clipped at the rails."""
        steps = np.rint(np.asarray(volts, np.float64) / (self.adc_lsb * (1 << self._dropped)))
        half = 1 << self.adc_bits - 1
        return self._aligned(np.clip(steps, -half, half - 1).astype(np.int64))

    def temperature_codes(self, z: ArrayLike) -> IntArray:
        """ADC codes of its temperature sensors, with the converter's noise.

        Parameters
        ----------
        z:
            Normal deviates, 12 fraction bits.

        Raises
        ------
        ConverterError
            If it has none, or is at a temperature that no part works at.
        """
        if self.celsius is None:
            raise ConverterError("these converters have no temperature sensor")
        if not -100 <= self.celsius <= 300:
            raise ConverterError(f"converters at {self.celsius:g} degC, accepted is -100 to 300")
        one = 1 << Z_FRACTION_BITS
        mean = round(sensor_volts(self.celsius) / self.adc_lsb * one)
        noise = np.asarray(z, dtype=np.int64) * round(NOISE_CODES * one) >> Z_FRACTION_BITS
        return np.clip(round_half_even_shift(mean + noise, Z_FRACTION_BITS), ADC_MIN, ADC_MAX)

    def convert(
        self, total: ArrayLike, variance: ArrayLike, z: ArrayLike, gain: Gain, var_exponent: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """ADC codes of exact column sums, and where they are at either rail.

        Parameters
        ----------
        total, variance:
            Sums of conductance codes and of variance codes over the driven rows.
        z:
            Normal deviates, 12 fraction bits.
        gain, var_exponent:
            Scales of the sums (``docs/numerics.md``).

        Returns
        -------
        codes, saturated:
            int64 and bool, of the broadcast shape. A code at a rail counts as
            saturated, since nothing behind the ADC can tell it from a clipped one.
        """
        scales = self._scales(gain, var_exponent)
        steps, saturated = codes_of(total, variance, z, scales)
        return self._aligned(steps), saturated

    def scales(self, gain: Gain, var_exponent: int) -> Scales | None:
        """All that :meth:`convert` does; None where it does something else."""
        return self._scales(gain, var_exponent)

    def _scales(self, gain: Gain, var_exponent: int) -> Scales:
        half, shift = 1 << self.adc_bits - 1, gain.shift + self._dropped
        fraction = Z_FRACTION_BITS + var_exponent
        return Scales(gain.mantissa, shift, fraction, -half, half - 1, self._dropped, ADC_MAX)

    @property
    def _dropped(self) -> int:
        """Bits below those of the ADC."""
        return ADC_BITS - self.adc_bits

    def _aligned(self, steps: IntArray) -> IntArray:
        """Codes of the ADC's steps: left-aligned in 16 bits, its last step at the rail."""
        if not self._dropped:
            return steps
        return np.where(steps == (1 << self.adc_bits - 1) - 1, ADC_MAX, steps << self._dropped)
