"""Copies in rounds of a loop: who reads one reads what it is a copy of.

A convolution copies the patch of each round to one place and multiplies it there. Of rounds
together no patch is made: the product reads where the patch is copied from, and of the copies
only those are made that stay, which the next rounds do not write over.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...hw.isa import Op
from ..numerics import IntArray
from .nest import MEMORY, Flow, Step

_LATE = -1
"""Column of a value that no step reads: it is made when it is written."""


def forwarded(flow: Flow) -> Flow:
    """The same rounds without copies that only products read."""
    owner = np.concatenate([np.full(step.writes.size, n) for n, step in enumerate(flow.steps)])
    copies = [_copies(step) for step in flow.steps]
    steps = [_past(step, owner, flow, copies) for step in flow.steps]
    read = np.unique(np.concatenate([step.sources.ravel() for step in steps]))
    needed = set(owner[read[read != MEMORY]].tolist())
    late = [copied and n not in needed for n, copied in enumerate(copies)]
    kept = ~np.array(late, np.bool_)[owner]
    column = np.where(kept, np.cumsum(kept) - 1, _LATE)
    after = [
        replace(
            step,
            column=int(column[step.column]) if step.writes.size else step.column,
            sources=np.where(step.sources == MEMORY, MEMORY, column[step.sources]),
            late=each,
        )
        for step, each in zip(steps, late, strict=True)
    ]
    return replace(flow, steps=tuple(after), width=int(kept.sum()))


def _copies(step: Step) -> bool:
    """Whether every value is that of one activation, which no instruction of the round made."""
    alone = step.instr.op is Op.POOL and not step.instr["average"] and step.reads.shape[1] == 1
    return alone and bool((step.sources == MEMORY).all())


def _past(step: Step, owner: NDArray[np.integer], flow: Flow, copies: list[bool]) -> Step:
    """A product that reads what a copy has made, as one that reads what the copy reads."""
    if step.instr.op is not Op.MVM or (step.sources == MEMORY).any():
        return step
    number = int(owner[step.sources.flat[0]])
    if not copies[number] or (owner[step.sources] != number).any():
        return step
    copy = flow.steps[number]
    reads: IntArray = copy.reads[step.sources - copy.column, 0]
    return replace(step, reads=reads, act=copy.act, sources=np.full(reads.shape, MEMORY))
