from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ohmloom.boards.bench import BenchError
from ohmloom.boards.bench.resistors import ResistorReading, measure
from ohmloom.boards.reader import Reading, rail_code
from ohmloom.boards.selftest import TEST_V, card_ohms, reference_ohms
from ohmloom.hw.afe.tia import RANGES, VOLTS_PER_CODE
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.link.protocol import Info

VOLTS = (TEST_V / 2, TEST_V)


@dataclass
class Card:
    """A card of resistors behind exact converters that choose their range."""

    ohms: list[list[float]] = field(default_factory=lambda: card_ohms(8, 8))
    shift: int = 0

    @property
    def info(self) -> Info:
        return Info.of(Geometry(rows=8, columns=8, tiles=1), 48_000_000)

    def read(self, *asked: Any) -> list[Reading]:
        _, cell, count, volts, _, _ = asked
        made = (rail_code(volts) - 0x8000) * 10 / 0x8000
        found = []
        for n in range(cell, cell + count):
            amperes = made / self.ohms[n // 8][n % 8]
            fitting = [r for r, network in enumerate(RANGES) if amperes < 0.9 * network.amperes]
            chosen = max(fitting, default=0)
            code = round(amperes * RANGES[chosen].ohms / VOLTS_PER_CODE)
            found.append(Reading(min(code, 32767), max(chosen + self.shift, 0), code >= 32767))
        return found

    def write_table(self, words: Sequence[int]) -> None:
        raise NotImplementedError


def failed(card: Any) -> list[ResistorReading]:
    return [found for found in measure(card, VOLTS) if not found.passed]


def test_a_sound_card_passes() -> None:
    sound: Any = Card()
    found = list(measure(sound, VOLTS))
    assert len(found) == 7 * 8 * 2 and all(reading.passed for reading in found)
    for reading in found:
        if reading.row < 6:
            assert reading.expected_ohms == reference_ohms(reading.row)
            assert abs(reading.ohms - reading.expected_ohms) <= reading.off_ohms
            assert 0 < reading.off_ohms < 0.06 * reading.expected_ohms
        else:
            assert math.isinf(reading.ohms) and math.isinf(reading.off_ohms)
    assert {reading.tia_range for reading in found if reading.row < 6} == set(range(6))


@pytest.mark.parametrize(("row", "part"), [(0, 1.02), (2, 0.98), (3, 1.05), (5, 0.9), (6, 0.0)])
def test_a_wrong_resistor_fails(row: int, part: float) -> None:
    card = Card()
    card.ohms[row][3] = card.ohms[row][3] * part if part else 1e8
    found = failed(card)
    assert {(reading.row, reading.column) for reading in found} == {(row, 3)}
    assert len(found) == 2  # at either voltage


def test_a_short_is_at_a_rail() -> None:
    card = Card()
    card.ohms[4][0] = 5.0
    found = failed(card)
    assert [(reading.row, reading.column, reading.saturated) for reading in found] == [
        (4, 0, True)
    ] * 2


def test_a_wrong_range_fails() -> None:
    """A controller that says another range than it has read in."""
    found = failed(Card(shift=-1))
    assert {reading.row for reading in found} == {1, 2, 3, 4, 5}
    assert len(found) == 5 * 8 * 2


def test_what_is_asked_for() -> None:
    card: Any = Card()
    for volts in (0.0, -1.0, 2.6):
        with pytest.raises(BenchError, match="on the card of resistors, accepted is above 0"):
            list(measure(card, (volts,)))
