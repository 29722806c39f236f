from __future__ import annotations

import numpy as np
import pytest

from ohmloom.boards.deploy.book import Book, BookError, Windows, read_book
from ohmloom.boards.deploy.records import (
    Began,
    Checking,
    Finished,
    Found,
    Intent,
    Loaded,
    Lost,
    Missed,
    Void,
)
from ohmloom.hw.isa import CellStatus

BEGAN = Began(bundle="0" * 64, board="b", tiles=2, rows=1, columns=4)
WINDOWS = Windows(np.full((2, 4), 10), np.full((2, 4), 20))


def book(*records, began: Began = BEGAN) -> Book:
    return read_book([began, *records], began, WINDOWS)[0]


def attempt(number: int, codes: tuple[int, ...], worn: tuple[int, ...] = (), tile: int = 0):
    intent = Intent(number=number, tile=tile, cells=tuple(range(len(codes))), writes=True)
    return intent, Found(number=number, codes=codes, worn=worn)


def test_attempt_counts_and_judges_by_the_window() -> None:
    found = book(*attempt(0, (9, 10, 20, 21)))
    assert found.wear[0].tolist() == found.tries[0].tolist() == [1, 1, 1, 1]
    assert found.done[0].tolist() == [False, True, True, False]
    assert not found.wear[1].any() and found.next == 1 and found.open is None


def test_cells_without_an_attempt_left_are_not_counted() -> None:
    found = book(*attempt(0, (5, 15), worn=(0,)))
    assert found.wear[0, :2].tolist() == [0, 1]
    assert found.status(0)[0, :2].tolist() == [CellStatus.WORN, CellStatus.DONE]


def test_host_holds_cells_to_their_endurance() -> None:
    records = [BEGAN, *attempt(0, (5, 15)), *attempt(1, (5,))]
    found, _ = read_book(records, BEGAN, WINDOWS, endurance=2)
    assert found.worn[0].tolist() == [True, False, False, False]
    assert found.status(0)[0, :2].tolist() == [CellStatus.WORN, CellStatus.DONE]
    # The next deployment begins with it; one that holds to nothing does not.
    other = BEGAN.model_copy(update={"bundle": "1" * 64})
    assert read_book(records, other, WINDOWS, endurance=2)[0].worn[0, 0]
    assert not read_book(records, other, WINDOWS)[0].worn.any()
    # A pulse that nobody knows the end of counts.
    lost = [*records, Intent(number=2, tile=0, cells=(1,), writes=True), Lost(number=2)]
    assert read_book(lost, BEGAN, WINDOWS, endurance=2)[0].worn[0, 1]


def test_lost_run_counts_all_of_its_cells_and_has_them_read() -> None:
    intent, _ = attempt(0, (0, 0))
    found = book(intent, Lost(number=0))
    assert found.wear[0].tolist() == [1, 1, 0, 0]
    assert found.unread[0].tolist() == [True, True, False, False]
    read = Intent(number=1, tile=0, cells=(0, 1), writes=False)
    found = book(intent, Lost(number=0), read, Found(number=1, codes=(15, 30)))
    assert found.wear[0].tolist() == [1, 1, 0, 0] and not found.unread.any()
    assert found.done[0].tolist() == [True, False, False, False]


def test_run_that_never_began_counts_nothing() -> None:
    intent, _ = attempt(0, (0, 0))
    assert not book(intent, Void(number=0)).wear.any()


def test_read_of_a_cell_changes_no_verdict_and_counts_as_a_check() -> None:
    read = Intent(number=1, tile=0, cells=(0,), writes=False)
    found = book(*attempt(0, (15,)), Checking(), read, Found(number=1, codes=(99,)))
    assert found.done[0, 0] and found.code[0, 0] == 99
    assert found.checked[0].tolist() == [True, False, False, False]
    missed = book(
        *attempt(0, (15,)), Checking(), read, Found(number=1, codes=(99,)),
        Missed(tile=0, cells=(0,)),
    )  # fmt: skip
    assert not missed.done[0, 0] and not missed.checked[0, 0]
    assert missed.tries[0, 0] == 0 and missed.wear[0, 0] == 1


