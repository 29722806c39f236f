"""Verdicts of write-verify against true conductances: every kind of wrong one is found."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.hw.isa import CellStatus, pack_result
from ohmloom.sim.engine import EngineError
from ohmloom.sim.engine.tally import tally

TARGETS = np.array([1e-4, 2e-4, 3e-4, 4e-4])
TRUE = np.array([1.01e-4, 2.00e-4, 3.03e-4, 1e-3])
TOLERANCE = 2e-6
DONE, MISSED, STUCK = CellStatus.DONE, CellStatus.NOT_CONVERGED, CellStatus.STUCK


def words(*statuses, tries=(1, 2, 10, 10)):
    return [pack_result(-5, n, status) for n, status in zip(tries, statuses, strict=True)]


def test_figures_count_the_cells_that_are_not_stuck():
    found = tally(words(DONE, DONE, MISSED, STUCK), TRUE, TARGETS, TOLERANCE, [3])
    assert found.cells == 3 and found.inside == pytest.approx(2 / 3)
    assert found.mean_pairs == pytest.approx(13 / 3) and found.most_pairs == 10
    assert found.statuses == {DONE: 2, MISSED: 1, STUCK: 1}
    assert found.unreported == found.slandered == found.deceived == ()


def test_a_stuck_cell_that_is_not_reported_is_found():
    for status in (DONE, MISSED, CellStatus.WORN):
        found = tally(words(DONE, DONE, MISSED, status), TRUE, TARGETS, TOLERANCE, [3])
        assert found.unreported == (3,)


def test_a_sound_cell_that_is_called_stuck_is_found():
    found = tally(words(DONE, STUCK, MISSED, STUCK), TRUE, TARGETS, TOLERANCE, [3])
    assert found.slandered == (1,) and found.unreported == ()


def test_a_cell_that_is_called_done_and_is_not_is_found():
    found = tally(words(DONE, DONE, DONE, MISSED), TRUE, TARGETS, TOLERANCE)
    assert found.deceived == (2,) and found.inside == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": words(DONE, DONE, DONE, DONE)[:3]}, "3 results, 4 conductances and 4 targets"),
        ({"g": TRUE[:2]}, "4 results, 2 conductances and 4 targets"),
        ({"stuck": [4]}, "stuck cells 4..4 of 4"),
        ({"stuck": [-1]}, "stuck cells -1..-1 of 4"),
        ({"stuck": range(4)}, "every cell is stuck"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    arguments = {
        "words": words(DONE, DONE, DONE, DONE), "g": TRUE, "targets": TARGETS, "tolerance": 1e-6
    }  # fmt: skip
    with pytest.raises(EngineError, match=message):
        tally(**(arguments | changes))
    with pytest.raises(EngineError, match="0 results"):
        tally([], TRUE[:0], TARGETS[:0], 1e-6)
