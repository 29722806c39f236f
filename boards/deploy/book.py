"""What is known of an array's cells: the sum of its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import OhmloomError
from ...hw.isa import CellStatus
from ...sim.numerics import IntArray
from .records import Began, Checking, Finished, Found, Intent, Loaded, Lost, Missed, Record, Void


class BookError(OhmloomError):
    """Records that do not follow from each other."""


@dataclass(frozen=True)
class Windows:
    """Which codes of a read are accepted, by tile and cell, shape (tiles, cells)."""

    low: IntArray
    high: IntArray


class Book:
    """The cells of an array that a bundle is written to.

    Parameters
    ----------
    began:
        The deployment.
    windows:
        What its cells aim at.
    wear:
        What cells have had before, shape (tiles, cells); None: nothing is known.
    endurance:
        Cycles of a cell that the host holds to; 0: it holds to none.

    Attributes
    ----------
    wear:
        Cycles that each cell has had, never fewer than it really had, uint32, shape (tiles,
        cells), of all tiles that have ever been written.
    tries:
        Attempts in this deployment; this and the following of the deployment's tiles.
    code, least, most:
        Code of the last read in it, and of all reads after an attempt.
    done, worn, unread:
        Whether it is on its level; whether it takes no more attempts; whether it is to be read
        before anything else.
    checked:
        Whether it has been read since all attempts were made.
    checking:
        Whether cells are being read for that.
    open:
        What has been asked for and has not been answered.
    nonce, calibration:
        What the controller has that was loaded last; None: no calibration.
    """

    def __init__(
        self,
        began: Began,
        windows: Windows,
        wear: NDArray[np.uint32] | None = None,
        endurance: int = 0,
    ) -> None:
        shape = (began.tiles, began.rows * began.columns)
        self.began = began
        self.windows = windows
        self.wear = _grown(wear, shape)
        self.endurance = endurance
        self.tries, self.code, self.least, self.most = (np.zeros(shape, np.int64) for _ in range(4))
        self.done, self.worn, self.unread, self.checked = (np.zeros(shape, bool) for _ in range(4))
        if endurance:
            self.worn |= self.wear[: len(self.worn)] >= endurance
        self.open: Intent | None = None
        self.nonce: int | None = None
        self.calibration: str | None = None
        self.next = 0
        self.checking = False
        self.finished = False

    def apply(self, record: Record) -> None:
        """What a record changes.

        Raises
        ------
        BookError
            If it does not follow from those before it.
        """
        match record:
            case Loaded():
                self.nonce = record.nonce
                if record.calibration != self.calibration:  # so far cells were read otherwise
                    self.calibration = record.calibration
                    self.checking = self.finished = False
            case Intent():
                self._expect(self.open is None and record.number == self.next, record)
                self._expect(record.tile < len(self.done), record)
                self._expect(max(record.cells) < self.done.shape[1], record)
                self.open, self.next = record, record.number + 1
            case Found():
                self._found(self._closed(record.number, record), record)
            case Void():
                self._closed(record.number, record)
            case Lost():
                intent = self._closed(record.number, record)
                if intent.writes:
                    at = intent.tile, np.array(intent.cells)
                    self._pulsed(*at)
                    self.done[at], self.checked[at], self.unread[at] = False, False, True
            case Missed():
                at = record.tile, np.array(record.cells)
                self.done[at], self.checked[at], self.tries[at] = False, False, 0
            case Checking():
                self.checked[:], self.checking, self.finished = False, True, False
            case Finished():
                self._expect(self.open is None and self.checking, record)
                self.checking, self.finished = False, True
            case Began():
                raise BookError("a deployment begins inside another one")

    def _found(self, intent: Intent, record: Found) -> None:
        self._expect(len(record.codes) == len(intent.cells), record)
        self._expect(set(record.worn) <= set(intent.cells), record)
        tile, cells = intent.tile, np.array(intent.cells)
        codes = np.array(record.codes, np.int64)
        worn = np.isin(cells, record.worn)
        self.worn[tile, cells] |= worn
        if intent.writes:
            self._pulsed(tile, cells[~worn])
            self.checked[tile, cells] = False
        elif not self.unread[tile, cells].any():
            self.code[tile, cells], self.checked[tile, cells] = codes, True
            return
        fresh = self.tries[tile, cells] <= 1
        self.code[tile, cells] = codes
        self.least[tile, cells] = np.where(fresh, codes, np.minimum(self.least[tile, cells], codes))
        self.most[tile, cells] = np.where(fresh, codes, np.maximum(self.most[tile, cells], codes))
        inside = (codes >= self.windows.low[tile, cells]) & (
            codes <= self.windows.high[tile, cells]
        )
        self.done[tile, cells] = inside & ~worn
        self.unread[tile, cells] = False

    def _pulsed(self, tile: int, cells: IntArray) -> None:
        """Cells have had an attempt."""
        self.wear[tile, cells] += np.uint32(1)
        self.tries[tile, cells] += 1
        if self.endurance:
            self.worn[tile, cells] |= self.wear[tile, cells] >= self.endurance

    def status(self, stuck: int) -> IntArray:
        """The verdict on each cell (:class:`~ohmloom.hw.isa.CellStatus`), shape (tiles, cells).

        ``stuck`` is the largest spread of codes of a cell that has not moved; 0: none has not.
        """
        still = (self.tries > 1) & (self.most - self.least <= stuck) & bool(stuck)
        found = np.where(still, CellStatus.STUCK, CellStatus.NOT_CONVERGED)
        found[self.worn] = CellStatus.WORN
        found[self.done] = CellStatus.DONE
        return found.astype(np.int64)

    def _closed(self, number: int, record: Record) -> Intent:
        intent, self.open = self.open, None
        if intent is None or intent.number != number:
            self._expect(False, record)
        assert intent is not None
        return intent

    def _expect(self, holds: bool, record: Record) -> None:
        if not holds:
            raise BookError(f"record {record.kind!r} does not follow from those before it")


def read_book(
    records: Iterable[Record], began: Began, windows: Windows, endurance: int = 0
) -> tuple[Book, bool]:
    """The book of a deployment after the records of its array.

    ``endurance`` is the cycles of a cell that the host holds to; 0: none.

    Returns
    -------
    The book, and whether the last deployment in the records is this one, which goes on. If it
    is another one, the book is empty but for the wear.

    Raises
    ------
    BookError
        If records do not follow from each other, or are of an array of another size.
    """
    book: Book | None = None
    for record in records:
        if isinstance(record, Began):
            book = Book(record, _of(record, began, windows), _left(book), endurance)
        elif book is None:
            raise BookError("the journal does not begin with a deployment")
        else:
            book.apply(record)
    if book is not None and book.began == began:
        return book, True
    return Book(began, windows, _left(book), endurance), False


def _left(book: Book | None) -> NDArray[np.uint32] | None:
    """The wear that a deployment leaves behind; nobody will learn of what it had in flight."""
    if book is None:
        return None
    wear = book.wear.copy()
    if book.open is not None and book.open.writes:
        wear[book.open.tile, np.array(book.open.cells)] += np.uint32(1)
    return wear


def _of(record: Began, began: Began, windows: Windows) -> Windows:
    """The windows of a deployment; of another one than ours nobody asks what is inside."""
    if record == began:
        return windows
    empty = np.zeros((record.tiles, record.rows * record.columns), np.int64)
    return Windows(empty, empty)


def _grown(wear: NDArray[np.uint32] | None, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Wear of an array with at least so many tiles, of so many cells."""
    if wear is None:
        return np.zeros(shape, np.uint32)
    if wear.shape[1] != shape[1]:
        raise BookError(
            f"the journal is of tiles of {wear.shape[1]} cells, the bundle is for {shape[1]}: "
            "an array has one size"
        )
    whole = np.zeros((max(len(wear), shape[0]), shape[1]), np.uint32)
    whole[: len(wear)] = wear
    return whole
