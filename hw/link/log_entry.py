"""Entries of the event log as a host reads them: numbers to sentences. Plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from ..isa import PulseStatus
from .protocol import (
    LOG_FIELDS,
    LOG_TIME_SHIFT,
    SENTENCES,
    TRAP_SENTENCES,
    Event,
    Reason,
    Trap,
)

CODE_BITS, DETAIL_BITS = 4, 16
DETAIL_MAX = (1 << DETAIL_BITS) - 1

PULSE_SENTENCES: MappingProxyType[PulseStatus, str] = MappingProxyType(
    {
        PulseStatus.DONE: "it was done",
        PulseStatus.REFUSED: "the front end cannot do it, or there are no such cells",
        PulseStatus.LATE: "the front end was not ready in time",
        PulseStatus.FULL: "cell memory was full",
        PulseStatus.ABORTED: "it was to stop",
        PulseStatus.CUT: "a sample reached the limit of the current source",
    }
)
"""What a host says of the outcome of a pulse."""


@dataclass(frozen=True)
class Entry:
    """An entry of the log.

    Attributes
    ----------
    number:
        Entries before it since the reset.
    cycles:
        Time in clock cycles, to the precision that the log has.
    event, code, detail:
        See :class:`~ohmloom.hw.link.protocol.Event`; ``event`` is a plain number where
        this host does not know it.
    """

    number: int
    cycles: int
    event: int
    code: int
    detail: int

    @classmethod
    def unpack(cls, number: int, word: int) -> Entry:
        """The entry of a word of the log."""
        values = {}
        for name, width in LOG_FIELDS:
            values[name] = word & (1 << width) - 1
            word >>= width
        return cls(
            number,
            values["time"] << LOG_TIME_SHIFT,
            values["event"],
            values["code"],
            values["detail"],
        )

    def __str__(self) -> str:
        return f"cycle {self.cycles}: {self._what()}"

    def _what(self) -> str:
        code, detail = self.code, self.detail
        match self.event:
            case Event.STOP:
                said = _said(SENTENCES, Reason, code)
                return f"the guard stopped at word {detail}: {said}"
            case Event.CLEARED:
                return "the guard left its safe state"
            case Event.TRAP:
                said = _said(TRAP_SENTENCES, Trap, code)
                return f"the run ended at word {detail}: {said}"
            case Event.ENDED:
                return f"a run ended at the HALT at word {detail}"
            case Event.SATURATED:
                more = " or more" if detail == DETAIL_MAX else ""
                return f"{detail}{more} codes of the run were at a rail"
            case Event.PULSE:
                said = _said(PULSE_SENTENCES, PulseStatus, code)
                return f"the pulse at word {detail} was not done: {said}"
            case Event.DROPPED:
                return "a broken frame was dropped"
        return f"event {self.event}, code {code}, detail {detail}"


def _said(sentences: Mapping[Any, str], kind: type[IntEnum], code: int) -> str:
    """The sentence of a code, or the number where this host does not know it."""
    if code not in kind._value2member_map_:
        return f"{kind.__name__.lower()} {code}"
    return sentences[kind(code)]
