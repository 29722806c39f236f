"""The calibration table: layout of its words and of its memory. Plain Python.

``code' = clamp(round_half_even(code * gain / 2^15) + offset)`` with the word of the
code's TIA range and column; a code at a rail stays there, so that it goes on to be
counted as saturated.
"""

from __future__ import annotations

from .geometry import Geometry
from .isa import Field, pack_fields, unpack_fields
from .ranges import RANGE_BITS

CALIBRATION_CYCLES = 4
"""Cycles that a sample, and the end of a conversion, come later."""
GAIN_FRACTION_BITS = 15
ENTRY_FIELDS = (Field("gain", 16), Field("offset", 16, signed=True))
"""Gain with 15 fraction bits, below 2, and offset in ADC codes."""


def pack_entry(gain: int, offset: int) -> int:
    """Word (32 bits) of a range and a column."""
    return pack_fields("calibration", ENTRY_FIELDS, (gain, offset))


def unpack_entry(word: int) -> tuple[int, int]:
    """``(gain, offset)`` of a word."""
    gain, offset = unpack_fields(ENTRY_FIELDS, word)
    return gain, offset


IDENTITY = pack_entry(1 << GAIN_FRACTION_BITS, 0)
"""The word that changes nothing; every one is so when the controller has been configured."""


def table_columns(columns: int) -> int:
    """Words of a range: its columns, rounded up to a power of two."""
    return 1 << (columns - 1).bit_length()


def table_depth(geometry: Geometry) -> int:
    """Words of the table; the one of a range and a column is at ``range * columns' + column``."""
    return (1 << RANGE_BITS) * table_columns(geometry.columns)
