"""Loops in the numpy engine: what is open, and what it adds to addresses."""

from __future__ import annotations

from dataclasses import dataclass

from ...hw.isa import ITERATION_BITS, LOOP_DEPTH, Instruction, instruction
from .errors import EngineError

_ADDRESSES = 1 << 16


@dataclass
class _Loop:
    """An open loop: its ``LOOP``, rounds still to come, and what was added before it."""

    address: int
    left: int
    act_step: int
    out_step: int
    act: int
    out: int


class Loops:
    """The stack of open loops.

    Attributes
    ----------
    iteration:
        Ends since the outermost one began, modulo 2^16.
    """

    def __init__(self) -> None:
        self.iteration = 0
        self._open: list[_Loop] = []
        self._act, self._out = 0, 0

    def begin(self, address: int, instr: Instruction) -> None:
        """A ``LOOP``.

        Raises
        ------
        EngineError
            If too many are open.
        """
        if len(self._open) == LOOP_DEPTH:
            raise EngineError(f"address {address}: a LOOP inside {LOOP_DEPTH} others")
        if not self._open:
            self.iteration = 0
        steps = (instr["act_step"], instr["out_step"])
        self._open.append(_Loop(address, instr["count"] - 1, *steps, self._act, self._out))

    def end(self, address: int) -> int:
        """An ``END``: the address before that of the next instruction.

        Raises
        ------
        EngineError
            If none is open.
        """
        if not self._open:
            raise EngineError(f"address {address}: an END without a LOOP")
        self.iteration = (self.iteration + 1) % (1 << ITERATION_BITS)
        loop = self._open[-1]
        if not loop.left:
            self._open.pop()
            self._act, self._out = loop.act, loop.out
            return address
        loop.left -= 1
        self._act = (self._act + loop.act_step) % _ADDRESSES
        self._out = (self._out + loop.out_step) % _ADDRESSES
        return loop.address

    def moved(self, instr: Instruction) -> Instruction:
        """The instruction with the addresses that it has in this round."""
        changes = {
            name: (instr[name] + by) % _ADDRESSES
            for flag, name, by in (("move_act", "act", self._act), ("move_out", "out", self._out))
            if by and instr.operands.get(flag)
        }
        return instruction(instr.op, **{**instr.operands, **changes}) if changes else instr
