"""Loops whose rounds do not depend on each other: what each round reads, and who has made it.

A nest is a ``LOOP``, perhaps directly inside others, around instructions without a loop.
:func:`flow_of` follows the activations through its rounds but the last, and perhaps the first.
Rounds are independent where every word that one reads was made earlier in that round, always by the
same value of the same instruction, or by none of these rounds before it; and where a round
clears the accumulators before it uses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...hw.banks import Banks
from ...hw.geometry import Geometry
from ...hw.isa import Instruction, Op, Reg
from ..numerics import IntArray
from .drives import edges_of
from .errors import EngineError
from .loops import turns_of, with_operands
from .post import POST, places

MEMORY = -1
"""Source of a word that no instruction has made in the same round."""

_BODY = (Op.NOP, Op.SET, Op.MVM, Op.REQUANT, *POST)
_FEWEST = 4
"""Rounds of a nest that is worth it: the first and the last are none of those together."""
_WORDS = 1 << 24
"""Words that all rounds read and write: a nest of more is not looked at."""
_BLOCK = 1 << 18
"""Of those, how many are looked at together."""


@dataclass(frozen=True)
class Nest:
    """Loops one directly in the other.

    Attributes
    ----------
    loops:
        Address and instruction of each ``LOOP``, the outermost first.
    body:
        Address and instruction of what is inside the innermost.
    """

    loops: tuple[tuple[int, Instruction], ...]
    body: tuple[tuple[int, Instruction], ...]

    @cached_property
    def rounds(self) -> int:
        """How often the body is executed."""
        return math.prod(instr["count"] for _, instr in self.loops)

    @cached_property
    def settings(self) -> dict[Reg, int]:
        """What the body leaves in registers."""
        return {Reg(i["reg"]): i["value"] for _, i in self.body if i.op is Op.SET}

    def added(self, number: IntArray, step: str) -> IntArray:
        """What the loops add to addresses by ``act_step`` or ``out_step``, in rounds."""
        turns, _ = turns_of(self.loops, number)
        return sum(
            (turn * instr[step] for turn, (_, instr) in zip(turns, self.loops, strict=True)),
            np.zeros_like(number),
        )


def nest_at(code: Sequence[Instruction], address: int) -> Nest | None:
    """The nest whose outermost ``LOOP`` is at an address; None if what is there is none."""
    loops: list[tuple[int, Instruction]] = []
    body: list[tuple[int, Instruction]] = []
    while address < len(code) and code[address].op is Op.LOOP:
        loops.append((address, code[address]))
        address += 1
    while address < len(code) and code[address].op in _BODY:
        body.append((address, code[address]))
        address += 1
    ends = code[address : address + len(loops)]
    closed = len(ends) == len(loops) and all(end.op is Op.END for end in ends)
    if not (loops and body and closed):
        return None
    return Nest(tuple(loops), tuple(body))


@dataclass(frozen=True, eq=False)
class Step:
    """An instruction of the body in all rounds.

    Attributes
    ----------
    address, instr:
        Where it is, and the instruction with the highest addresses that it has in any round.
    reads, writes:
        Addresses that each of its values is made from, shape (values, n), and its own, shape
        (values,), without what loops add. A product makes no value and reads as if for one.
    act, out:
        What is added to them in each round, shape (rounds,).
    column:
        Its first value among all those that a round makes.
    sources:
        Which value of the round each of ``reads`` is, or ``MEMORY``; shape (values, n).
    late:
        Whether no step reads its values, which are copies of activations: they have no column,
        and those that stay are copied when rounds are written.
    """

    address: int
    instr: Instruction
    reads: IntArray
    writes: IntArray
    act: IntArray
    out: IntArray
    column: int
    sources: IntArray
    late: bool = False

    @cached_property
    def edges(self) -> IntArray:
        """Of the words that it reads for its first value."""
        return edges_of(self.reads[0])

    @property
    def values(self) -> IntArray:
        """Numbers of its values."""
        return np.arange(self.writes.size)

    def read(self, rounds: slice, which: int | slice = slice(None)) -> IntArray:
        """Addresses of some of ``reads`` in rounds, shape (rounds, values) or with (..., n)."""
        return np.add.outer(self.act[rounds], self.reads[:, which])

    def written(self, rounds: slice) -> IntArray:
        """Addresses of its values in rounds, shape (rounds, values)."""
        return np.add.outer(self.out[rounds], self.writes)


@dataclass(frozen=True, eq=False)
class Flow:
    """The rounds of a nest that are independent: all from one on but the last.

    Attributes
    ----------
    nest:
        The loops.
    steps:
        The instructions of the body; each has addresses for every round of the nest.
    width:
        Values that a round makes, late ones not among them.
    first:
        The first of the rounds: 0, or 1 where that one is not as all others.
    """

    nest: Nest
    steps: tuple[Step, ...]
    width: int
    first: int

    def written(self, rounds: slice) -> IntArray:
        """Addresses of the values that rounds make, in that order, shape (rounds, values)."""
        return np.concatenate([step.written(rounds) for step in self.steps], axis=1)


def flow_of(
    nest: Nest,
    act: int,
    out: int,
    geometry: Geometry,
    params: NDArray[np.uint64],
    banks: Banks | None = None,
    first: int = 1,
) -> Flow | None:
    """The flow of activations through a nest.

    Parameters
    ----------
    nest:
        The loops.
    act, out:
        What the loops around it add to addresses.
    geometry, params:
        Of the image.
    banks:
        What the bank registers hold where the nest begins.
    first:
        The first round that is looked at; 0 where the body leaves every register as it was.

    Returns
    -------
    None where rounds are not independent, or too few or too many for it to be known, or
    where an address is beyond a memory.
    """
    if nest.rounds < _FEWEST or not _clears(nest):
        return None
    body = nest.body
    if geometry.banks:
        inside = _banked(nest, banks or Banks())
        if inside is None:
            return None
        body = inside
    try:
        found = [_places(instr, params) for _, instr in body]
    except EngineError:
        return None
    width = sum(writes.size for _, writes in found)
    if not width or nest.rounds * sum(r.size + w.size for r, w in found) > _WORDS:
        return None
    number = np.arange(nest.rounds)
    moves = {
        "act": (act + nest.added(number, "act_step")) % geometry.addresses,
        "out": (out + nest.added(number, "out_step")) % geometry.addresses,
    }
    steps: list[Step] = []
    column = 0
    for (address, instr), (reads, writes) in zip(body, found, strict=True):
        added = {name: _added(instr, name, by, geometry.addresses) for name, by in moves.items()}
        for words, name in ((reads, "act"), (writes, "out")):
            if words.size and words.max() + added[name].max() >= geometry.act_depth:
                return None
        highest = {
            name: instr[name] + int(by.max())
            for name, by in added.items()
            if instr.operands.get(f"move_{name}")
        }
        top = with_operands(instr, highest)
        unknown = np.full(reads.shape, MEMORY)
        steps.append(Step(address, top, reads, writes, added["act"], added["out"], column, unknown))
        column += writes.size
    sources = _sources(Flow(nest, tuple(steps), width, first), geometry.act_depth)
    if sources is None:
        return None
    known = (replace(step, sources=each) for step, each in zip(steps, sources, strict=True))
    return Flow(nest, tuple(known), width, first)


def _clears(nest: Nest) -> bool:
    """Whether a round leaves alone what accumulators had before it."""
    for _, instr in nest.body:
        if instr.op is Op.REQUANT or instr.op is Op.MVM:
            return bool(instr.operands.get("clear"))
    return True


def _places(instr: Instruction, params: NDArray[np.uint64]) -> tuple[IntArray, IntArray]:
    """What an instruction reads and writes, as :func:`~.post.places` has it."""
    match instr.op:
        case Op.MVM:
            first = instr["act"] + instr["first"]
            return first + np.arange(instr["rows"])[np.newaxis], _none(0)
        case Op.REQUANT:
            return _none(instr["count"], 0), instr["out"] + np.arange(instr["count"])
        case op if op in POST:
            return places(instr, params)
        case _:
            return _none(0, 0), _none(0)


def _none(*shape: int) -> IntArray:
    return np.zeros(shape, dtype=np.int64)


def _banked(nest: Nest, banks: Banks) -> tuple[tuple[int, Instruction], ...] | None:
    """The body with the addresses that it has in every round but perhaps the first.

    None where they are not the same in every round.
    """
    bodies = []
    for _ in range(3):
        body = []
        for address, instr in nest.body:
            body.append((address, banks.moved(instr)))
            banks = banks.after(instr)
        bodies.append(body)
    return tuple(bodies[1]) if bodies[1] == bodies[2] else None


def _added(instr: Instruction, name: str, by: IntArray, addresses: int) -> IntArray:
    """What is added to the addresses of an operand in each round, which may be below 0."""
    if not instr.operands.get(f"move_{name}"):
        return np.zeros_like(by)
    return (instr[name] + by) % addresses - instr[name]


def _sources(flow: Flow, depth: int) -> list[IntArray] | None:
    """The sources of each step; None where they are not the same in every round.

    ``depth`` is above every address.
    """
    end = flow.nest.rounds - 1
    first = np.full(depth, end)  # the round in which each word is first written
    size = max(1, _BLOCK // (flow.width + sum(step.reads.size for step in flow.steps)))
    sources: list[IntArray] = []
    for start in range(flow.first, end, size):
        rounds = np.arange(start, min(start + size, end))
        part = slice(start, start + rounds.size)
        written = flow.written(part)
        np.minimum.at(first, written, rounds[:, np.newaxis])
        word = rounds[:, np.newaxis] * depth + written
        made = np.sort((word * flow.width + np.arange(flow.width)).ravel())
        for n, step in enumerate(flow.steps):
            read = step.read(part)
            source = _made_by(step, read, rounds * depth, made, flow.width)
            outside = np.where(source == MEMORY, first[read], end)
            if (source >= step.column).any() or carried(outside, rounds):
                return None
            if len(sources) == n:
                sources.append(source[0])
            if (source != sources[n]).any():
                return None
    return sources


def _made_by(step: Step, read: IntArray, rounds: IntArray, made: IntArray, width: int) -> IntArray:
    """Which value of its round each word was last made by, before it is read.

    Parameters
    ----------
    read:
        Addresses, shape (rounds, values, n).
    rounds:
        ``round * depth`` of each round, shape (rounds,).
    made:
        Sorted: of each value of a round ``(round * depth + address) * width + value``.
    """
    word = rounds[:, np.newaxis, np.newaxis] + read
    before = step.column + np.arange(len(step.reads))[:, np.newaxis]
    place = np.searchsorted(made, word * width + before) - 1
    last = np.where(place < 0, MEMORY, made[place])
    return np.where(last // width == word, last % width, MEMORY)


def carried(first: IntArray, rounds: IntArray) -> bool:
    """Whether a word is read that a round before has written.

    Parameters
    ----------
    first:
        Round in which each word that is read is first written, shape (rounds, values, n).
    rounds:
        Number of each round, shape (rounds,).
    """
    return bool((first < rounds[:, np.newaxis, np.newaxis]).any())
