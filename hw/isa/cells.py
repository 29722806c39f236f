"""Records of write-verify and reads: what they aim at, and what they say of a cell."""

from __future__ import annotations

from enum import IntEnum

from .records import Field, pack_fields, unpack_fields

LEVEL_FIELDS = (
    Field("gate", 16),
    Field("low", 16, signed=True),
    Field("high", 16, signed=True),
)
LINE_FIELDS = (Field("offset", 17, signed=True), Field("mantissa", 24), Field("half", 16))
LINE_BOUNDS_FIELDS = (Field("low", 16), Field("high", 16))
SEGMENT_FIELDS = (Field("gate", 24), Field("rise", 24))
SEGMENTS = 16
"""Pieces of the card's table from I_cc to gate codes."""
LINE_WORDS = 2 + SEGMENTS
"""Parameter words of a device's line (:mod:`ohmloom.hw.line`)."""
RESULT_FIELDS = (
    Field("code", 16, signed=True),
    Field("tries", 8),
    Field("status", 3),
    Field("range", 3),
    Field("saturated", 1),
)


class CellStatus(IntEnum):
    """Outcome of write-verify or read on one cell (``status`` of a result word)."""

    READ = 0
    DONE = 1
    NOT_CONVERGED = 2
    STUCK = 3
    """Not converged, and no try moved it (:attr:`Reg.STUCK`)."""
    WORN = 4
    """A further try would have been beyond its endurance (:attr:`Reg.ENDURANCE`)."""


def pack_level(gate: int, low: int, high: int) -> int:
    """Parameter word of one conductance level.

    ``gate`` is the gate DAC code that sets its I_cc; a verify read is accepted
    when its ADC code lies in ``low .. high`` inclusive.
    """
    return pack_fields("level", LEVEL_FIELDS, (gate, low, high))


def unpack_level(word: int) -> tuple[int, int, int]:
    """``(gate, low, high)`` of a level word."""
    gate, low, high = unpack_fields(LEVEL_FIELDS, word)
    return gate, low, high


def pack_result(
    code: int, tries: int, status: CellStatus, tia_range: int = 0, saturated: bool = False
) -> int:
    """Cell-memory result word (32 bits): last ADC code, attempts used, outcome.

    ``tia_range`` and ``saturated`` say of a ``READ`` with which range it was made, and
    whether any of its conversions was at a rail.
    """
    return pack_fields(
        "result", RESULT_FIELDS, (code, tries, int(status), tia_range, int(saturated))
    )


def unpack_result(word: int) -> tuple[int, int, CellStatus]:
    """``(code, tries, status)`` of a cell-memory result word."""
    code, tries, status, _, _ = unpack_fields(RESULT_FIELDS, word)
    return code, tries, CellStatus(status)


def unpack_reading(word: int) -> tuple[int, int, bool]:
    """``(code, tia_range, saturated)`` of a cell-memory result word."""
    code, _, _, tia_range, saturated = unpack_fields(RESULT_FIELDS, word)
    return code, tia_range, bool(saturated)
