"""Rounds of a loop together: each instruction once, for many rounds of every sample.

A lane is a sample in a round. What a round makes stays in the lane until a block of rounds is
done; then it is written to the activations, of each word the last that was made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import OhmloomError
from ...hw.geometry import Geometry
from ...hw.isa import ITERATION_BITS, Instruction, Op, Reg, conversion_index
from ..numerics import IntArray
from .batch import ACT, Batch
from .drives import Drives
from .errors import check_width
from .loops import turns_of
from .nest import MEMORY, Step
from .post import POST, Operand, PostProcessor
from .product import Product
from .staying import Plan

_WORDS = 1 << 21
"""Words that the lanes of a block hold: bounds memory, changes no bit."""


@dataclass(frozen=True)
class Datapath:
    """How an engine executes instructions, with its registers as they stand.

    Attributes
    ----------
    registers:
        Those of the engine.
    refuse:
        Refuses an instruction at an address.
    product:
        How an ``MVM`` at an address is made.
    requantised:
        What a ``REQUANT`` at an address makes of accumulators (lanes, n).
    post:
        What makes the values of the others.
    """

    registers: dict[Reg, int]
    refuse: Callable[[int, Instruction], None]
    product: Callable[[int, Instruction], Product]
    requantised: Callable[[int, Instruction, IntArray], IntArray]
    post: Callable[[], PostProcessor]


@dataclass
class _Block:
    """Some rounds: what their lanes have made, shape (batch, rounds, width), and counted."""

    rounds: slice
    made: NDArray[ACT]
    saturations: int = 0
    conversions: int = 0


class Rounds:
    """Executes independent rounds on a batch.

    Parameters
    ----------
    path:
        How instructions are executed.
    geometry:
        Of the image.
    plan:
        The rounds.
    iteration:
        Ends of loops when the nest begins, modulo 2^16.
    batch:
        The samples; changed in place, but for accumulators: the nest's last round leaves them.
    """

    def __init__(
        self, path: Datapath, geometry: Geometry, plan: Plan, iteration: int, batch: Batch
    ) -> None:
        self.path = path
        self.geometry = geometry
        self.plan = plan
        self.flow = plan.flow
        self.iteration = iteration
        self.batch = batch

    def run(self) -> int:
        """Execute all rounds of the plan.

        Returns
        -------
        Number of the first round that has not been executed: the last one, or one in whose
        block something is refused.
        """
        registers = dict(self.path.registers)
        start, end = self.flow.first, self.flow.nest.rounds - 1
        try:
            accumulators, wide = self._accumulators()
            size = self._size(accumulators)
            while start < end:
                rounds = slice(start, min(start + size, end))
                block = self._execute(rounds, accumulators, wide=wide)
                self._commit(block)
                start = block.rounds.stop
        except OhmloomError:  # round by round from here on: the one that is refused says why
            self.path.registers.update(registers)
        return start

    def _size(self, accumulators: int) -> int:
        """Rounds of a block."""
        gathered = (step for step in self.flow.steps if not (step.late or _from_memory(step)))
        reads = max((step.reads.size for step in gathered), default=0)
        words = self.flow.width + reads + 2 * accumulators
        return max(1, _WORDS // (words * max(1, len(self.batch.epochs))))

    def _accumulators(self) -> tuple[int, bool]:
        """Accumulators that are looked at: those that are used, if the others show nowhere.

        They would if one of their codes were at a rail, or an accumulator overflowed. With it,
        whether none of them can overflow.
        """
        every = self.geometry.accumulators
        used = max(
            (s.instr["count"] for s in self.flow.steps if s.instr.op is Op.REQUANT), default=1
        )
        most, limit = np.zeros(every, dtype=np.int64), 1 << self.geometry.acc_width - 1
        wide = True
        for step in self.flow.steps:
            if step.instr.op is Op.SET:
                self._set(step)
            elif step.instr.op is Op.MVM:
                product = self.path.product(step.address, step.instr)
                bound, saturates = product.bounds(every)
                most = bound if step.instr["clear"] else most + bound
                wide &= bool((most < limit).all())
                if saturates[product.columns(used) :].any() or (most[used:] >= limit).any():
                    used = every
        return used, wide

    def _execute(self, rounds: slice, accumulators: int, *, wide: bool) -> _Block:
        """Make what the lanes of a block make, in accumulators that are ``wide`` enough or not.

        Raises
        ------
        OhmloomError
            If something is refused in any of the rounds; nothing but registers has changed.
        """
        batch, geometry = self.batch, self.geometry
        shape = (len(batch.epochs), rounds.stop - rounds.start)
        block = _Block(rounds, np.empty((*shape, self.flow.width), dtype=ACT))
        acc = np.empty((shape[0] * shape[1], accumulators), dtype=np.int64)  # cleared first
        epochs = np.repeat(batch.epochs, shape[1])
        for step in self.flow.steps:
            instr, operand = step.instr, self._operand(step, block)
            made = block.made[..., step.column : step.column + step.writes.size]
            self.path.refuse(step.address, instr)
            match instr.op:
                case Op.SET:
                    self._set(step)
                case Op.MVM:
                    drives = self._drives(step, rounds, operand)
                    index = np.tile(self._index(step, rounds), shape[0])
                    product = self.path.product(step.address, instr)
                    sums, saturations = product.sums(drives, epochs, index, accumulators)
                    acc = sums if instr["clear"] else acc + sums
                    if not wide:
                        check_width("an accumulator", acc, geometry.acc_width)
                    block.saturations += saturations
                    block.conversions += len(acc) * product.conversions
                case Op.REQUANT:
                    y = self.path.requantised(step.address, instr, acc)
                    made[...] = y.reshape(made.shape)
                case op if op in POST and not step.late:
                    made[...] = self.path.post().maker(instr)(operand)
        return block

    def _set(self, step: Step) -> None:
        self.path.registers[Reg(step.instr["reg"])] = step.instr["value"]

    def _index(self, step: Step, rounds: slice) -> IntArray:
        """Draw index of a product's plane 0 in rounds."""
        _, ends = turns_of(self.flow.nest.loops, np.arange(rounds.start, rounds.stop))
        ends = (ends + self.iteration) % (1 << ITERATION_BITS)
        return np.asarray(conversion_index(step.address, 0, ends))

    def _drives(self, step: Step, rounds: slice, operand: Operand) -> Drives:
        """What drives the rows in a product."""
        if _from_memory(step):
            return Drives(self.batch.act, step.reads[0], step.act[rounds], step.edges)
        x = operand(slice(None))
        return Drives.of(x.reshape(-1, x.shape[-1]))

    def _operand(self, step: Step, block: _Block) -> Operand:
        """What the values of an instruction are made from, shape (batch, rounds, ...)."""

        def operand(n: int | slice) -> NDArray[np.integer]:
            sources = step.sources[:, n]
            inside = sources != MEMORY
            if inside.all():
                first = int(sources.flat[0])
                if (sources.ravel() == first + np.arange(sources.size)).all():  # no copy
                    run = block.made[..., first : first + sources.size]
                    return run.reshape(*run.shape[:-1], *sources.shape)
                return block.made[..., sources]
            read = step.read(block.rounds, n)
            values = np.take(self.batch.act, read, axis=1, mode="clip")  # none is outside
            if inside.any():
                values[..., inside] = block.made[..., sources[inside]]
            return values

        return operand

    def _commit(self, block: _Block) -> None:
        """Write what a block has made, of each word the last."""
        made = block.made.reshape(len(block.made), self.flow.width * block.made.shape[1])
        self.plan.staying(block.rounds).write(self.batch.act, made)
        self.batch.saturations += block.saturations
        self.batch.conversions += block.conversions


def _from_memory(step: Step) -> bool:
    """Whether it is a product of what was there before its round."""
    return step.instr.op is Op.MVM and bool((step.sources == MEMORY).all())
