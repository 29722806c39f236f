"""Loops in the numpy engine: what is open, and what it adds to addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ...hw.isa import ITERATION_BITS, LOOP_DEPTH, Instruction
from .errors import EngineError


def turns_of(nest: Sequence[tuple[int, Instruction]], number: Any) -> tuple[list[Any], Any]:
    """Where loops one directly in the other are when the innermost begins its rounds.

    Parameters
    ----------
    nest:
        Address and ``LOOP`` of each, the outermost first.
    number:
        Rounds of the innermost before it, from 0; one or an array.

    Returns
    -------
    The round of each loop, and how many ``END`` there were since the outermost began, of the
    shape of ``number``.
    """
    turns = []
    ends = 0 * number
    for _, instr in reversed(nest):
        ends = ends + number
        number, turn = divmod(number, instr["count"])
        turns.append(turn)
    return turns[::-1], ends


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

    Parameters
    ----------
    addresses:
        Addresses are counted modulo this.
    """

    def __init__(self, addresses: int = 1 << 16) -> None:
        self.addresses = addresses
        self.iteration = 0
        self._open: list[_Loop] = []
        self._act, self._out = 0, 0

    @property
    def depth(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def added(self) -> tuple[int, int]:
        """What is added to ``act`` and to ``out``."""
        return self._act, self._out

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

    def at(self, nest: Sequence[tuple[int, Instruction]], number: int) -> Loops:
        """What is open when the innermost of further loops begins a round.

        Parameters
        ----------
        nest:
            Address and ``LOOP`` of each, one directly in the other, the outermost first.
        number:
            Rounds of the innermost before it, from 0.
        """
        inside = Loops(self.addresses)
        inside.iteration = self.iteration
        inside._open = [replace(loop) for loop in self._open]
        inside._act, inside._out = self._act, self._out
        turns, ends = turns_of(nest, number)
        for (address, instr), turn in zip(nest, turns, strict=True):
            inside.begin(address, instr)
            inside._open[-1].left -= turn
            inside._act = (inside._act + turn * instr["act_step"]) % self.addresses
            inside._out = (inside._out + turn * instr["out_step"]) % self.addresses
        inside.iteration = (inside.iteration + ends) % (1 << ITERATION_BITS)
        return inside

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
        self._act = (self._act + loop.act_step) % self.addresses
        self._out = (self._out + loop.out_step) % self.addresses
        return loop.address

    def moved(self, instr: Instruction) -> Instruction:
        """The instruction with the addresses that it has in this round."""
        changes = {
            name: (instr[name] + by) % self.addresses
            for flag, name, by in (("move_act", "act", self._act), ("move_out", "out", self._out))
            if by and instr.operands.get(flag)
        }
        return with_operands(instr, changes) if changes else instr


def with_operands(instr: Instruction, changes: Mapping[str, int]) -> Instruction:
    """The instruction with addresses that need not fit its operands."""
    return Instruction(instr.op, MappingProxyType({**instr.operands, **changes}))
