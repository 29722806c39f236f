"""The device's line and the card's table: from a target code to the gate code of its I_cc.

``PROGRAM`` with :attr:`~ohmloom.hw.isa.Reg.LINE` set takes targets, ADC codes of the
verify read, instead of levels. Two steps of the same arithmetic lead from there to the
gate, each rounded once, half up:

1. the device's line: I_cc code ``i = clamp((mantissa * x + 2^15) >> 16, low, high)`` with
   ``x = clamp(target + offset, 0, 65535)``. Zero and unit of I_cc codes are whoever made
   the record's choice;
2. the card's table I_cc(V_gate) as 16 straight pieces, each 4096 I_cc codes wide, in
   1/256 gate codes: ``(gate + ((rise * 16 * (i mod 4096) + 2^15) >> 16) + 128) >> 8``.

A read is accepted within ``half`` codes of the target. Plain Python; compiler, engines
and RTL use this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .isa import (
    LINE_BOUNDS_FIELDS,
    LINE_FIELDS,
    LINE_WORDS,
    SEGMENT_FIELDS,
    SEGMENTS,
    IsaError,
    pack_fields,
    unpack_fields,
)

PRODUCT_SHIFT = 16
"""Of a product: its multiplier is a fraction of 16 bits."""
I_CC_BITS = 16
FRACTION_BITS = I_CC_BITS - (SEGMENTS - 1).bit_length()
"""Bits of an I_cc code below the number of its piece."""
GATE_FRACTION_BITS = 8
"""Fraction bits of a piece's gate code and rise."""
CODE_MIN, CODE_MAX = -(1 << 15), (1 << 15) - 1


@dataclass(frozen=True)
class Piece:
    """Gate codes over 4096 I_cc codes: the one at its beginning, and the rise to its end.

    Both in 1/256 gate codes.
    """

    gate: int
    rise: int


@dataclass(frozen=True)
class Line:
    """From target to gate code.

    Attributes
    ----------
    offset, mantissa:
        The line: ``(target + offset) * mantissa / 2^16`` is the I_cc code.
    half:
        Half width of the window of a verify read, in ADC codes.
    low, high:
        Range of I_cc codes; a target beyond it is programmed with the nearer end.
    pieces:
        The card's table.
    """

    offset: int
    mantissa: int
    half: int
    low: int
    high: int
    pieces: tuple[Piece, ...]

    def i_cc_code(self, target: int) -> int:
        """I_cc code of a target."""
        x = min(max(target + self.offset, 0), (1 << 16) - 1)
        return min(max(_product(self.mantissa, x), self.low), self.high)

    def gate_code(self, target: int) -> int:
        """Code of GATE_PROGRAM for a target."""
        code = self.i_cc_code(target)
        piece = self.pieces[code >> FRACTION_BITS]
        part = (code & (1 << FRACTION_BITS) - 1) << PRODUCT_SHIFT - FRACTION_BITS
        gate = piece.gate + _product(piece.rise, part)
        return gate + (1 << GATE_FRACTION_BITS - 1) >> GATE_FRACTION_BITS

    def window(self, target: int) -> tuple[int, int]:
        """Lowest and highest code of a read that is accepted."""
        return max(target - self.half, CODE_MIN), min(target + self.half, CODE_MAX)


def _product(mantissa: int, fraction: int) -> int:
    return mantissa * fraction + (1 << PRODUCT_SHIFT - 1) >> PRODUCT_SHIFT


def pack_line(line: Line) -> list[int]:
    """The parameter words of a line.

    Raises
    ------
    IsaError
        If a field does not fit, ``low`` is above ``high``, or a piece ends above the
        largest gate code.
    """
    if len(line.pieces) != SEGMENTS:
        raise IsaError(f"a line with {len(line.pieces)} pieces, it has {SEGMENTS}")
    if line.low > line.high:
        raise IsaError(f"line: low = {line.low} is above high = {line.high}")
    top = (1 << 16 + GATE_FRACTION_BITS) - (1 << GATE_FRACTION_BITS)
    for number, piece in enumerate(line.pieces):
        if piece.gate + piece.rise > top:
            raise IsaError(
                f"line: piece {number} ends at gate code "
                f"{(piece.gate + piece.rise) / (1 << GATE_FRACTION_BITS):.1f}, above 65535"
            )
    return [
        pack_fields("line", LINE_FIELDS, (line.offset, line.mantissa, line.half)),
        pack_fields("line", LINE_BOUNDS_FIELDS, (line.low, line.high)),
        *(pack_fields("piece", SEGMENT_FIELDS, (p.gate, p.rise)) for p in line.pieces),
    ]


def unpack_line(words: Sequence[int]) -> Line:
    """What the parameter words of a line say.

    Raises
    ------
    IsaError
        If :func:`pack_line` would not make them.
    """
    if len(words) != LINE_WORDS:
        raise IsaError(f"a line of {len(words)} words, it has {LINE_WORDS}")
    offset, mantissa, half = unpack_fields(LINE_FIELDS, int(words[0]))
    low, high = unpack_fields(LINE_BOUNDS_FIELDS, int(words[1]))
    pieces = tuple(Piece(*unpack_fields(SEGMENT_FIELDS, int(word))) for word in words[2:])
    line = Line(offset, mantissa, half, low, high, pieces)
    pack_line(line)
    return line
