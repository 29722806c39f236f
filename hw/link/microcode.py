"""Instructions of the command processor's microprogram, and their assembler. Plain Python.

The processor has an accumulator of eight bits with a carry, a scratch memory of 256 bytes
and an index, which is ORed to the address of an indexed instruction. An instruction has
16 bits:

| bits | branch | otherwise |
| --- | --- | --- |
| 15 | 1 | 0 |
| 14..11 | :class:`Condition` | 14..12 :class:`Kind`, 11: the accumulator is cleared first |
| 10, 9 | 10: branches if the test fails | :class:`Function` |
| 8 | target (9 bits) | indexed |
| 7..0 | | address, or :class:`Source` |

A :attr:`Kind.STROBE` has a bit of :class:`Strobe` in each of 10..0; with bit 11 it waits
until there is something to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

WORD_BITS = 16
ADDRESS_BITS = 8
COUNTER_BITS = 9
"""Of the program counter."""
TAPS = (8, 4)
"""x^9 + x^5 + 1 is primitive."""


class Kind(IntEnum):
    """What an instruction does that is no branch; the first five change the accumulator."""

    ALU = 0
    """Function of accumulator and a scratch byte."""
    ALU_CARRY = 1
    """The same, with the carry."""
    ALU_TAKE = 2
    """The same; the next byte of the frame is shifted into the word."""
    ALU_SHIFT = 3
    """The same; a zero byte is shifted into the word."""
    LOAD = 4
    """Function of accumulator and :class:`Source`."""
    STORE = 5
    """Accumulator to a scratch byte; some of them are registers too (:class:`Mapped`)."""
    SEND = 6
    """Sends the accumulator and shifts the word; with an odd address ends the reply."""
    STROBE = 7


class Function(IntEnum):
    """What becomes of accumulator and operand."""

    ADD = 0
    SUB = 1
    """The carry says that nothing was borrowed."""
    AND = 2
    OR = 3


class Source(IntEnum):
    """What LOAD loads."""

    FRAME = 0
    """The next byte of the frame, which is shifted into the word as well."""
    WORD = 1
    """The lowest byte of the word."""
    LENGTH_LOW = 2
    LENGTH_HIGH = 3


class Strobe(IntEnum):
    """Bits of a STROBE."""

    READ = 0
    WRITE = 1
    RUN = 2
    ABORT = 3
    CLEAR = 4
    LIMIT = 5
    RELEASE = 6
    """The frame has been used."""
    COUNTED = 7
    """A dropped frame has been counted; with bit 9 or 10, an entry of the log or a lost one."""
    EVENT = 8
    """The end of the run is being reported."""
    SELECT = 9
    """And the bit above it: the word becomes one of the wide ones, 1 to 3."""


class Condition(IntEnum):
    """What a branch looks at."""

    ALWAYS = 0
    ZERO = 1
    CARRY = 2
    DONE = 3
    """A run has ended and was not reported."""
    DROPPED = 4
    """A dropped frame has not been counted."""
    RUNNING = 5
    SAFE = 6
    CAUSE = 7
    RAISES = 8
    LOCKED = 9
    EXCLUDES = 10
    ADOPTED = 11
    WRITTEN = 12
    """An entry of the log has not been counted."""
    LOST = 13
    """An event that the log lost, likewise."""


class Mapped(IntEnum):
    """Scratch bytes that are registers too; they can be read as any other."""

    INDEX = 0xFC
    """Its lowest bits are the space."""
    ADDRESS_LOW = 0xFD
    ADDRESS_HIGH = 0xFE


def following(counter: int) -> int:
    """The program counter after this one: a shift register, which takes no adder."""
    high, low = TAPS
    bit = 1 ^ counter >> high & 1 ^ counter >> low & 1
    return (counter << 1 | bit) & (1 << COUNTER_BITS) - 1


@dataclass(frozen=True)
class At:
    """A scratch byte whose address is ORed with the index."""

    base: int | str


@dataclass(frozen=True)
class Step:
    """An instruction as it stands in the control store.

    Attributes
    ----------
    name:
        The label before it, and how far behind that it is.
    place:
        Value of the program counter.
    onward, jump:
        Names of the instructions that can follow it: the next one, and that of a branch.
    """

    name: str
    place: int
    onward: str | None
    jump: str | None


@dataclass(frozen=True)
class _Branch:
    test: Condition
    invert: bool
    target: str


class Program:
    """Instructions in the order in which they were given.

    An operand is the name of a variable, a number (a constant, which is kept in scratch)
    or :class:`At`. ``tables`` are the bytes that scratch begins with.
    """

    def __init__(self, tables: Sequence[int]) -> None:
        self.scratch = list(tables)
        self._names: dict[str, int] = {mapped.name: mapped for mapped in Mapped}
        self._constants: dict[int, int] = {}
        self._lines: list[int | _Branch] = []
        self._labels: dict[str, int] = {}

    def reserve(self, *names: str) -> None:
        """Variables one behind the other, zero at first."""
        for name in names:
            self._names[name] = len(self.scratch)
            self.scratch.append(0)

    def address(self, name: str) -> int:
        """Where a variable is."""
        return self._names[name]

    def label(self, name: str) -> None:
        """The next instruction's name."""
        assert name not in self._labels, name
        self._labels[name] = len(self._lines)

    def load(self, operand: int | str | At | Source) -> None:
        """Accumulator = operand."""
        if isinstance(operand, Source):
            self._line(Kind.LOAD, operand, Function.OR, clear=True)
        else:
            self._alu(Kind.ALU, Function.OR, operand, clear=True)

    def add(self, operand: int | str | At, kind: Kind = Kind.ALU) -> None:
        """Accumulator += operand."""
        self._alu(kind, Function.ADD, operand)

    def sub(self, operand: int | str | At, kind: Kind = Kind.ALU) -> None:
        """Accumulator -= operand."""
        self._alu(kind, Function.SUB, operand)

    def both(self, operand: int | str | At) -> None:
        """Accumulator &= operand."""
        self._alu(Kind.ALU, Function.AND, operand)

    def either(self, operand: int | str | At) -> None:
        """Accumulator |= operand."""
        self._alu(Kind.ALU, Function.OR, operand)

    def store(self, *operands: str | At) -> None:
        """Operands = accumulator."""
        for operand in operands:
            self._alu(Kind.STORE, Function.ADD, operand)

    def send(self, *, end: bool = False) -> None:
        """Sends the accumulator, or ends the reply."""
        self._line(Kind.SEND, end, Function.ADD)

    def strobe(self, strobe: Strobe, select: int = 1) -> None:
        """One strobe; ``select`` says which word."""
        self._lines.append(Kind.STROBE << 12 | select << strobe)

    def rest(self) -> None:
        """Waits for a frame, or for something to be reported or counted."""
        self._line(Kind.STROBE, 0, Function.ADD, clear=True)

    def branch(self, test: Condition, target: str, *, unless: bool = False) -> None:
        """To ``target`` if the test is true, or unless it is."""
        self._lines.append(_Branch(test, unless, target))

    def jump(self, target: str) -> None:
        """To ``target``."""
        self.branch(Condition.ALWAYS, target)

    def steps(self) -> list[Step]:
        """All instructions in the order in which they were given."""
        names, label, first = [], "", 0
        starts = {line: name for name, line in self._labels.items()}
        for n in range(len(self._lines)):
            if n in starts:
                label, first = starts[n], n
            names.append(f"{label}+{n - first}" if n > first or not label else label)
        names.append("")  # behind the last one, which is a branch
        found, place = [], 0
        for n, line in enumerate(self._lines):
            branch = line if isinstance(line, _Branch) else None
            always = branch is not None and branch.test is Condition.ALWAYS
            onward = None if always else names[n + 1]
            jump = names[self._labels[branch.target]] if branch is not None else None
            found.append(Step(names[n], place, onward, jump))
            place = following(place)
        return found

    def assembled(self) -> tuple[list[int], list[int]]:
        """The words of the control store, and the scratch memory's first contents."""
        places = [0]
        while len(places) < len(self._lines):
            places.append(following(places[-1]))
        words = [0] * (1 << COUNTER_BITS)
        assert len(self._lines) < len(words) and len(self.scratch) <= min(Mapped)
        for place, line in zip(places, self._lines, strict=True):
            if isinstance(line, _Branch):
                target = places[self._labels[line.target]]
                line = 1 << 15 | line.test << 11 | line.invert << 10 | target
            words[place] = line
        return words, self.scratch

    def _alu(
        self, kind: Kind, function: Function, operand: int | str | At, *, clear: bool = False
    ) -> None:
        indexed = isinstance(operand, At)
        base = operand.base if isinstance(operand, At) else operand
        if isinstance(base, str):
            address = self._names[base]
        elif indexed:
            address = base
        else:
            if base not in self._constants:
                self._constants[base] = len(self.scratch)
                self.scratch.append(base)
            address = self._constants[base]
        self._line(kind, address, function, indexed=indexed, clear=clear)

    def _line(
        self,
        kind: Kind,
        address: int,
        function: Function,
        *,
        indexed: bool = False,
        clear: bool = False,
    ) -> None:
        self._lines.append(kind << 12 | clear << 11 | function << 9 | indexed << 8 | address)
