"""The instructions that the sequencer does not start: the bounds, as logic."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from operator import add

from amaranth.hdl import Cat, Const, Value, ValueLike
from amaranth.lib import wiring

from .bounds import BOUNDS, REGISTER_BOUNDS, operand_bits, register_bits
from .fields import operands
from .geometry import Geometry
from .isa import LAYOUTS, OPCODE_BITS, WORD_BITS, Op, Reg


def used_bits(op: Op, geometry: Geometry) -> int:
    """Bits of the layout of ``op`` up to the last operand that the controller takes, opcode
    included; it is refused with others."""
    end = bits = OPCODE_BITS
    for field in LAYOUTS[op]:
        bits += field.width
        if geometry.takes(field.name):
            end = bits
    return end


def strays(word: ValueLike, geometry: Geometry) -> dict[Op, Value]:
    """High for an instruction of a controller when ``word`` has bits outside its layout.

    An operand that the controller does not take is not of it.
    """
    word = Value.cast(word)
    used = {op: used_bits(op, geometry) for op in Op if geometry.has(op)}
    ends = sorted({*used.values(), WORD_BITS})
    above = {WORD_BITS: Value.cast(0)}
    for end, following in reversed(list(pairwise(ends))):
        above[end] = word[end:following].any() | above[following]
    found = {}
    for op, end in used.items():
        values = operands(word[:end], op)
        lacked = Cat(value for name, value in values.items() if not geometry.takes(name))
        found[op] = above[end] | lacked.any()
    return found


def exceeds(value: ValueLike, limit: int) -> Value:
    """``value > limit`` of an unsigned value, without a carry chain."""
    value = Value.cast(value)
    if limit < 0:
        return Const(1)
    if limit >> len(value):
        return Const(0)
    below: Value = Const(0)  # so far, from the lowest bit up
    for n in range(limit.bit_length()):
        below = value[n] & below if limit >> n & 1 else value[n] | below
    return value[limit.bit_length() :].any() | below


def refused(
    word: ValueLike, op: Op, registers: wiring.PureInterface, geometry: Geometry
) -> tuple[Value, Value]:
    """Whether the geometry has no room for what ``word``, an ``op``, names; and whether a
    register that it needs is out of its bounds.

    The conditions are those of :mod:`ohmloom.hw.bounds`, and that an operand
    which is not 0 by its layout is not; of operands that the controller takes.
    ``registers`` are a :class:`~ohmloom.hw.registers.Registers`.
    """
    values = {name: v for name, v in operands(word, op).items() if geometry.takes(name)}
    reasons: list[Value] = [~values[field.name].any() for field in LAYOUTS[op] if field.positive]
    limits = [
        (bound.operands, getattr(geometry, bound.limit) - bound.plus)
        for bound in BOUNDS.get(op, ())
        if values.keys() >= set(bound.operands)
    ]
    # An operand that is beyond a limit by itself is refused, so that sums need few bits.
    for name, value in values.items():
        bits = operand_bits(op, name, geometry)
        reasons.append(value[bits:].any())
        values[name] = value[:bits]
    for names, limit in limits:
        total = reduce(add, (values[name] for name in reversed(names)))
        reasons.append(exceeds(total, limit))
    operand, reasons = Cat(*reasons).any(), []

    def register(reg: Reg) -> tuple[Value, Value]:
        name = reg.name.lower()
        return getattr(registers.values, name), getattr(registers.beyond, name)

    for bound in REGISTER_BOUNDS.get(op, ()):
        if not geometry.knows(bound.reg):
            continue
        value, beyond = register(bound.reg)
        value = value[: register_bits(bound.reg, geometry)]
        reasons += [beyond, exceeds(value, bound.highest(geometry))]
        if bound.low:
            reasons.append(~exceeds(value, bound.low - 1))
    clamped = {Op.REQUANT: Value.cast(1), Op.ADD: Value.cast(1)}
    if op is Op.POOL:
        clamped[op] = values["average"]
    if op in clamped:
        (low, low_beyond), (high, high_beyond) = register(Reg.CLAMP_LO), register(Reg.CLAMP_HI)
        bits = geometry.act_width
        above = low[:bits].as_signed() > high[:bits].as_signed()
        reasons.append(clamped[op] & (low_beyond | high_beyond | above))
    return operand, Cat(*reasons).any()
