"""The march test: every cell to its largest and to its least level, and which do not get there.

Its two elements are written as a bundle's cells are, attempts in the journal before they are
made: a test goes on where one has ended, and no cycle of a cell is lost count of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...compiler.compiled import Compiled
from ...sim.numerics import IntArray
from ..calibration import Calibration
from ..identity import identify
from ..link import LinkClient
from .book import Book, read_book
from .deploy import Told, accepted_when_read, began_of, read_gain
from .journal import Journal
from .records import Began, Finished, Record
from .runs import runs_of
from .writer import Writer


@dataclass(frozen=True, eq=False)
class Element:
    """All cells to one level.

    Attributes
    ----------
    name:
        What it is called while it runs.
    compiled:
        The network with all cells on that level.
    began:
        How it begins in the journal.
    """

    name: str
    compiled: Compiled
    began: Began


def march(
    compiled: Compiled,
    bundle: str,
    board: str,
    client: LinkClient,
    journal: Path,
    told: Told = lambda stage, done, total: None,
    calibration: Calibration | None = None,
) -> NDArray[np.float64]:
    """Conductances of stuck cells [S] and NaN of the others, shape (tiles, rows, columns).

    A cell is stuck that does not get to both levels by as many attempts as the bundle makes, or
    is off one when it is read back. Its conductance is what was read last, and 0 S where nothing
    was: of a cell without a cycle left, behind a controller that reads none without a pulse. All
    others are left on the lowest level.

    Parameters
    ----------
    compiled, bundle:
        The network whose tiles are tested, and what its journal knows it by.
    board, journal, calibration:
        As of :func:`~ohmloom.boards.deploy.deploy.deploy`.

    Raises
    ------
    LinkError
        If the controller does not answer, is not for the bundle, or stops a pulse.
    DeployError, JournalError, BookError
        If it cannot go on.
    """
    told("looking at the board", 0, 1)
    identify(client, compiled)
    elements = elements_of(compiled, bundle, board)
    stuck, codes = np.zeros(compiled.levels.shape, bool), np.zeros(compiled.levels.shape)
    for number, element in enumerate(elements):
        with Journal(journal) as kept:
            found, read = _written(element, elements[number + 1 :], kept, client, told, calibration)
        stuck |= found.reshape(stuck.shape)
        codes = read.reshape(stuck.shape)
    return np.where(stuck, siemens(compiled, codes), np.nan)


def elements_of(compiled: Compiled, bundle: str, board: str) -> tuple[Element, ...]:
    """The test's elements in order; the last one leaves cells where they disturb least."""
    levels = {"largest": len(compiled.device.level_codes) - 1, "lowest": 0}
    return tuple(
        Element(
            f"march test: {name} level",
            replace(compiled, levels=np.full_like(compiled.levels, level)),
            began_of(
                compiled, hashlib.sha256(f"march {level} {bundle}".encode()).hexdigest(), board
            ),
        )
        for name, level in levels.items()
    )


def siemens(compiled: Compiled, codes: IntArray | NDArray[np.float64]) -> NDArray[np.float64]:
    """Conductances [S] that cells are read with as these codes."""
    return np.maximum(codes / read_gain(compiled) * compiled.device.g_lsb, 0.0)


def _written(
    element: Element,
    later: Sequence[Element],
    kept: Journal,
    client: LinkClient,
    told: Told,
    calibration: Calibration | None,
) -> tuple[NDArray[np.bool_], IntArray]:
    """Which cells are not on an element's level, and their codes, shape (tiles, cells)."""
    runs = runs_of(element.compiled)
    windows = runs.windows()
    before = _before(kept.records, [each.began for each in later])
    if before is not None:
        book, _ = read_book(before, element.began, windows)
        return _off(book, element), book.code
    book, resumed = read_book(kept.records, element.began, windows, runs.endurance)
    if not resumed:
        kept.append(element.began)
    writer = Writer(client, runs, book, kept, calibration=calibration)
    writer.open()
    writer.write(lambda done, total: told(element.name, done, total))
    writer.check(lambda done, total: told("march test: reading", done, total))
    writer.finish()
    return _off(book, element), book.code


def _off(book: Book, element: Element) -> NDArray[np.bool_]:
    accepted = accepted_when_read(element.compiled, book.windows)
    return ~book.done | (book.code < accepted.low) | (book.code > accepted.high)


def _before(records: Sequence[Record], later: Sequence[Began]) -> Sequence[Record] | None:
    """What was said before a later element of the same test began, which goes on; else None."""
    for at in reversed(range(len(records))):
        if isinstance(record := records[at], Began):
            open_still = not any(isinstance(each, Finished) for each in records[at:])
            return records[:at] if record in later and open_still else None
    return None
