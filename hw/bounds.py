"""Which operands and registers a controller of a geometry takes: for gateware and engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .geometry import Geometry
from .isa import LAYOUTS, POOL_WORDS, PULSE_FIELDS, SWEEP_FIELDS, Instruction, Op, Reg, Scheme
from .ranges import RANGE_BITS, TEMPERATURE_RANGE


@dataclass(frozen=True)
class Bound:
    """``sum of the operands + plus <= geometry.limit``; ``name`` is the operand to blame."""

    name: str
    operands: tuple[str, ...]
    limit: str
    plus: int = 0

    def holds(self, instr: Instruction, geometry: Geometry) -> bool:
        """Whether an instruction keeps to it."""
        total = sum(instr[name] for name in self.operands) + self.plus
        return total <= getattr(geometry, self.limit)


@dataclass(frozen=True)
class RegisterBound:
    """``low <= register <= high``; ``high`` may name a limit of the geometry."""

    reg: Reg
    low: int
    high: int | str
    plus: int = 0

    def highest(self, geometry: Geometry) -> int:
        """The largest value that is taken."""
        limit = getattr(geometry, self.high) if isinstance(self.high, str) else self.high
        return limit + self.plus

    def holds(self, value: int, geometry: Geometry) -> bool:
        """Whether a register's value keeps to it."""
        return self.low <= value <= self.highest(geometry)


_LINE = (
    Bound("tile", ("tile",), "tiles", 1),
    Bound("row", ("row",), "rows", 1),
    Bound("column", ("column",), "columns", 1),
)
_CELLS = (Bound("tile", ("tile",), "tiles", 1), Bound("count", ("cell", "count"), "cells"))

BOUNDS: MappingProxyType[Op, tuple[Bound, ...]] = MappingProxyType(
    {
        Op.MVM: (
            Bound("rows", ("first", "rows"), "rows"),
            Bound("planes", ("planes",), "act_width"),
            Bound("shift", ("shift",), "most_shift"),
            Bound("act", ("act", "first", "rows"), "act_depth"),
            Bound("tile", ("tile",), "tiles", 1),
        ),
        Op.REQUANT: (
            Bound("count", ("count",), "accumulators"),
            Bound("param", ("param", "count"), "param_depth"),
            Bound("out", ("out", "count"), "act_depth"),
        ),
        Op.PROGRAM: _CELLS,
        Op.READ: _CELLS,
        Op.LUT: (
            Bound("act", ("act", "count"), "act_depth"),
            Bound("out", ("out", "count"), "act_depth"),
            Bound("table", ("table",), "tables", 1),
        ),
        Op.POOL: (
            Bound("act", ("act",), "act_depth", 1),
            Bound("out", ("out",), "act_depth", 1),
            Bound("param", ("param", "average"), "param_depth", POOL_WORDS),
        ),
        Op.ADD: (
            Bound("out", ("out", "count"), "act_depth"),
            Bound("param", ("param",), "param_depth", 2),
        ),
        Op.ARGMAX: (
            Bound("act", ("act", "count"), "act_depth"),
            Bound("out", ("out",), "act_depth", 1),
            Bound("count", ("count",), "act_max", -1),
        ),
        Op.PULSE: (*_LINE, Bound("param", ("param",), "param_depth", len(PULSE_FIELDS))),
        Op.SWEEP: (*_LINE, Bound("param", ("param",), "param_depth", len(SWEEP_FIELDS))),
        Op.RESTORE: (Bound("tile", ("tile",), "tiles", 1),),
        Op.MODE: (Bound("tile", ("tile",), "tiles", 1),),
    }
)
"""What the operands of each instruction keep to. Addresses that come from parameter
memory are checked when they are used."""


def operand_bits(op: Op, name: str, geometry: Geometry) -> int:
    """Low bits of an operand beyond which it is 0, or the instruction is refused.

    Of an address those that its memory has.
    """
    widths = [field.width for field in LAYOUTS[op] if field.name == name]
    limits = [
        getattr(geometry, bound.limit) - min(bound.plus, 1)
        for bound in BOUNDS.get(op, ())
        if name in bound.operands
    ]
    return min(widths + [max(0, limit).bit_length() for limit in limits])


REGISTER_BOUNDS: MappingProxyType[Op, tuple[RegisterBound, ...]] = MappingProxyType(
    {
        Op.MVM: (RegisterBound(Reg.SCHEME, 0, max(Scheme)),),
        Op.PROGRAM: (
            RegisterBound(Reg.TRIES, 1, 255),
            RegisterBound(Reg.AVERAGE, 0, 15),
            RegisterBound(Reg.STUCK, 0, 0xFFFF),
            RegisterBound(Reg.LEVELS, 0, "param_depth", -1),
            RegisterBound(Reg.LINE, 0, "last_line"),
            RegisterBound(Reg.ENDURANCE, 0, "most_cycles"),
            RegisterBound(Reg.TOGETHER, 0, "columns"),
            RegisterBound(Reg.RAIL_SET, 0, 0xFFFF),
            RegisterBound(Reg.RAIL_RESET, 0, 0xFFFF),
            RegisterBound(Reg.TIA_RANGE, 0, TEMPERATURE_RANGE - 1),
        ),
        Op.READ: (
            RegisterBound(Reg.AVERAGE, 0, 15),
            RegisterBound(Reg.TOGETHER, 0, "columns"),
            RegisterBound(Reg.TIA_RANGE, 0, 15),
        ),
    }
)
"""What the registers that an instruction uses keep to."""

_WIDTHS: MappingProxyType[Reg, tuple[Op, int]] = MappingProxyType(
    {Reg.SET_CYCLES: (Op.PROGRAM, 32), Reg.RESET_CYCLES: (Op.PROGRAM, 32)}
)
"""Bits of the registers that need not keep to anything, and the instruction that reads them."""


def register_bits(reg: Reg, geometry: Geometry) -> int:
    """Bits of a register that a controller looks at.

    A value that does not fit them (signed, where it is) keeps to no bound, or nothing
    looks at the others. ``ARM`` is a key, all of which is looked at.
    """
    if not geometry.knows(reg):
        return 0
    if reg in (Reg.CLAMP_LO, Reg.CLAMP_HI):
        return geometry.act_width
    if reg is Reg.ARM:
        return 32
    if reg in _WIDTHS:
        op, bits = _WIDTHS[reg]
        return bits if geometry.has(op) else 0
    bits = [
        bound.highest(geometry).bit_length()
        for op, bounds in REGISTER_BOUNDS.items()
        for bound in bounds
        if bound.reg is reg and geometry.has(op)
    ]
    # Instructions without that bound take a range from the low bits.
    return max([RANGE_BITS if reg is Reg.TIA_RANGE else 0, *bits])


def clamps(instr: Instruction) -> bool:
    """Whether a result is held between ``CLAMP_LO`` and ``CLAMP_HI``."""
    return instr.op in (Op.REQUANT, Op.ADD) or (instr.op is Op.POOL and bool(instr["average"]))


def clamp_holds(registers: Mapping[Reg, int], geometry: Geometry) -> bool:
    """Whether the clamp's bounds are activations, the lower one not above the upper one."""
    low, high = registers[Reg.CLAMP_LO], registers[Reg.CLAMP_HI]
    return -geometry.act_max - 1 <= low <= high <= geometry.act_max
