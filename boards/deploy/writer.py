"""Cells are written a few at a time, and nothing that happens meanwhile loses count of them.

What is about to be run is in the journal before it is asked for. Every run ends at an address
of its own, so that a host that comes later learns from the controller's status whether the
last one has been run; a word in program memory says whether the controller still is the one
that was loaded. So after whatever has happened, each cell has either had its attempt, and the
controller has the result, or has not, or nobody knows: then it counts as pulsed, and is read
before anything else is done to it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from enum import Enum
from time import sleep
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import OhmloomError
from ...hw.isa import Op, Reg, encode, instruction
from ...hw.link.protocol import GuardState, Reason, Space
from ..calibration import Calibration
from ..link import (
    GuardStopped,
    LinkClient,
    LinkError,
    LinkTimeout,
    ModeRefused,
    RunRefused,
    RunResult,
)
from ..loader import is_mended, load, wait_open
from .book import Book
from .journal import Journal
from .records import Checking, Finished, Found, Intent, Loaded, Lost, Missed, Record, Void
from .runs import Run, Runs, pieces

log = logging.getLogger(__name__)

SLOT_WORDS = 8
"""Program words of a run, its ``HALT`` included."""
SLOTS = 2
TAIL_WORDS = SLOTS * SLOT_WORDS + 1
"""At the end of program memory: the slots, and the word by which a controller is known. Whoever
else uses the controller and puts a program there writes over that word."""
CHECKED = 256
"""Cells of a run that only reads."""
RUN_S, LOOK_S = 300.0, 0.02
"""Longest run that is waited for, and from look to look at one that another host has begun."""
FAILURES = 20
"""Interruptions without a cell written or read in between after which it is given up."""
PASSING = (Reason.LINK_LOST, Reason.ABORT)
"""Reasons of the guard after which it is worth while to go on by oneself."""

T = TypeVar("T")
Told = Callable[[int, int], None]
"""Told how many cells are finished, and how many there are."""


class DeployError(OhmloomError):
    """A deployment that cannot go on."""


class Interrupted(LinkError):
    """The controller is not where it was left."""


class Writer:
    """Writes and reads the cells of a bundle through a controller.

    Parameters
    ----------
    client, runs:
        The link, and what makes the runs of the bundle.
    book, journal:
        What is known of the cells; everything that is done is put into both.
    randbits:
        Draws as many random bits as it is asked for.
    calibration:
        What the controller's table gets; None: nothing is mended.
    """

    def __init__(
        self,
        client: LinkClient,
        runs: Runs,
        book: Book,
        journal: Journal,
        randbits: Callable[[int], int] = secrets.randbits,
        calibration: Calibration | None = None,
    ) -> None:
        self._randbits = randbits
        self.client = client
        self.runs = runs
        self.book = book
        self.journal = journal
        self.calibration = calibration
        self.image = runs.image
        self.tries = runs.registers[Reg.TRIES]
        self._room = 0
        self._runs_done = 0
        self._worn_tile: int | None = None
        self.interruptions = 0

    # -- what a deployment does -------------------------------------------------------

    def open(self) -> None:
        """Find the controller as it is, and settle what was open."""
        self._attempt(lambda: None, settled=False)

    def write(self, told: Told = lambda done, total: None) -> None:
        """Make attempts on every cell until it is on its level or has had all of them."""
        total = self.book.done.size
        for tile in range(self.image.tiles):
            while self._next(tile) is not None:
                self._attempt(lambda tile=tile: self._do(self._next(tile)))
                told(self._finished(), total)
        told(self._finished(), total)

    def check(self, told: Told = lambda done, total: None) -> None:
        """Read every cell once, as write-verify reads; a check that was begun goes on.

        On a controller that reads no cell without a pulse nothing is read: what an attempt has
        read of a cell stands.
        """
        if not self.book.checking:
            self._note(Checking())
        if not self.runs.reads:
            return
        checked, size = self.book.checked, self.image.geometry.cells

        def following() -> Run | None:
            for tile in range(self.image.tiles):
                for cells in pieces(~checked[tile], size, CHECKED):
                    return self.runs.read(tile, cells)
            return None

        while following() is not None:
            self._attempt(lambda: self._do(following()))
            told(int(checked.sum()), checked.size)

    def rewrite(self, missed: NDArray[np.bool_]) -> None:
        """Have cells written again that a check has found off their level, (tiles, cells)."""
        for tile in np.flatnonzero(missed.any(axis=1)).tolist():
            cells = np.flatnonzero(missed[tile]).tolist()
            self._note(Missed(tile=tile, cells=tuple(cells)))

    def finish(self) -> None:
        """All is written and checked; registers are as the bundle's setup has them."""
        self.use(self._set_up)
        self._note(Finished())

    def use(self, work: Callable[[], T]) -> T:
        """Have something done that drives no cell, anew if the controller is reset meanwhile."""
        made: list[T] = []

        def attempt() -> None:
            made[:] = [work()]
            if not self._lives():
                raise Interrupted("the controller has been reset")

        self._attempt(attempt)
        return made[0]

    # -- inside -----------------------------------------------------------------------

    def _next(self, tile: int) -> Run | None:
        return next(self._due(tile), None)

    def _do(self, run: Run | None) -> None:
        if run is not None:
            self._perform(run)

    def _due(self, tile: int) -> Iterator[Run]:
        """What is to be done next on a tile: reads of cells in doubt, first attempts, others."""
        book, columns = self.book, self.image.geometry.columns
        if self.runs.reads:
            for cells in pieces(book.unread[tile], columns):
                yield self.runs.read(tile, cells)
        left = ~book.done[tile] & ~book.worn[tile] & (book.tries[tile] < self.tries)
        for first in (True, False):
            wanted = left & ((book.tries[tile] == 0) == first)
            for cells in pieces(wanted, columns, self.runs.most):
                yield self.runs.write(tile, cells)

    def _finished(self) -> int:
        book = self.book
        return int((book.done | book.worn | (book.tries >= self.tries)).sum())

    def _attempt(self, work: Callable[[], None], settled: bool = True) -> None:
        """Do it; after an interruption find out where things are, and do what is left of it."""
        failures, refused = 0, None
        while True:
            found = self._runs_done
            try:
                if not settled and self._settle() and refused is not None:
                    raise refused
                settled = True
                work()
                return
            except (LinkTimeout, Interrupted, GuardStopped, ModeRefused, RunRefused) as error:
                if error is refused:
                    raise
                self.interruptions += 1
                settled = False
                failures = failures + 1 if self._runs_done == found else 1
                if failures >= FAILURES:
                    raise DeployError(
                        f"given up after {failures} interruptions: {error}"
                    ) from error
                log.info("interrupted: %s", error)
                # What the controller refused as the one that was loaded, it will refuse again.
                refused = None if _passes(error) else error

    def _settle(self) -> bool:
        """Bring controller and book together again; whether it still is the one that was loaded."""
        client, book = self.client, self.book
        info = client.require(self.image)
        self._room = info.program_depth - TAIL_WORDS
        if self._room < len(self.image.code):
            raise DeployError(
                f"the bundle's program has {len(self.image.code)} words, program memory holds "
                f"{self._room} beside what writes the cells"
            )
        self._worn_tile = None
        last = self._last_run()
        if not self._lives():
            if book.open is not None:
                self._note(Lost(number=book.open.number) if book.open.writes else self._void())
            self._load()
            return False
        if book.open is not None:
            self._resolve(book.open, last)
        if book.calibration != self._digest or not is_mended(client, self.image, self.calibration):
            self._load()
        if client.health().state is not GuardState.OPEN:
            wait_open(client)
            self._set_up()
        return True

    def _set_up(self) -> None:
        self.client.run(self.image.entries["setup"], 0)

    def _last_run(self) -> RunResult:
        """How the last run ended, once it has."""
        for _ in range(round(RUN_S / LOOK_S)):
            if not (status := self.client.status()).running:
                return status.last
            sleep(LOOK_S)
        raise DeployError(f"the controller has been running for {RUN_S:g} s")

    def _resolve(self, intent: Intent, last: RunResult) -> None:
        """What has become of a run that was asked for, on a controller that has lived on."""
        match fate(intent.writes, last, self._halt(intent)):
            case Fate.ENDED:
                self._note(self._results(intent))
            case Fate.LOST:
                self._note(Lost(number=intent.number))
            case Fate.VOID:
                self._note(self._void())

    def _load(self) -> None:
        load(self.client, self.image, self.calibration)
        nonce = self._randbits(64) | 1
        self.client.write_words(Space.PROGRAM, self._nonce_at, [nonce])
        # It says that all the rest is there: a reset between the two must not go unseen.
        if self.client.status().last.address != self._end_of_setup():
            raise Interrupted("the controller has been reset while it was loaded")
        self._note(Loaded(nonce=nonce, calibration=self._digest))

    def _end_of_setup(self) -> int:
        code, entry = self.image.code, self.image.entries["setup"]
        return next(n for n in range(entry, len(code)) if code[n].op is Op.HALT)

    def _lives(self) -> bool:
        """Whether the controller still is the one that was loaded."""
        (nonce,) = self.client.read_words(Space.PROGRAM, self._nonce_at, 1)
        return nonce == self.book.nonce

    def _perform(self, run: Run) -> None:
        """One run, from its entry in the journal to its results."""
        client, image = self.client, self.image
        intent = Intent(number=self.book.next, tile=run.tile, cells=run.cells, writes=run.writes)
        if run.writes and image.geometry.wear and self._worn_tile != run.tile:
            client.write_words(Space.WEAR, 0, self.book.wear[run.tile].tolist())
            self._worn_tile = run.tile
        if run.records:
            client.write_words(Space.PARAM, len(image.params), run.records)
        if run.space is not None:
            client.write_words(run.space, 0, run.words)
        # The HALT is at the end of its slot.
        halt = self._halt(intent)
        begin = halt - len(run.code)
        code = [encode(each) for each in (*run.code, instruction(Op.HALT))]
        client.write_words(Space.PROGRAM, begin, code)
        self._note(intent)
        done = client.run(begin, 0, RUN_S)
        if done.address != halt or done.cycles == 0:
            raise Interrupted("a run did not end where it was to: the controller has been reset")
        self._note(self._results(intent))

    def _results(self, intent: Intent) -> Found:
        """The results of a run that has ended, from cell memory."""
        size = self.runs.answer(intent.writes, len(intent.cells))
        words = self.client.read_words(Space.CELL, 0, size)
        found = self.runs.results(intent.writes, intent.cells, words)
        if found is None:
            raise Interrupted("results that no run leaves: the controller has been reset")
        # Nothing in the words of a read says that they are of this run.
        if not intent.writes and self.client.status().last.address != self._halt(intent):
            raise Interrupted("a read is gone: the controller has been reset")
        return Found(number=intent.number, codes=found.codes, worn=found.worn)

    def _void(self) -> Void:
        assert self.book.open is not None
        return Void(number=self.book.open.number)

    def _note(self, record: Record) -> None:
        self.journal.append(record)
        self.book.apply(record)
        self._runs_done += isinstance(record, Found)

    def _halt(self, intent: Intent) -> int:
        """Where its run ends, other than the one before."""
        return self._room + (intent.number % SLOTS + 1) * SLOT_WORDS - 1

    @property
    def _digest(self) -> str | None:
        return None if self.calibration is None else self.calibration.digest

    @property
    def _nonce_at(self) -> int:
        return self._room + SLOTS * SLOT_WORDS


class Fate(Enum):
    """What has become of a run that was asked for."""

    ENDED = "ended"
    """It has ended, and the controller has its results."""
    LOST = "lost"
    """It has begun, and nobody knows how much of it was done."""
    VOID = "void"
    """It has never begun, or has changed nothing."""


def fate(writes: bool, last: RunResult, halt: int) -> Fate:
    """The fate of a run whose ``HALT`` is at ``halt``, on a controller that has lived on.

    Parameters
    ----------
    writes:
        Whether it drives cells.
    last:
        How the controller's last run ended.
    """
    if last.address == halt and not (last.stopped or last.illegal):
        return Fate.ENDED
    # A stop does not say where; a refusal may come behind a pulse.
    ours = last.stopped or (last.illegal and halt - SLOT_WORDS < last.address <= halt)
    return Fate.LOST if writes and ours else Fate.VOID


def _passes(error: LinkError) -> bool:
    """Whether it is worth while to try again on the same controller."""
    if isinstance(error, GuardStopped):
        return error.health.state is not GuardState.SAFE or error.health.reason in PASSING
    return isinstance(error, LinkTimeout | Interrupted)
