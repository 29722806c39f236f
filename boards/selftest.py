"""Self-test and calibration with a card of known resistors in place of the array.

Row ``n`` of the card has a resistor for TIA range ``n`` in every column, and the row
after the last one is open. Each resistor brings its range to eight tenths of full scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import OhmloomError
from ..hw.afe.cards import FRONT_ENDS
from ..hw.afe.tia import RANGES, VOLTS_PER_CODE, uncertainty
from ..hw.geometry import Feature
from ..hw.isa import Op
from ..hw.link.protocol import Info
from ..hw.ranges import RANGE_BITS
from ..hw.tables import ENTRY_FIELDS, GAIN_FRACTION_BITS, IDENTITY, pack_entry, table_columns
from .reader import Reading, Reads

TEST_V = 2.5
"""On rail A: the highest that the guard lets through, so that the path counts least."""
GLIMPSE_V = 0.1
"""On rail A while nobody knows whether these are resistors: no cell is disturbed by it."""
ALIKE = 0.5
"""Of a resistor's current, by which a glimpse may be off: offsets and all."""
USED = 0.8
"""Part of full scale that a resistor uses."""
PATH_OHMS = 4.0
PATH_OFF_OHMS = 1.0
"""assumed: two closed ADGS1414D switches of 1.5 ohm and a gate transistor of 1 ohm, all
in series with the resistor, and by how much that may be off."""
REFERENCES = (1e-4, 1e-4, 1e-4, 1e-3, 1e-3, 5e-3)
"""assumed: tolerance of the resistor for each range; metal foil up to 156 kohm."""
RAIL = 1e-3
"""assumed: of rail A at ``TEST_V``; AD5754R with its own reference."""
READ_NOISE = 2e-5
"""assumed: noise of a resistor's reading, relative, beside the front end's own."""
AVERAGE = 6
OPEN_ROW = len(RANGES)


class CalibrationError(OhmloomError, RuntimeError):
    """A channel that a table must not mend, because something is broken."""


def reference_ohms(tia_range: int) -> float:
    """The resistor of a range, without what is in series with it."""
    return TEST_V / (USED * RANGES[tia_range].amperes)


def card_ohms(rows: int, columns: int) -> list[list[float]]:
    """The card of resistors as the lines see it, ``rows`` of ``columns``: infinite is open."""
    each = [reference_ohms(tia_range) + PATH_OHMS for tia_range in range(len(RANGES))]
    return [[each[row] if row < OPEN_ROW else math.inf] * columns for row in range(rows)]


def expected_code(tia_range: int) -> float:
    """Code of a range's resistor in that range."""
    amperes = TEST_V / (reference_ohms(tia_range) + PATH_OHMS)
    return amperes * RANGES[tia_range].ohms / VOLTS_PER_CODE


def limit_codes(tia_range: int, driven: bool, calibrated: bool) -> float:
    """Codes that a reading of the resistor, or of the open row, may be off by."""
    ohms = reference_ohms(tia_range)
    found = uncertainty(tia_range, AVERAGE, ohms if driven else float("inf"), calibrated)
    if not driven:
        return found.codes(0)
    # What a calibration has been made with is not seen again.
    card = 0.0 if calibrated else REFERENCES[tia_range] + PATH_OFF_OHMS / ohms + RAIL
    return found.codes(expected_code(tia_range)) + card * expected_code(tia_range)


