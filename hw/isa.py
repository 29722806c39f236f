"""The controller's instruction set: one layout for compiler, engines, RTL and disassembler.

An instruction is one 64-bit word. The opcode sits in the lowest six bits; the
fields follow it from the least significant bit upwards in the order listed in
:data:`LAYOUTS`. Unused high bits are zero, and a word in which they are not is
refused. Words are stored little-endian in ``program.bin``.

This file is plain Python and imports nothing of the project but its base error,
so every part may import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from ..errors import OhmloomError

WORD_BITS = 64
WORD_BYTES = WORD_BITS // 8
OPCODE_BITS = 6


class Op(IntEnum):
    """Opcodes. The docstring of :data:`LAYOUTS` says what each one does."""

    HALT = 0
    NOP = 1
    SET = 2
    WAIT = 3
    DAC = 4
    MVM = 5
    REQUANT = 6
    PROGRAM = 7
    READ = 8


class Reg(IntEnum):
    """Registers written by ``SET``; each is 32 bits wide, signed where it says so."""

    CLAMP_LO = 0
    """Lower bound of the requantised value (signed)."""
    CLAMP_HI = 1
    """Upper bound of the requantised value (signed)."""
    LEVELS = 2
    """Parameter-memory address of the level table (see :func:`pack_level`)."""
    TRIES = 3
    """Write-verify attempts per cell, 1 to 255."""
    SET_CYCLES = 4
    """Width of a SET pulse, in controller clock cycles."""
    RESET_CYCLES = 5
    """Width of a RESET pulse, in controller clock cycles."""
    RAIL_SET = 6
    """DAC code of rail B during a SET pulse (offset binary, 16 bits)."""
    RAIL_RESET = 7
    """DAC code of rail B during a RESET pulse (offset binary, 16 bits)."""
    TIA_RANGE = 8
    """Index of the TIA range, driven onto the front end's range pins."""


class Dac(IntEnum):
    """Channels of the rail DAC."""

    RAIL_A = 0
    """Read rail: V_read on the rows that are driven during an MVM or a read."""
    RAIL_B = 1
    """Pulse rail: SET or RESET voltage on the selected row."""
    GATE_PROGRAM = 2
    """Gate voltage of the selected column during SET: it sets I_cc."""
    GATE_ON = 3
    """Gate voltage of columns that are read or RESET: transistor fully on."""


