"""The card of known resistors: a quasi-static I-V of each, judged by what a reading is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...hw.afe.ad5754r import FULL_SCALE_V, ZERO_CODE
from ...hw.afe.tia import RANGES as TIA_RANGES
from ...hw.afe.tia import VOLTS_PER_CODE, uncertainty
from ..reader import Reads, rail_code
from ..selftest import (
    OPEN_ROW,
    PATH_OFF_OHMS,
    PATH_OHMS,
    RAIL,
    REFERENCES,
    TEST_V,
    reference_ohms,
)
from .errors import BenchError

AVERAGE = 6
"""Base-two logarithm of the conversions of a reading."""


@dataclass(frozen=True)
class ResistorReading:
    """A resistor at one voltage.

    Attributes
    ----------
    row, column:
        Where it is.
    volts, amperes:
        Of the rail, and of the column in the TIA range that fits.
    tia_range:
        That range.
    expected_ohms:
        The resistor, without what is in series with it; infinite: open.
    off_amperes:
        What the current may be off by, at most: the channel, the rail, and the card.
    saturated:
        A conversion was at a rail.
    """

    row: int
    column: int
    volts: float
    amperes: float
    tia_range: int
    expected_ohms: float
    off_amperes: float
    saturated: bool

    @property
    def expected_amperes(self) -> float:
        """What a resistor that is right takes [A]."""
        return self.volts / (self.expected_ohms + PATH_OHMS)

    @property
    def ohms(self) -> float:
        """Resistance found, without what is in series [ohm]; infinite without a current."""
        return self.volts / self.amperes - PATH_OHMS if self.amperes > 0 else math.inf

    @property
    def off_ohms(self) -> float:
        """What that may be off by [ohm]; infinite for an open crossing."""
        if math.isinf(self.expected_ohms):
            return math.inf
        return self.expected_ohms * self.off_amperes / self.expected_amperes

    @property
    def passed(self) -> bool:
        """Whether the current is as expected, within what it may be off by."""
        wrong = abs(self.amperes - self.expected_amperes)
        return not self.saturated and wrong <= self.off_amperes


def measure(reads: Reads, volts: Sequence[float]) -> Iterator[ResistorReading]:
    """Every resistor of the card, which is tile 0, and its open row, at each voltage.

    Raises
    ------
    BenchError
        If a voltage is not above 0 and up to what the resistors are made for, or the
        controller has too few rows.
    """
    info = reads.info
    for value in volts:
        if not 0 < value <= TEST_V:
            raise BenchError(
                f"{value:g} V on the card of resistors, accepted is above 0 and up to {TEST_V:g} V"
            )
    if info.rows <= OPEN_ROW:
        raise BenchError(
            f"the card of resistors has {OPEN_ROW + 1} rows, the controller {info.rows}"
        )
    for row in range(OPEN_ROW + 1):
        ohms = reference_ohms(row) if row < OPEN_ROW else math.inf
        for value in volts:
            made = (rail_code(value) - ZERO_CODE) * FULL_SCALE_V / ZERO_CODE
            readings = reads.read(0, row * info.columns, info.columns, value, None, AVERAGE)
            for column, found in enumerate(readings):
                unit = VOLTS_PER_CODE / TIA_RANGES[found.tia_range].ohms
                expected = made / (ohms + PATH_OHMS)
                channel = uncertainty(found.tia_range, AVERAGE, ohms).codes(expected / unit) * unit
                card = 0.0
                if row < OPEN_ROW:
                    # The rail is off by as many volts at every voltage.
                    card = REFERENCES[row] + PATH_OFF_OHMS / ohms + RAIL * TEST_V / value
                yield ResistorReading(
                    row, column, made, found.amperes, found.tia_range, ohms,
                    channel + card * expected, found.saturated,
                )  # fmt: skip