@dataclass(frozen=True)
class Check:
    """A resistor, or with ``driven`` False the open row, in one range and column."""

    tia_range: int
    column: int
    driven: bool
    reading: Reading
    expected: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the reading is within its limit and met no rail."""
        return not self.reading.saturated and abs(self.reading.code - self.expected) <= self.limit

    def __str__(self) -> str:
        what = f"{reference_ohms(self.tia_range):g} ohm" if self.driven else "open"
        verdict = "pass" if self.passed else "FAIL"
        return (
            f"range {self.tia_range}, column {self.column}, {what}: {self.reading.code} codes, "
            f"expected {self.expected:.0f} +- {self.limit:.1f}: {verdict}"
        )


def require(info: Info, table: bool) -> None:
    """Refuse a controller that the card of resistors cannot be read through.

    Parameters
    ----------
    table:
        A calibration table is wanted.

    Raises
    ------
    CalibrationError
        Says what it lacks.
    """
    cards = [card.__name__ for card in FRONT_ENDS.values()]
    if info.front_end not in cards:
        raise CalibrationError(
            f"the controller's front end is {info.front_end}, the card of resistors is read by "
            f"{' or '.join(cards)}"
        )
    if not info.has(Op.READ):
        raise CalibrationError("the controller lacks READ, by which the resistors are read")
    if table and not info.has(Feature.CALIBRATION):
        raise CalibrationError(
            "the controller has no calibration table: that of a bundle which "
            "`ohmloom compile --calibrated` makes has one"
        )


def require_resistors(reads: Reads) -> None:
    """Refuse what is no card of resistors, before the test's voltage is on it.

    A row counts as the card's when more than half of its columns do: a broken channel is for
    the self-test to find.

    Raises
    ------
    CalibrationError
        Names the first row that is not the card's.
    """
    for tia_range, driven, readings in _measure(reads, GLIMPSE_V):
        expected = expected_code(tia_range) * GLIMPSE_V / TEST_V
        alike = [abs(each.code - expected) <= ALIKE * expected for each in readings]
        if driven and 2 * sum(alike) <= len(alike):
            raise CalibrationError(
                f"this is not the card of resistors: {len(alike) - sum(alike)} of {len(alike)} "
                f"crossings of row {tia_range} are not {reference_ohms(tia_range):g} ohm at "
                f"{GLIMPSE_V:g} V"
            )


def self_test(reads: Reads, calibrated: bool = False) -> list[Check]:
    """Read every resistor in its range, and the open row in every range.

    Parameters
    ----------
    reads:
        What reads the card, which is tile 0.
    calibrated:
        Judge by what a calibrated channel keeps to.
    """
    return [
        Check(
            tia_range,
            column,
            driven,
            reading,
            expected_code(tia_range) if driven else 0.0,
            limit_codes(tia_range, driven, calibrated),
        )
        for tia_range, driven, readings in _measure(reads)
        for column, reading in enumerate(readings)
    ]


def calibrate(reads: Reads) -> list[int]:
    """Measure all channels with an empty table, load the table that mends them, and return it.

    Raises
    ------
    CalibrationError
        If a channel is further off than its parts allow: it is broken, not in need of a
        table. The table stays empty then.
    """
    columns = table_columns(reads.info.columns)
    table = neutral(reads.info)
    reads.write_table(table)
    measured = {(tia_range, driven): found for tia_range, driven, found in _measure(reads)}
    broken = []
    for tia_range in range(len(RANGES)):
        expected = expected_code(tia_range)
        pairs = zip(measured[tia_range, True], measured[tia_range, False], strict=True)
        for column, (seen, zero) in enumerate(pairs):
            checks = [
                Check(
                    tia_range, column, driven, found, wanted, limit_codes(tia_range, driven, False)
                )
                for driven, found, wanted in ((True, seen, expected), (False, zero, 0.0))
            ]
            broken += [check for check in checks if not check.passed]
            if broken:
                continue
            gain = round((expected / (seen.code - zero.code)) * (1 << GAIN_FRACTION_BITS))
            offset = -round(zero.code * gain / (1 << GAIN_FRACTION_BITS))
            table[tia_range * columns + column] = pack_entry(
                min(gain, ENTRY_FIELDS[0].maximum), offset
            )
    if broken:
        raise CalibrationError(
            f"{len(broken)} readings are further off than the parts allow, the first one: "
            f"{broken[0]}"
        )
    reads.write_table(table)
    return table


def neutral(info: Info) -> list[int]:
    """The table of a controller that changes nothing."""
    return [IDENTITY] * (table_columns(info.columns) << RANGE_BITS)


def failures(checks: Sequence[Check]) -> list[Check]:
    """The checks that failed."""
    return [check for check in checks if not check.passed]


def _measure(reads: Reads, volts: float = TEST_V) -> Iterator[tuple[int, bool, list[Reading]]]:
    """Every range: its resistors, then the open row."""
    columns = reads.info.columns
    if reads.info.rows <= OPEN_ROW:
        raise CalibrationError(
            f"the card of resistors has {OPEN_ROW + 1} rows, the controller {reads.info.rows}"
        )
    for tia_range in range(len(RANGES)):
        for driven in (True, False):
            row = tia_range if driven else OPEN_ROW
            yield (
                tia_range,
                driven,
                reads.read(0, row * columns, columns, volts, tia_range, AVERAGE),
            )
