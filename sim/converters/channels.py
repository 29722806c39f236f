"""What tells one channel from the next: gain and offset errors, and the table that mends them.

A table has a word for each TIA range and column (:mod:`ohmloom.hw.tables`). Errors are
integers too, so that every engine gets the same codes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...hw.afe.tia import RANGES
from ...hw.ranges import TEMPERATURE_RANGE
from ...hw.tables import GAIN_FRACTION_BITS, unpack_entry
from ..numerics import FloatArray, IntArray, round_half_even_shift
from .card import ADC_MAX, ADC_MIN, ConverterError, Converters, Gain
from .codes import Scales

ERROR_BITS = 20
"""Fraction bits of a gain error."""
OFFSET_CODES = 10
"""Largest offset that is drawn, in codes: within what every range allows an open column."""


@dataclass(frozen=True)
class Channels:
    """Errors of the channels of a card.

    Attributes
    ----------
    gain:
        Relative gain errors, shape (ranges, columns), integers of ``2**-20``.
    offset:
        Offsets in ADC codes, of the same shape.
    """

    gain: IntArray
    offset: IntArray

    def __post_init__(self) -> None:
        if self.gain.shape != self.offset.shape or self.gain.ndim != 2:
            raise ConverterError(
                f"gain errors of shape {self.gain.shape} and offsets of shape "
                f"{self.offset.shape}, expected (ranges, columns) twice"
            )

    @classmethod
    def of(cls, gain: ArrayLike, offset: ArrayLike) -> Channels:
        """From relative gain errors and offsets in codes, rounded."""
        scaled = np.rint(np.asarray(gain, np.float64) * (1 << ERROR_BITS)).astype(np.int64)
        return cls(scaled, np.rint(np.asarray(offset, np.float64)).astype(np.int64))

    @classmethod
    def drawn(cls, columns: int, seed: int, scale: float = 1.0) -> Channels:
        """Uniform in ``scale`` times what the parts' tolerances allow: 1 is a sound card."""
        rng = np.random.default_rng(seed)
        shape = (len(RANGES), columns)
        tolerance = np.array([[network.tolerance] for network in RANGES])
        gain = scale * tolerance * rng.uniform(-1, 1, shape)
        return cls.of(gain, scale * rng.integers(-OFFSET_CODES, OFFSET_CODES + 1, shape))


def calibrate(codes: ArrayLike, gain: ArrayLike, offset: ArrayLike) -> IntArray:
    """``clamp(round_half_even(code * gain / 2^15) + offset)``; a code at a rail stays there."""
    codes = np.asarray(codes, dtype=np.int64)
    mended = round_half_even_shift(codes * np.asarray(gain, np.int64), GAIN_FRACTION_BITS)
    mended = np.clip(mended + np.asarray(offset, np.int64), ADC_MIN, ADC_MAX)
    return np.where((codes == ADC_MIN) | (codes == ADC_MAX), codes, mended)


class Readout:
    """From column sums or currents to the codes that an engine of the controller gets.

    Parameters
    ----------
    converters:
        Transfer functions of an ideal card.
    channels:
        Errors of its channels; None: there are none.
    table:
        Calibration words, shape (ranges, columns); None: the controller has no table, or
        one that changes nothing.
    """

    def __init__(
        self,
        converters: Converters,
        channels: Channels | None = None,
        table: ArrayLike | None = None,
    ) -> None:
        self.converters = converters
        self.channels = channels
        self._mend: tuple[IntArray, IntArray] | None = None
        if table is not None:
            words = np.asarray(table)
            gain, offset = np.array(
                [[unpack_entry(int(word)) for word in row] for row in words], np.int64
            ).transpose(2, 0, 1)
            self._mend = gain, offset

    def convert(
        self,
        total: ArrayLike,
        variance: ArrayLike,
        z: ArrayLike,
        gain: Gain,
        var_exponent: int,
        tia_range: int,
        columns: IntArray | slice,
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """Codes of exact column sums, as of :meth:`Converters.convert`, and which are at a rail.

        ``columns`` are those of the last axis.
        """
        if self.channels is not None:
            error = self.channels.gain[tia_range, columns]
            mantissa = gain.mantissa + round_half_even_shift(gain.mantissa * error, ERROR_BITS)
            gain = replace(gain, mantissa=mantissa)
        codes, saturated = self.converters.convert(total, variance, z, gain, var_exponent)
        return self._codes(codes, saturated, tia_range, columns)

    def scales(self, gain: Gain, var_exponent: int) -> Scales | None:
        """All that :meth:`convert` does to any column; None where it does something else."""
        if self.channels is not None or self._mend is not None:
            return None
        return self.converters.scales(gain, var_exponent)

    def current_codes(
        self, amperes: ArrayLike, tia_range: int, columns: IntArray | slice
    ) -> IntArray:
        """Codes of column currents [A]."""
        amperes = np.asarray(amperes, dtype=np.float64)
        if self.channels is not None:
            factor: FloatArray = 1 + self.channels.gain[tia_range, columns] / (1 << ERROR_BITS)
            amperes = amperes * factor
        codes = self.converters.current_codes(amperes, tia_range)
        return self._codes(codes, (codes == ADC_MIN) | (codes == ADC_MAX), tia_range, columns)[0]

    def temperature_codes(self, z: ArrayLike, columns: IntArray | slice) -> IntArray:
        """Codes of the converters' temperature sensors; TIAs and their errors are not in them."""
        codes = self.converters.temperature_codes(z)
        if self._mend is not None:
            gain, offset = self._mend
            codes = calibrate(
                codes, gain[TEMPERATURE_RANGE, columns], offset[TEMPERATURE_RANGE, columns]
            )
        return codes

    def _codes(
        self,
        codes: IntArray,
        saturated: NDArray[np.bool_],
        tia_range: int,
        columns: IntArray | slice,
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        if self.channels is not None:
            shifted = np.clip(codes + self.channels.offset[tia_range, columns], ADC_MIN, ADC_MAX)
            codes = np.where(saturated, codes, shifted)
        if self._mend is not None:
            gain, offset = self._mend
            codes = calibrate(codes, gain[tia_range, columns], offset[tia_range, columns])
        if self.channels is not None or self._mend is not None:
            saturated = (codes == ADC_MIN) | (codes == ADC_MAX)
        return codes, saturated
