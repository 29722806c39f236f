"""Open and shorted crossings are found before anything is driven, and named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ohmloom.boards.reader import Reading
from ohmloom.boards.safety import (
    Contact,
    ContactError,
    UnsafeArray,
    check_contacts,
    require_contacts,
)
from ohmloom.hw.afe.tia import RANGES, VOLTS_PER_CODE

LIMITS = (1e-8, 1e-2)
"""Open below 10 nS, shorted above 10 mS."""


class Cells:
    """Reads of known conductances in the most sensitive range that takes them."""

    def __init__(self, siemens: np.ndarray) -> None:
        tiles, rows, columns = siemens.shape
        self.info: Any = SimpleNamespace(tiles=tiles, rows=rows, columns=columns)
        self.siemens = siemens
        self.asked: list[tuple] = []

    def read(self, tile, cell, count, volts, tia_range=None, average=0):
        self.asked.append((tile, cell, count, volts, tia_range))
        found = []
        for amperes in self.siemens[tile].ravel()[cell : cell + count] * volts:
            code, place = 0, 0
            for place in reversed(range(len(RANGES))):
                code = round(amperes * RANGES[place].ohms / VOLTS_PER_CODE)
                if code < 29000 or place == 0:
                    break
            found.append(Reading(min(code, 32767), place, code >= 32767))
        return found

    def write_table(self, words):
        raise AssertionError("a check has nothing to write")


@pytest.fixture
def cells():
    rng = np.random.default_rng(2)
    return Cells(10.0 ** rng.uniform(-6, -3, (2, 8, 8)))


def test_a_good_array_is_let_through_after_a_low_read_of_every_cell(cells):
    require_contacts(cells, 2, *LIMITS)
    assert cells.asked == [(0, 0, 64, 0.1, None), (1, 0, 64, 0.1, None)]
    found = check_contacts(cells, 2, *LIMITS)
    assert [(c.tile, c.row, c.column) for c in found] == list(np.ndindex(2, 8, 8))
    for crossing in found:
        true = cells.siemens[crossing.tile, crossing.row, crossing.column]
        assert crossing.contact is Contact.GOOD
        assert crossing.siemens == pytest.approx(true, rel=1e-3)


def test_open_and_shorted_crossings_stop_it_by_name(cells):
    cells.siemens[0, 3, 5] = 0.0
    cells.siemens[1, 7, 0] = 1.0
    cells.siemens[1, 0, 1] = 0.015
    with pytest.raises(UnsafeArray) as error:
        require_contacts(cells, 2, *LIMITS)
    assert [(c.tile, c.row, c.column, c.contact) for c in error.value.found] == [
        (0, 3, 5, Contact.OPEN), (1, 0, 1, Contact.SHORT), (1, 7, 0, Contact.SHORT)
    ]  # fmt: skip
    assert "tile 0 row 3 column 5 open (0 S)" in str(error.value)
    require_contacts(Cells(cells.siemens[:1, :3]), 1, *LIMITS)


def test_a_long_list_is_cut(cells):
    cells.siemens[:] = 0.0
    with pytest.raises(UnsafeArray, match="128 crossings are not good: .* and 120 more"):
        require_contacts(cells, 2, *LIMITS)


def test_doubt_is_in_favour_of_the_cell(cells):
    """A cell a little outside a limit, by less than the reading may be off, is good."""
    cells.siemens[0, 0, 0] = LIMITS[1] * 1.001
    cells.siemens[0, 0, 1] = LIMITS[0] * 0.95
    require_contacts(cells, 2, *LIMITS)
    cells.siemens[0, 0, 0] = LIMITS[1] * 1.01
    cells.siemens[0, 0, 1] = LIMITS[0] * 0.8
    found = [c.contact for c in check_contacts(cells, 1, *LIMITS)[:2]]
    assert found == [Contact.SHORT, Contact.OPEN]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"open_below": 1.0}, "are no range above 0"),
        ({"open_below": 0.0}, "are no range above 0"),
        ({"volts": 0.3}, "up to 0.2 V"),
        ({"volts": 0.0}, "above 0 and up to"),
        ({"tiles": 3}, "the controller has 2"),
        ({"open_below": 1e-10}, "the most sensitive range is off by"),
    ],
)
def test_checks_that_would_not_be_any_are_refused(cells, changes, sentence):
    settings = {"tiles": 2, "open_below": LIMITS[0], "short_above": LIMITS[1], "volts": 0.1}
    with pytest.raises(ContactError, match=sentence):
        check_contacts(cells, **(settings | changes))
    assert not cells.asked
