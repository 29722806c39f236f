"""The instructions that the sequencer does not start: the bounds, as logic."""

from __future__ import annotations

from amaranth.hdl import Cat, Value, ValueLike

from .bounds import BOUNDS, REGISTER_BOUNDS
from .fields import operands
from .geometry import Geometry
from .isa import LAYOUTS, OPCODE_BITS, WORD_BITS, Op, Reg


def stray_bits(word: ValueLike, op: Op) -> Value:
    """High when ``word`` has bits outside the layout of ``op``."""
    used = OPCODE_BITS + sum(field.width for field in LAYOUTS[op])
    return Value.cast(word)[used:WORD_BITS].any()


def refused(
    word: ValueLike, op: Op, registers: dict[Reg, Value], geometry: Geometry
) -> tuple[Value, Value]:
    """Whether the geometry has no room for what ``word``, an ``op``, names; and whether a
    register that it needs is out of its bounds.

    The conditions are those of :mod:`ohmloom.hw.bounds`, and that an operand
    which is not 0 by its layout is not.
    """
    values = operands(word, op)
    reasons: list[Value] = [values[field.name] == 0 for field in LAYOUTS[op] if field.positive]
    for bound in BOUNDS.get(op, ()):
        total = sum((values[name] for name in bound.operands), start=Value.cast(bound.plus))
        reasons.append(total > getattr(geometry, bound.limit))
    operand, reasons = Cat(*reasons).any(), []
    for bound in REGISTER_BOUNDS.get(op, ()):
        value = registers[bound.reg]
        reasons += [value < bound.low, value > bound.highest(geometry)]
    clamped = {Op.REQUANT: Value.cast(1), Op.ADD: Value.cast(1)}
    if op is Op.POOL:
        clamped[op] = values["average"]
    if op in clamped:
        low, high = registers[Reg.CLAMP_LO], registers[Reg.CLAMP_HI]
        outside = (low < -geometry.act_max - 1) | (high > geometry.act_max) | (low > high)
        reasons.append(clamped[op] & outside)
    return operand, Cat(*reasons).any()
