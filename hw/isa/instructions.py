"""Instructions, registers and channels, their words, and programs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from .records import WORD_BITS, WORD_BYTES, Field, IsaError

OPCODE_BITS = 6
LOOP_DEPTH = 4
"""Loops that may be open at once."""
ITERATION_BITS = 16


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
    LOOP = 9
    END = 10
    LUT = 16
    POOL = 17
    ADD = 18
    ARGMAX = 19
    PULSE = 24
    SWEEP = 25
    ADOPT = 32
    RESTORE = 33
    MODE = 34


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
    AVERAGE = 9
    """Base-two logarithm of the conversions averaged for a verify read, 0 to 15."""
    STUCK = 10
    """Largest spread of the codes of all tries at which a cell that missed is called
    stuck (ADC codes); 0 calls none so."""
    LINE = 11
    """Parameter address of the device's line (:class:`~ohmloom.hw.line.Line`), from which
    ``PROGRAM`` computes I_cc and window of targets; 0: it takes levels from the table."""
    ENDURANCE = 12
    """Write-verify attempts that a cell is good for; 0 is no limit."""
    TOGETHER = 13
    """Cells of a row that are RESET, and read, at once; 0 counts as 1."""
    SCHEME = 14
    """Which codes an ``MVM`` subtracts from which (:class:`Scheme`); a controller with single
    columns alone has it."""
    ARM = 16
    """Key of an irreversible change of mode (:func:`~ohmloom.hw.profile.arm_key`);
    0 after every ``MODE`` and at the start of every run."""
    ACT_BANK = 20
    """Added to ``act``, and to ``a`` of the record of an ``ADD``. This register and the
    following are those of a controller with banks alone (:mod:`ohmloom.hw.banks`)."""
    OUT_BANK = 21
    """Added to ``out``."""
    PARAM_BANK = 22
    """Added to ``param``, and to the address of a ``table``."""
    TILE_BANK = 23
    """Added to ``tile``."""
    SOURCE_BANK = 24
    """Added to ``b`` of the record of an ``ADD``."""
    FIRST_BANK = 25
    """Added to ``first``."""
    ROWS_BANK = 26
    """Added to ``rows``."""
    COUNT_BANK = 27
    """Added to ``count`` of a ``REQUANT``, ``PROGRAM`` or ``READ``."""


class Scheme(IntEnum):
    """What an ``MVM`` adds to the accumulators: the values of ``Reg.SCHEME``."""

    DIFFERENTIAL = 0
    """Column ``2k`` less column ``2k+1``."""
    SINGLE = 1
    """Each column from 1 on less column 0, the reference."""
    SUBTRACTED = 2
    """The same, subtracted."""


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
            Field("move_act", 1, optional=True),
            Field("shift", 5, optional=True),
        ),
        Op.REQUANT: (
            Field("out", 16),
            Field("param", 16),
            Field("count", 8, positive=True),
            Field("move_out", 1, optional=True),
        ),
        Op.PROGRAM: (Field("tile", 12), Field("cell", 16), Field("count", 16, positive=True)),
        Op.READ: (Field("tile", 12), Field("cell", 16), Field("count", 16, positive=True)),
        Op.LOOP: (Field("count", 16, positive=True), Field("act_step", 16), Field("out_step", 16)),
        Op.END: (),
        Op.LUT: (
            Field("act", 16),
            Field("out", 16),
            Field("table", 10),
            Field("count", 16, positive=True),
        ),
        Op.POOL: (
            Field("act", 16),
            Field("out", 16),
            Field("param", 16),
            Field("average", 1),
            Field("move_act", 1, optional=True),
            Field("move_out", 1, optional=True),
        ),
        Op.ADD: (Field("out", 16), Field("param", 16), Field("count", 16, positive=True)),
        Op.ARGMAX: (
            Field("act", 16),
            Field("out", 16),
            Field("count", 16, positive=True),
            Field("last", 1),
        ),
        Op.PULSE: (
            Field("tile", 12),
            Field("row", 8),
            Field("column", 8),
            Field("count", 8, positive=True),
            Field("down", 1),
            Field("param", 16),
        ),
        Op.SWEEP: (
            Field("tile", 12),
            Field("row", 8),
            Field("column", 8),
            Field("count", 8, positive=True),
            Field("down", 1),
            Field("param", 16),
        ),
        Op.ADOPT: (),
        Op.RESTORE: (Field("tile", 12), Field("mode", 3)),
        Op.MODE: (Field("tile", 12), Field("to", 3)),
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
``MVM tile, act, first, rows, planes, signed, clear, shift``
    Bit-serial product of tile ``tile`` with activations ``act[row]`` for
    ``row`` in ``first .. first+rows-1`` (all other rows at 0 V), input bit
    planes ``0 .. planes-1``. Pair ``k`` is columns ``2k`` (G+) and ``2k+1``
    (G-): ``acc[k] += (code[2k] - code[2k+1]) * 2**(plane + shift)``; the top
    plane is subtracted when ``signed``. ``clear`` zeroes the accumulators first.
    ``shift`` is the weight of a bit slice. With the ``SCHEME`` register at
    :attr:`Scheme.SINGLE` it is ``acc[k] += (code[k+1] - code[0]) * 2**(plane + shift)``
    for every column but column 0, the reference, and at :attr:`Scheme.SUBTRACTED`
    ``-=``.
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
``LOOP count, act_step, out_step``
    What follows up to the matching ``END``, ``count`` times, nested up to
    :data:`LOOP_DEPTH` deep. In round ``n`` addresses of the body's instructions are
    ``n * act_step`` and ``n * out_step`` higher, modulo 2^16: ``act`` where an
    instruction has ``move_act``, ``out`` where it has ``move_out``.
``END``
    End of a ``LOOP``'s body.
``LUT act, out, table, count``
    For ``k`` in ``0 .. count-1``: ``act[out+k] = entry[act[act+k] & 0xFF]`` with
    the table of :func:`pack_table` at parameter address ``64 * table``.
``POOL act, out, param, average``
    One value for every window of a grid (:func:`pack_pool` at ``param``): the
    largest of its activations, or with ``average`` their sum scaled as by
    ``REQUANT``. ``act`` and ``out`` are those of the first window.
``ADD out, param, count``
    For ``k`` in ``0 .. count-1``: ``act[out+k] = clamp(round_half_even((act[a+k]
    * mantissa_a + act[b+k] * mantissa_b + bias) / 2**shift))`` with the record of
    :func:`pack_add` at ``param`` and the bounds of the CLAMP registers.
``ARGMAX act, out, count, last``
    ``act[out]`` is the ``k`` of the largest ``act[act+k]``, ``k`` in ``0 ..
    count-1``: the first of equal ones, or the last with ``last``.
``PULSE tile, row, column, count, down, param``
    A train of pulses on ``count`` cells at once, from (``row``, ``column``) on
    along the row, or with ``down`` down the column; the record of
    :func:`pack_pulse` at ``param``. Its outcome goes into cell memory word 0
    (:func:`unpack_outcome`), samples from word 1 upwards (:func:`unpack_sample`).
``SWEEP tile, row, column, count, down, param``
    A staircase on the same cells, record of :func:`pack_sweep`; one sample for
    each step and column.
``ADOPT``
    Check the device profile (:mod:`ohmloom.hw.profile`) and hold to it until the
    next reset; once one is adopted, nothing.
``RESTORE tile, mode``
    After a reset: the mode that the tile is in.
``MODE tile, to``
    Change the tile's mode by the profile's way, row after row.
"""