@dataclass(frozen=True)
class Field:
    """One operand: ``width`` bits, two's complement when ``signed``, not 0 when ``positive``."""

    name: str
    width: int
    signed: bool = False
    positive: bool = False

    @property
    def minimum(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else int(self.positive)

    @property
    def maximum(self) -> int:
        return (1 << (self.width - self.signed)) - 1


LAYOUTS: MappingProxyType[Op, tuple[Field, ...]] = MappingProxyType(
    {
        Op.HALT: (),
        Op.NOP: (),
        Op.SET: (Field("reg", 6), Field("value", 32, signed=True)),
        Op.WAIT: (Field("cycles", 40),),
        Op.DAC: (Field("channel", 2), Field("code", 16)),
        Op.MVM: (
            Field("tile", 12),
            Field("act", 16),
            Field("first", 8),
            Field("rows", 8, positive=True),
            Field("planes", 5, positive=True),
            Field("signed", 1),
            Field("clear", 1),
        ),
        Op.REQUANT: (Field("out", 16), Field("param", 16), Field("count", 8, positive=True)),
        Op.PROGRAM: (Field("tile", 12), Field("cell", 16), Field("count", 16, positive=True)),
        Op.READ: (Field("tile", 12), Field("cell", 16), Field("count", 16, positive=True)),
    }
)
"""Operands of each instruction, least significant first, above the opcode.

``HALT``
    End of the run; the host is told.
``NOP``
    Nothing.
``SET reg, value``
    ``registers[reg] = value`` (32-bit two's complement).
``WAIT cycles``
    Pause for that many clock cycles (0 is none), through the timer service.
``DAC channel, code``
    Write a rail DAC channel (offset binary) and wait until it has settled.
``MVM tile, act, first, rows, planes, signed, clear``
    Bit-serial product of tile ``tile`` with activations ``act[row]`` for
    ``row`` in ``first .. first+rows-1`` (all other rows at 0 V), input bit
    planes ``0 .. planes-1``. Pair ``k`` is columns ``2k`` (G+) and ``2k+1``
    (G-): ``acc[k] += (code[2k] - code[2k+1]) * 2**plane``; the top plane is
    subtracted when ``signed``. ``clear`` zeroes the accumulators first.
``REQUANT out, param, count``
    For ``k`` in ``0 .. count-1``: ``act[out+k] = clamp(round_half_even((acc[k]
    + bias) * mantissa / 2**shift))`` with the parameters of
    :func:`pack_requant` at ``param + k`` and the bounds of the CLAMP registers.
``PROGRAM tile, cell, count``
    Write-verify cells ``cell .. cell+count-1`` of the tile (row-major), levels
    from cell memory word 0 upwards (0 to 255, the low byte of a word); results
    replace them (see :func:`unpack_result`).
``READ tile, cell, count``
    One read of each of the cells, results into cell memory word 0 upwards.
"""


class IsaError(OhmloomError, ValueError):
    """An instruction, parameter word or program that the controller would not take."""


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction; ``operands`` has exactly the fields of its layout."""

    op: Op
    operands: MappingProxyType[str, int]

    def __getitem__(self, name: str) -> int:
        return self.operands[name]

    def __str__(self) -> str:
        parts = []
        for name, value in self.operands.items():
            if self.op is Op.SET and name == "reg":
                parts.append(f"{name}={Reg(value).name}")
            elif self.op is Op.DAC and name == "channel":
                parts.append(f"{name}={Dac(value).name}")
            else:
                parts.append(f"{name}={value}")
        return f"{self.op.name} {', '.join(parts)}".rstrip()


def instruction(op: Op, **operands: int) -> Instruction:
    """Build an instruction; every operand of the layout is required and range-checked.

    Raises
    ------
    IsaError
        On a missing, unknown or out-of-range operand.
    """
    layout = LAYOUTS[op]
    names = [field.name for field in layout]
    if sorted(names) != sorted(operands):
        raise IsaError(f"{op.name} takes operands {names}, got {sorted(operands)}")
    for field in layout:
        value = operands[field.name]
        if not field.minimum <= value <= field.maximum:
            raise IsaError(
                f"{op.name}.{field.name} = {value} is outside {field.minimum}..{field.maximum}"
            )
    if op is Op.SET and operands["reg"] not in Reg._value2member_map_:
        raise IsaError(f"SET.reg = {operands['reg']} is not a register")
    return Instruction(op, MappingProxyType({name: int(operands[name]) for name in names}))


def encode(instr: Instruction) -> int:
    """The 64-bit word of an instruction."""
    word, shift = int(instr.op), OPCODE_BITS
    for field in LAYOUTS[instr.op]:
        word |= (instr[field.name] & ((1 << field.width) - 1)) << shift
        shift += field.width
    return word


def decode(word: int) -> Instruction:
    """The instruction of a 64-bit word.

    Raises
    ------
    IsaError
        On an unknown opcode, an unknown register, or set bits outside the layout.
    """
    opcode = word & ((1 << OPCODE_BITS) - 1)
    if opcode not in Op._value2member_map_ or word >> WORD_BITS:
        raise IsaError(f"{word:#018x} is not an instruction: unknown opcode {opcode}")
    op = Op(opcode)
    rest = word >> OPCODE_BITS
    operands = {}
    for field in LAYOUTS[op]:
        raw = rest & ((1 << field.width) - 1)
        if field.signed and raw >> (field.width - 1):
            raw -= 1 << field.width
        operands[field.name] = raw
        rest >>= field.width
    if rest:
        raise IsaError(f"{word:#018x} is not a {op.name}: bits outside its layout are set")
    return instruction(op, **operands)


def assemble(program: Iterable[Instruction]) -> bytes:
    """Little-endian machine code of a program."""
    return b"".join(encode(instr).to_bytes(WORD_BYTES, "little") for instr in program)


def parse(code: bytes) -> list[Instruction]:
    """The instructions of machine code.

    Raises
    ------
    IsaError
        If the length is no multiple of eight or a word does not decode.
    """
    if len(code) % WORD_BYTES:
        raise IsaError(f"program of {len(code)} bytes is not a whole number of 64-bit words")
    return [
        decode(int.from_bytes(code[i : i + WORD_BYTES], "little"))
        for i in range(0, len(code), WORD_BYTES)
    ]


def disassemble(program: Iterable[Instruction]) -> Iterator[str]:
    """One line per instruction: address, machine word, mnemonic and operands."""
    for address, instr in enumerate(program):
        yield f"{address:5d}  {encode(instr):016x}  {instr}"


# Parameter memory: 64-bit words, two kinds of record.

BIAS_BITS = 32
MANTISSA_BITS = 24
SHIFT_BITS = 6
REQUANT_FIELDS = (
    Field("bias", BIAS_BITS, signed=True),
    Field("mantissa", MANTISSA_BITS),
    Field("shift", SHIFT_BITS),
)
LEVEL_FIELDS = (
    Field("gate", 16),
    Field("low", 16, signed=True),
    Field("high", 16, signed=True),
)
RESULT_FIELDS = (Field("code", 16, signed=True), Field("tries", 8), Field("status", 2))


class CellStatus(IntEnum):
    """Outcome of write-verify or read on one cell (``status`` of a result word)."""

    READ = 0
    DONE = 1
    NOT_CONVERGED = 2


def _pack(kind: str, fields: tuple[Field, ...], values: tuple[int, ...]) -> int:
    word, shift = 0, 0
    for field, value in zip(fields, values, strict=True):
        if not field.minimum <= value <= field.maximum:
            raise IsaError(
                f"{kind}.{field.name} = {value} is outside {field.minimum}..{field.maximum}"
            )
        word |= (value & ((1 << field.width) - 1)) << shift
        shift += field.width
    return word


def _unpack(fields: tuple[Field, ...], word: int) -> tuple[int, ...]:
    values = []
    for field in fields:
        raw = word & ((1 << field.width) - 1)
        if field.signed and raw >> (field.width - 1):
            raw -= 1 << field.width
        values.append(raw)
        word >>= field.width
    return tuple(values)


def pack_requant(bias: int, mantissa: int, shift: int) -> int:
    """Parameter word of one output: ``(acc + bias) * mantissa / 2**shift``."""
    return _pack("requant", REQUANT_FIELDS, (bias, mantissa, shift))


def unpack_requant(word: int) -> tuple[int, int, int]:
    """``(bias, mantissa, shift)`` of a parameter word."""
    bias, mantissa, shift = _unpack(REQUANT_FIELDS, word)
    return bias, mantissa, shift


def pack_level(gate: int, low: int, high: int) -> int:
    """Parameter word of one conductance level.

    ``gate`` is the gate DAC code that sets its I_cc; a verify read is accepted
    when its ADC code lies in ``low .. high`` inclusive.
    """
    return _pack("level", LEVEL_FIELDS, (gate, low, high))


def unpack_level(word: int) -> tuple[int, int, int]:
    """``(gate, low, high)`` of a level word."""
    gate, low, high = _unpack(LEVEL_FIELDS, word)
    return gate, low, high


def pack_result(code: int, tries: int, status: CellStatus) -> int:
    """Cell-memory result word (32 bits): last ADC code, attempts used, outcome."""
    return _pack("result", RESULT_FIELDS, (code, tries, int(status)))


def unpack_result(word: int) -> tuple[int, int, CellStatus]:
    """``(code, tries, status)`` of a cell-memory result word."""
    code, tries, status = _unpack(RESULT_FIELDS, word)
    return code, tries, CellStatus(status)


def conversion_index(address: int, plane: int) -> int:
    """Draw index of the conversion of ``plane`` by the MVM at program ``address``.

    32 bits: address in the upper 16, plane in the lower 5; the bits between are
    reserved for loop counters.
    """
    return (address & 0xFFFF) << 16 | plane
