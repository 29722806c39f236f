"""Bank registers: what a controller with :attr:`~.geometry.Geometry.banks` adds to operands.

Plain Python. An address of a large network or a line of a large tile does not fit its operand;
the bank register of the operand makes up for what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from .isa import LAYOUTS, TABLE_WORDS, Instruction, Op, Reg

BANK_OF: MappingProxyType[str, Reg] = MappingProxyType(
    {
        "act": Reg.ACT_BANK,
        "out": Reg.OUT_BANK,
        "param": Reg.PARAM_BANK,
        "table": Reg.PARAM_BANK,
        "tile": Reg.TILE_BANK,
        "first": Reg.FIRST_BANK,
        "rows": Reg.ROWS_BANK,
        "count": Reg.COUNT_BANK,
    }
)
"""The register that is added to an operand of that name; to ``table`` in whole tables."""
_COUNTED = (Op.REQUANT, Op.PROGRAM, Op.READ)
"""Instructions whose ``count`` is of lines or cells of a tile."""
SOURCE_BANKS = (Reg.ACT_BANK, Reg.SOURCE_BANK)
"""What is added to ``a`` and ``b`` of an ``ADD``'s record."""
BANKS = frozenset((*BANK_OF.values(), *SOURCE_BANKS))
"""All of them; a controller without banks has none of these registers."""

BANKED: MappingProxyType[Op, tuple[str, ...]] = MappingProxyType(
    {
        op: tuple(
            field.name
            for field in LAYOUTS[op]
            if field.name in BANK_OF and (field.name != "count" or op in _COUNTED)
        )
        for op in Op
    }
)
"""Operands of each instruction to which a bank is added."""


def unit(name: str) -> int:
    """What one step of an operand is in its bank's words."""
    return TABLE_WORDS if name == "table" else 1


_NAME: MappingProxyType[Reg, str] = MappingProxyType(
    {reg: reg.name.removesuffix("_BANK").lower() for reg in BANKS}
)
"""What they are called in :class:`Banks`."""


@dataclass(frozen=True)
class Banks:
    """What the bank registers hold."""

    act: int = 0
    out: int = 0
    param: int = 0
    tile: int = 0
    source: int = 0
    first: int = 0
    rows: int = 0
    count: int = 0

    @classmethod
    def of(cls, registers: Mapping[Reg, int]) -> Banks:
        """Those among registers."""
        return cls(**{name: registers[reg] for reg, name in _NAME.items()})

    def __getitem__(self, reg: Reg) -> int:
        return getattr(self, _NAME[reg])

    def after(self, instr: Instruction) -> Banks:
        """What they hold behind an instruction."""
        if instr.op is not Op.SET or instr["reg"] not in BANKS:
            return self
        return replace(self, **{_NAME[Reg(instr["reg"])]: instr["value"]})

    def moved(self, instr: Instruction) -> Instruction:
        """The instruction with the addresses that are meant, which may not fit its operands.

        An ``ADD`` gets two operands more: what is added to ``a`` and ``b`` of its record.
        """
        operands = dict(instr.operands)
        for name in BANKED[instr.op]:
            operands[name] += self[BANK_OF[name]] // unit(name)
        if instr.op is Op.ADD:
            operands |= {"a_bank": self.act, "b_bank": self.source}
        return Instruction(instr.op, MappingProxyType(operands))
