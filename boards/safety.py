"""Checks on the bench before cells are driven: open and shorted crossings, by low reads.

A formed or unformed cell conducts within limits that its lab knows. One outside them
is a broken contact or a short, and a forming pulse into either helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import OhmloomError
from ..hw.afe.tia import RANGES, VOLTS_PER_CODE, uncertainty
from .reader import Reading, Reads

CHECK_V_MAX = 0.2
"""assumed: below what forms or switches any device of the catalogue, in either direction."""
AVERAGE = 2


class Contact(Enum):
    """What a low read says of a crossing."""

    GOOD = "good"
    OPEN = "open"
    SHORT = "short"


class ContactError(OhmloomError, ValueError):
    """A check of contacts that cannot be made so."""


class UnsafeArray(OhmloomError, RuntimeError):
    """An array with open or shorted crossings, each of them named; nothing was driven.

    Attributes
    ----------
    found:
        The crossings that are not good.
    """

    def __init__(self, found: list[Crossing]) -> None:
        self.found = found
        named = ", ".join(str(crossing) for crossing in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        super().__init__(f"{len(found)} crossings are not good: {named}{more}")


@dataclass(frozen=True)
class Crossing:
    """A cell, its conductance [S] by a low read, and what that means."""

    tile: int
    row: int
    column: int
    siemens: float
    contact: Contact

    def __str__(self) -> str:
        return (
            f"tile {self.tile} row {self.row} column {self.column} "
            f"{self.contact.value} ({self.siemens:.3g} S)"
        )


def check_contacts(
    reads: Reads,
    tiles: int,
    open_below: float,
    short_above: float,
    volts: float = 0.1,
) -> list[Crossing]:
    """Every crossing of the first ``tiles`` tiles, read once at ``volts`` in the range that fits.

    A cell counts as open only when it is below ``open_below`` by more than the reading
    may be off, and as shorted when it is above ``short_above``, or beyond every range.

    Parameters
    ----------
    open_below, short_above:
        Limits of a good crossing [S].
    volts:
        Of the read.

    Raises
    ------
    ContactError
        If the limits are no range, the voltage could switch a cell, or a current at the
        lower limit could not be told from none.
    """
    if not 0 < open_below < short_above:
        raise ContactError(f"limits of {open_below:g} to {short_above:g} S are no range above 0")
    if not 0 < volts <= CHECK_V_MAX:
        raise ContactError(f"{volts:g} V, a check is made above 0 and up to {CHECK_V_MAX:g} V")
    if not 0 <= tiles <= reads.info.tiles:
        raise ContactError(f"{tiles} tiles, the controller has {reads.info.tiles}")
    least = _amperes_off(Reading(0, len(RANGES) - 1, False))
    if open_below * volts <= 2 * least:
        raise ContactError(
            f"{open_below:g} S at {volts:g} V is {open_below * volts:.3g} A, the most sensitive "
            f"range is off by up to {least:.3g} A"
        )
    rows, columns = reads.info.rows, reads.info.columns
    found = []
    for tile in range(tiles):
        readings = reads.read(tile, 0, rows * columns, volts, None, AVERAGE)
        for cell, reading in enumerate(readings):
            off = _amperes_off(reading)
            contact = Contact.GOOD
            if reading.saturated or reading.amperes - off > short_above * volts:
                contact = Contact.SHORT
            elif reading.amperes + off < open_below * volts:
                contact = Contact.OPEN
            row, column = divmod(cell, columns)
            found.append(Crossing(tile, row, column, reading.amperes / volts, contact))
    return found


def require_contacts(
    reads: Reads, tiles: int, open_below: float, short_above: float, volts: float = 0.1
) -> None:
    """Go on only when every crossing is good: to be called before forming.

    Raises
    ------
    UnsafeArray
        If one is not, naming them.
    ContactError
        As :func:`check_contacts`.
    """
    checked = check_contacts(reads, tiles, open_below, short_above, volts)
    bad = [crossing for crossing in checked if crossing.contact is not Contact.GOOD]
    if bad:
        raise UnsafeArray(bad)


def _amperes_off(reading: Reading) -> float:
    """Current that a reading may be off by [A]."""
    ohms = RANGES[reading.tia_range].ohms
    return uncertainty(reading.tia_range, AVERAGE).codes(reading.code) * VOLTS_PER_CODE / ohms