def test_another_calibration_begins_the_check_anew() -> None:
    def loaded(calibration: str | None) -> Loaded:
        return Loaded(nonce=1, calibration=calibration)

    checked = (*attempt(0, (15,)), Checking())
    assert book(loaded("5" * 64), *checked, loaded("5" * 64)).checking
    for other in ("6" * 64, None):
        found = book(loaded("5" * 64), *checked, loaded(other))
        assert not found.checking and found.calibration == other and found.done[0, 0]
    finished = book(loaded(None), *checked, Finished(), loaded("5" * 64))
    assert not finished.finished


def test_cell_that_no_attempt_moves_is_stuck() -> None:
    found = book(*attempt(0, (3, 3)), *attempt(1, (5, 40)))
    assert found.status(2)[0, :2].tolist() == [CellStatus.STUCK, CellStatus.NOT_CONVERGED]
    assert found.status(0)[0, :2].tolist() == [CellStatus.NOT_CONVERGED] * 2


def test_another_deployment_keeps_the_wear_alone() -> None:
    other = BEGAN.model_copy(update={"bundle": "1" * 64, "tiles": 1})
    records = [BEGAN, Loaded(nonce=1), *attempt(0, (15, 15), tile=1), Checking(), Finished()]
    found, resumed = read_book(records, other, Windows(WINDOWS.low[:1], WINDOWS.high[:1]))
    assert not resumed and found.nonce is None
    # Of a tile that this one does not use, too.
    assert found.wear.tolist() == [[0] * 4, [1, 1, 0, 0]] and found.done.shape == (1, 4)
    again, resumed = read_book([*records, other], BEGAN, WINDOWS)
    assert not resumed and again.wear[1].tolist() == [1, 1, 0, 0]


def test_cells_in_flight_count_for_the_next_deployment() -> None:
    other = BEGAN.model_copy(update={"bundle": "1" * 64})
    intent, _ = attempt(1, (15, 15))
    for records in ([], [other]):
        found, _ = read_book([BEGAN, *attempt(0, (15,)), intent, *records], other, WINDOWS)
        assert found.wear[0].tolist() == [2, 1, 0, 0] and found.open is None
    read = intent.model_copy(update={"writes": False})
    found, _ = read_book([BEGAN, *attempt(0, (15,)), read], other, WINDOWS)
    assert found.wear[0].tolist() == [1, 0, 0, 0]


def test_the_same_deployment_goes_on() -> None:
    found, resumed = read_book([BEGAN, *attempt(0, (15,))], BEGAN, WINDOWS)
    assert resumed and found.done[0, 0]


def test_tiles_of_another_size_are_refused() -> None:
    other = BEGAN.model_copy(update={"columns": 8})
    with pytest.raises(BookError, match="tiles of 4 cells, the bundle is for 8"):
        read_book([BEGAN], other, Windows(*np.zeros((2, 2, 8), np.int64)))


INTENT, FOUND = attempt(0, (15,))


@pytest.mark.parametrize(
    "records",
    [
        [FOUND],
        [INTENT, INTENT],
        [INTENT, Found(number=1, codes=(15,))],
        [INTENT, Found(number=0, codes=(15, 16))],
        [INTENT, Found(number=0, codes=(15,), worn=(7,))],
        [Intent(number=1, tile=0, cells=(0,), writes=True)],
        [Intent(number=0, tile=2, cells=(0,), writes=True)],
        [Intent(number=0, tile=0, cells=(4,), writes=True)],
        [Finished()],
    ],
    ids=str,
)
def test_records_that_do_not_follow_are_refused(records) -> None:
    with pytest.raises(BookError, match="does not follow"):
        book(*records)


def test_journal_begins_with_a_deployment() -> None:
    with pytest.raises(BookError, match="does not begin"):
        read_book([INTENT], BEGAN, WINDOWS)
