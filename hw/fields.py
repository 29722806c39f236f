"""Operand slices of instruction and parameter words, cut where the ISA says."""

from __future__ import annotations

from amaranth.hdl import Cat, Mux, Value, ValueLike

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


def moved(word: ValueLike, op: Op, act: Value, out: Value) -> Value:
    """``word``, an ``op``, with ``act`` and ``out`` added to the addresses that are to move."""
    fields, values = LAYOUTS[op], operands(word, op)
    for flag, name, by in (("move_act", "act", act), ("move_out", "out", out)):
        if flag in values:
            values[name] = (values[name] + Mux(values[flag], by, 0))[: len(values[name])]
    rest = Value.cast(word)
    end = OPCODE_BITS + sum(field.width for field in fields)
    return Value.cast(
        Cat(rest[:OPCODE_BITS], *(values[field.name] for field in fields), rest[end:])
    )


def operands(word: ValueLike, op: Op) -> dict[str, Value]:
    """The operands that ``word`` holds when it is an ``op``."""
    return cut(word, LAYOUTS[op], OPCODE_BITS)
