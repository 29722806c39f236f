"""Operand slices of instruction and parameter words, cut where the ISA says."""

from __future__ import annotations

from amaranth.hdl import Value, ValueLike

from .isa import LAYOUTS, OPCODE_BITS, Field, Op


def cut(word: ValueLike, fields: tuple[Field, ...], offset: int = 0) -> dict[str, Value]:
    """The named fields of a packed word, least significant first from ``offset``."""
    word = Value.cast(word)
    values: dict[str, Value] = {}
    for field in fields:
        raw = word[offset : offset + field.width]
        values[field.name] = raw.as_signed() if field.signed else raw
        offset += field.width
    return values


def operands(word: ValueLike, op: Op) -> dict[str, Value]:
    """The operands that ``word`` holds when it is an ``op``."""
    return cut(word, LAYOUTS[op], OPCODE_BITS)
