"""Words of bit fields: what instructions and their records are made of."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import OhmloomError

WORD_BITS = 64
WORD_BYTES = WORD_BITS // 8


class IsaError(OhmloomError, ValueError):
    """An instruction, parameter word or program that the controller would not take."""


@dataclass(frozen=True)
class Field:
    """One operand: ``width`` bits, two's complement when ``signed``, not 0 when ``positive``.

    An ``optional`` one is 0 where it is not named.
    """

    name: str
    width: int
    signed: bool = False
    positive: bool = False
    optional: bool = False

    @property
    def minimum(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else int(self.positive)

    @property
    def maximum(self) -> int:
        return (1 << (self.width - self.signed)) - 1


def pack_fields(kind: str, fields: tuple[Field, ...], values: tuple[int, ...]) -> int:
    """The word of a record: each value in its field, from bit 0 upwards.

    Raises
    ------
    IsaError
        If a value does not fit, naming the record and the field.
    """
    word, shift = 0, 0
    for field, value in zip(fields, values, strict=True):
        if not field.minimum <= value <= field.maximum:
            raise IsaError(
                f"{kind}.{field.name} = {value} is outside {field.minimum}..{field.maximum}"
            )
        word |= (value & ((1 << field.width) - 1)) << shift
        shift += field.width
    return word


def unpack_fields(fields: tuple[Field, ...], word: int) -> tuple[int, ...]:
    """The values of a record's fields."""
    values = []
    for field in fields:
        raw = word & ((1 << field.width) - 1)
        if field.signed and raw >> (field.width - 1):
            raw -= 1 << field.width
        values.append(raw)
        word >>= field.width
    return tuple(values)
