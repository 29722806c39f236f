from __future__ import annotations

import pytest

from ohmloom.boards.deploy.writer import SLOT_WORDS, Fate, fate
from ohmloom.boards.link import RunResult

HALT = 100


def ended(address: int, illegal: bool = False, stopped: bool = False) -> RunResult:
    return RunResult(0 if stopped else 7, 0, illegal, stopped, address=address)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (ended(HALT), Fate.ENDED),
        (ended(HALT - SLOT_WORDS), Fate.VOID),  # the one before
        (ended(15), Fate.VOID),  # setup
        (ended(0), Fate.VOID),  # none yet
        (ended(HALT - 1, illegal=True), Fate.LOST),  # its second pulse was refused
        (ended(HALT - SLOT_WORDS, illegal=True), Fate.VOID),
        (ended(HALT, stopped=True), Fate.LOST),
        (ended(0, stopped=True), Fate.LOST),
    ],
    ids=str,
)
def test_fate_of_an_attempt(last: RunResult, expected: Fate) -> None:
    assert fate(True, last, HALT) is expected
    # A read has no fate to fear: it is done again.
    reads = Fate.ENDED if expected is Fate.ENDED else Fate.VOID
    assert fate(False, last, HALT) is reads