@dataclass(frozen=True)
class Instruction:
    """One decoded instruction; ``operands`` has exactly the fields of its layout."""

    op: Op
    operands: MappingProxyType[str, int]

    def __getitem__(self, name: str) -> int:
        return self.operands[name]

    def __str__(self) -> str:
        parts = []
        optional = {field.name for field in LAYOUTS[self.op] if field.optional}
        for name, value in self.operands.items():
            if name in optional and not value:
                continue
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
    given = sorted(operands)
    operands = {field.name: 0 for field in layout if field.optional} | operands
    if sorted(names) != sorted(operands):
        raise IsaError(f"{op.name} takes operands {names}, got {given}")
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


def conversion_index(address: int, plane: int, iteration: Any = 0) -> Any:
    """Draw index of the conversion of ``plane`` by the MVM at program ``address``.

    32 bits: address in the upper 16, plane in the lower 5, and between them the lower 11
    bits of ``iteration``, the ``END`` instructions since the outermost loop began; its upper
    5 bits change those of the address. So no two conversions of an inference on a tile are
    drawn alike in a program of up to 2048 words, or in loops of up to 2048 ends. Of an array of
    iterations an array.
    """
    low, high = iteration & 0x7FF, iteration >> 11 & 0x1F
    return ((address & 0xFFFF) ^ high << 11) << 16 | low << 5 | plane
