"""The controller's instruction set: one layout for compiler, engines, RTL and disassembler.

An instruction is one 64-bit word. The opcode sits in the lowest six bits; the
fields follow it from the least significant bit upwards in the order listed in
:data:`LAYOUTS`. Unused high bits are zero, and a word in which they are not is
refused. Words are stored little-endian in ``program.bin``.

This file is plain Python and imports nothing of the project but its base error,
so every part may import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    ARM = 16
    """Key of an irreversible change of mode (:func:`~ohmloom.hw.profile.arm_key`);
    0 after every ``MODE`` and at the start of every run."""


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
        Op.LUT: (
            Field("act", 16),
            Field("out", 16),
            Field("table", 10),
            Field("count", 16, positive=True),
        ),
        Op.POOL: (Field("act", 16), Field("out", 16), Field("param", 16), Field("average", 1)),
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
LINE_FIELDS = (Field("offset", 17, signed=True), Field("mantissa", 24), Field("half", 16))
LINE_BOUNDS_FIELDS = (Field("low", 16), Field("high", 16))
SEGMENT_FIELDS = (Field("gate", 24), Field("rise", 24))
SEGMENTS = 16
"""Pieces of the card's table from I_cc to gate codes."""
LINE_WORDS = 2 + SEGMENTS
"""Parameter words of a device's line (:mod:`ohmloom.hw.line`)."""
RESULT_FIELDS = (
    Field("code", 16, signed=True),
    Field("tries", 8),
    Field("status", 3),
    Field("range", 3),
    Field("saturated", 1),
)
TABLE_ENTRIES = 256
ENTRY_BITS = 16
ENTRIES_PER_WORD = WORD_BITS // ENTRY_BITS
TABLE_WORDS = TABLE_ENTRIES // ENTRIES_PER_WORD
"""Parameter words of a ``LUT`` table, which begins at a multiple of that."""
TABLE_FIELDS = tuple(Field(f"entry{n}", ENTRY_BITS, signed=True) for n in range(ENTRIES_PER_WORD))
WINDOW_FIELDS = (
    Field("rows", 8, positive=True),
    Field("columns", 8, positive=True),
    Field("row_step", 16),
    Field("column_step", 16),
)
LOOP_FIELDS = (Field("count", 16, positive=True), Field("act_step", 16), Field("out_step", 16))
POOL_LOOPS = 3
POOL_WORDS = 1 + POOL_LOOPS
"""Parameter words of a ``POOL`` of maxima; one of averages has a requantisation after them."""
ADD_FIELDS = (
    Field("mantissa_a", MANTISSA_BITS + 1, signed=True),
    Field("mantissa_b", MANTISSA_BITS + 1, signed=True),
    Field("shift", SHIFT_BITS),
)
ADD_SOURCE_FIELDS = (Field("bias", BIAS_BITS, signed=True), Field("a", 16), Field("b", 16))
ADD_WORDS = 2
CYCLE_BITS = 40
"""Of a time in clock cycles: above 1000 s at every board's clock."""
LIMIT_BITS = 2
AVERAGE_BITS = 4
REACT_BITS = 32
PULSE_FIELDS = (
    (
        Field("rail", 16),
        Field("gate", 16),
        Field("limit", LIMIT_BITS),
        Field("average", AVERAGE_BITS),
        Field("inside", 8),
        Field("after", 8),
        Field("source", 1),
        Field("source_range", 2),
    ),
    (Field("width", CYCLE_BITS, positive=True), Field("pulses", 16, positive=True)),
    (Field("interval", CYCLE_BITS),),
    (Field("delay", CYCLE_BITS),),
    (Field("spacing", CYCLE_BITS),),
    (Field("after_delay", CYCLE_BITS),),
    (Field("after_spacing", CYCLE_BITS),),
    (
        Field("v_low", 16, signed=True),
        Field("v_high", 16, signed=True),
        Field("react", REACT_BITS),
    ),
)
"""Fields of the parameter words of a ``PULSE``, word after word."""
SWEEP_FIELDS = (
    (
        Field("start", 16),
        Field("gate", 16),
        Field("limit", LIMIT_BITS),
        Field("average", AVERAGE_BITS),
        Field("both", 1),
    ),
    (Field("width", CYCLE_BITS, positive=True), Field("step", 16, positive=True)),
    (Field("interval", CYCLE_BITS),),
    (Field("delay", CYCLE_BITS),),
    (Field("spacing", CYCLE_BITS),),
    (Field("stop", 16),),
)
"""Fields of the parameter words of a ``SWEEP``, word after word."""
OUTCOME_FIELDS = (Field("samples", 16), Field("status", 3))
SAMPLE_FIELDS = (Field("code", 16, signed=True), Field("saturated", 1))


class CellStatus(IntEnum):
    """Outcome of write-verify or read on one cell (``status`` of a result word)."""

    READ = 0
    DONE = 1
    NOT_CONVERGED = 2
    STUCK = 3
    """Not converged, and no try moved it (:attr:`Reg.STUCK`)."""
    WORN = 4
    """A further try would have been beyond its endurance (:attr:`Reg.ENDURANCE`)."""


class PulseStatus(IntEnum):
    """Outcome of a ``PULSE`` or ``SWEEP`` (:func:`unpack_outcome`); all but DONE and CUT end
    the run."""

    DONE = 0
    """All of it was done."""
    REFUSED = 1
    """The front end cannot do it, or the tile has no such cells; nothing was driven."""
    LATE = 2
    """The front end was not ready at a moment that was asked for; the gate is closed."""
    FULL = 3
    """Cell memory was full; the gate is closed."""
    ABORTED = 4
    """It was to stop: gate closed at the next clock edge, then 0 V."""
    CUT = 5
    """A sample of a pulse of the current source reached ``v_low`` or ``v_high``."""


def pack_fields(kind: str, fields: tuple[Field, ...], values: tuple[int, ...]) -> int:
    """The word of a record: each value in its field, from bit 0 upwards.

    Raises
    ------
    IsaError
        If a value does not fit, naming the record and the field.
    """
    word, shift = 0, 0
    for field, value in zip(fields, values, strict=True):
        if not field.minimum <= value <= field.maximum:
            raise IsaError(
                f"{kind}.{field.name} = {value} is outside {field.minimum}..{field.maximum}"
            )
        word |= (value & ((1 << field.width) - 1)) << shift
        shift += field.width
    return word


def unpack_fields(fields: tuple[Field, ...], word: int) -> tuple[int, ...]:
    """The values of a record's fields."""
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
    return pack_fields("requant", REQUANT_FIELDS, (bias, mantissa, shift))


def unpack_requant(word: int) -> tuple[int, int, int]:
    """``(bias, mantissa, shift)`` of a parameter word."""
    bias, mantissa, shift = unpack_fields(REQUANT_FIELDS, word)
    return bias, mantissa, shift


def pack_level(gate: int, low: int, high: int) -> int:
    """Parameter word of one conductance level.

    ``gate`` is the gate DAC code that sets its I_cc; a verify read is accepted
    when its ADC code lies in ``low .. high`` inclusive.
    """
    return pack_fields("level", LEVEL_FIELDS, (gate, low, high))


def unpack_level(word: int) -> tuple[int, int, int]:
    """``(gate, low, high)`` of a level word."""
    gate, low, high = unpack_fields(LEVEL_FIELDS, word)
    return gate, low, high


def pack_table(entries: Sequence[int]) -> list[int]:
    """The parameter words of a ``LUT`` table of 256 signed entries, four a word.

    Raises
    ------
    IsaError
        On another number of entries or one that 16 bits do not hold.
    """
    if len(entries) != TABLE_ENTRIES:
        raise IsaError(f"a table of {len(entries)} entries, a LUT has {TABLE_ENTRIES}")
    return [
        pack_fields("table", TABLE_FIELDS, tuple(int(e) for e in entries[n : n + ENTRIES_PER_WORD]))
        for n in range(0, TABLE_ENTRIES, ENTRIES_PER_WORD)
    ]


def unpack_table(words: Sequence[int]) -> list[int]:
    """The entries of a table's parameter words."""
    if len(words) != TABLE_WORDS:
        raise IsaError(f"a table of {len(words)} words, a LUT has {TABLE_WORDS}")
    return [entry for word in words for entry in unpack_fields(TABLE_FIELDS, int(word))]


@dataclass(frozen=True)
class Loop:
    """One loop over windows: how many, and the words from one to the next."""

    count: int
    act_step: int
    out_step: int


ONCE = Loop(1, 0, 0)
"""A loop that is not needed."""


@dataclass(frozen=True)
class Grid:
    """The windows of a ``POOL``, all of one extent.

    Attributes
    ----------
    rows, columns:
        Extent of a window.
    row_step, column_step:
        Words from one row of a window to the next, and from one column to the next.
    loops:
        Loops over windows, the innermost first.
    """

    rows: int
    columns: int
    row_step: int
    column_step: int
    loops: tuple[Loop, Loop, Loop] = (ONCE, ONCE, ONCE)


def pack_pool(grid: Grid) -> list[int]:
    """The parameter words of a ``POOL``; :func:`pack_requant` makes the one of an average."""
    window = (grid.rows, grid.columns, grid.row_step, grid.column_step)
    return [
        pack_fields("window", WINDOW_FIELDS, window),
        *(pack_fields("loop", LOOP_FIELDS, (e.count, e.act_step, e.out_step)) for e in grid.loops),
    ]


def unpack_pool(words: Sequence[int]) -> Grid:
    """The windows of a ``POOL``'s first parameter words.

    Raises
    ------
    IsaError
        If a count is 0 or words are missing.
    """
    if len(words) != POOL_WORDS:
        raise IsaError(f"a pool of {len(words)} words, it has {POOL_WORDS}")
    first, inner, middle, outer = (int(word) for word in words)
    rows, columns, row_step, column_step = unpack_fields(WINDOW_FIELDS, first)
    loops = (
        Loop(*unpack_fields(LOOP_FIELDS, inner)),
        Loop(*unpack_fields(LOOP_FIELDS, middle)),
        Loop(*unpack_fields(LOOP_FIELDS, outer)),
    )
    if 0 in (rows, columns, *(loop.count for loop in loops)):
        raise IsaError("a pool of no window: a count in its parameter words is 0")
    return Grid(rows, columns, row_step, column_step, loops)


@dataclass(frozen=True)
class Sum:
    """What an ``ADD`` adds: ``(a * mantissa_a + b * mantissa_b + bias) / 2**shift``.

    ``a`` and ``b`` are the activation addresses of the first values.
    """

    a: int
    b: int
    mantissa_a: int
    mantissa_b: int
    bias: int
    shift: int


def pack_add(add: Sum) -> list[int]:
    """The parameter words of an ``ADD``."""
    return [
        pack_fields("add", ADD_FIELDS, (add.mantissa_a, add.mantissa_b, add.shift)),
        pack_fields("add", ADD_SOURCE_FIELDS, (add.bias, add.a, add.b)),
    ]


def unpack_add(words: Sequence[int]) -> Sum:
    """What the parameter words of an ``ADD`` say."""
    if len(words) != ADD_WORDS:
        raise IsaError(f"an addition of {len(words)} words, it has {ADD_WORDS}")
    mantissa_a, mantissa_b, shift = unpack_fields(ADD_FIELDS, int(words[0]))
    bias, a, b = unpack_fields(ADD_SOURCE_FIELDS, int(words[1]))
    return Sum(a, b, mantissa_a, mantissa_b, bias, shift)


def pack_result(
    code: int, tries: int, status: CellStatus, tia_range: int = 0, saturated: bool = False
) -> int:
    """Cell-memory result word (32 bits): last ADC code, attempts used, outcome.

    ``tia_range`` and ``saturated`` say of a ``READ`` with which range it was made, and
    whether any of its conversions was at a rail.
    """
    return pack_fields(
        "result", RESULT_FIELDS, (code, tries, int(status), tia_range, int(saturated))
    )


def unpack_result(word: int) -> tuple[int, int, CellStatus]:
    """``(code, tries, status)`` of a cell-memory result word."""
    code, tries, status, _, _ = unpack_fields(RESULT_FIELDS, word)
    return code, tries, CellStatus(status)


def unpack_reading(word: int) -> tuple[int, int, bool]:
    """``(code, tia_range, saturated)`` of a cell-memory result word."""
    code, _, _, tia_range, saturated = unpack_fields(RESULT_FIELDS, word)
    return code, tia_range, bool(saturated)


LIMIT_POSITIVE, LIMIT_NEGATIVE = 1, 2
"""Bits of ``limit``: codes at or above 0 V, and codes below it."""


def limited(code: int, limit: int) -> bool:
    """Whether the gate limits the current of a pulse of rail code ``code``."""
    return bool(limit & (LIMIT_POSITIVE if code >= 0x8000 else LIMIT_NEGATIVE))


@dataclass(frozen=True)
class Train:
    """What a ``PULSE`` does; times in clock cycles.

    Attributes
    ----------
    rail:
        DAC code of rail B; its side of 0x8000 is the polarity.
    gate, limit:
        Code of GATE_PROGRAM, and for which polarities it limits the current (sum of
        LIMIT_POSITIVE and LIMIT_NEGATIVE). For the others gates are on GATE_ON.
    width, pulses, interval:
        Time that the fast gate is open, number of pulses, and time from one opening to
        the next.
    inside, delay, spacing:
        Samples inside each pulse: how many, the first conversion after the opening, and
        one conversion after the other.
    after, after_delay, after_spacing:
        Samples after each pulse, read by rail A: the same, from the closing on.
    average:
        A sample is the mean of ``2**average`` conversions.
    source, source_range:
        The pulse comes from the current source behind rail B, in this range: one pulse on
        one cell, samples are the voltage of the line (ADC codes of the buffer), and those
        after it are taken with the gate closed and the cell on the line.
    v_low, v_high, react:
        With ``source``: at a sample inside that is at or beyond one of the two, the gate
        is closed, ``react + 1`` cycles after its last conversion.
    """

    rail: int
    width: int
    gate: int = 0
    limit: int = 0
    pulses: int = 1
    interval: int = 0
    inside: int = 0
    delay: int = 0
    spacing: int = 0
    after: int = 0
    after_delay: int = 0
    after_spacing: int = 0
    average: int = 0
    source: int = 0
    source_range: int = 0
    v_low: int = -1 << 15
    v_high: int = (1 << 15) - 1
    react: int = 0


@dataclass(frozen=True)
class Staircase:
    """What a ``SWEEP`` does; times in clock cycles.

    Attributes
    ----------
    start, stop, step:
        First and last code of rail B, and codes from step to step.
    both:
        Back to ``start`` afterwards; the step at ``stop`` is not repeated.
    gate, limit:
        As of :class:`Train`: I_cc in the SET polarity only.
    width, interval:
        Time at each step with the fast gate open, and from one step to the next. The
        rest of the interval the gate is closed and the DAC moves.
    delay, spacing, average:
        One sample a step, the mean of ``2**average`` conversions, the first one
        ``delay`` after the gate's opening.
    """

    start: int
    stop: int
    step: int
    width: int
    interval: int
    gate: int = 0
    limit: int = 0
    both: bool = False
    delay: int = 0
    spacing: int = 0
    average: int = 0

    def codes(self) -> list[int]:
        """The codes of rail B, step by step."""
        sign = 1 if self.stop >= self.start else -1
        up = list(range(self.start, self.stop + sign, sign * self.step))
        return up + up[-2::-1] if self.both else up


def _pack_words(
    kind: str, words: tuple[tuple[Field, ...], ...], record: Train | Staircase
) -> list[int]:
    return [
        pack_fields(kind, fields, tuple(int(getattr(record, field.name)) for field in fields))
        for fields in words
    ]


def _unpack_words(
    kind: str, layout: tuple[tuple[Field, ...], ...], words: Sequence[int]
) -> dict[str, int]:
    if len(words) != len(layout):
        raise IsaError(f"a {kind} of {len(words)} words, it has {len(layout)}")
    values: dict[str, int] = {}
    for fields, word in zip(layout, words, strict=True):
        names = (field.name for field in fields)
        values |= dict(zip(names, unpack_fields(fields, int(word)), strict=True))
    return values


def _check_samples(kind: str, record: Train | Staircase, last: int, tail: int, count: int) -> None:
    """Samples lie inside the pulse (``last`` < 0: none), and the next pulse comes after it."""
    if last >= 0 and last > record.width - 2:
        raise IsaError(
            f"{kind}: the last conversion is {last} cycles after the gate's opening, at a "
            f"width of {record.width} accepted are {record.width - 2}"
        )
    if count > 1 and record.interval <= record.width + tail:
        raise IsaError(
            f"{kind}: an interval of {record.interval} cycles ends before a width of "
            f"{record.width} and {tail} of samples after it"
        )


def _conversions(samples: int, average: int, delay: int, spacing: int) -> int:
    """Time of the last conversion of ``samples``; -1 without one."""
    return delay + ((samples << average) - 1) * spacing if samples else -1


def pack_pulse(train: Train) -> list[int]:
    """The parameter words of a ``PULSE``.

    Raises
    ------
    IsaError
        If a field does not fit, a sample lies outside its pulse or a pulse in the next.
    """
    last = _conversions(train.inside, train.average, train.delay, train.spacing)
    words = _pack_words("pulse", PULSE_FIELDS, train)
    tail = _conversions(train.after, train.average, train.after_delay, train.after_spacing)
    _check_samples("pulse", train, last, max(tail, 0), train.pulses)
    if train.source:
        _check_source(train)
    return words


def _check_source(train: Train) -> None:
    """One pulse of the current source, whose samples are judged one before the next."""
    if train.pulses != 1 or train.limit:
        raise IsaError(
            f"pulse: {train.pulses} pulses of the current source with limit = {train.limit}, "
            "accepted is one pulse with limit = 0"
        )
    if train.v_low >= train.v_high:
        raise IsaError(f"pulse: v_low = {train.v_low} is not below v_high = {train.v_high}")
    if train.inside << train.average > 1:
        low, high = 1, train.spacing - 1
    else:
        low, high = int(train.inside > 0), (1 << REACT_BITS) - 1
    if not low <= train.react <= high:
        raise IsaError(f"pulse: react = {train.react} is outside {low}..{high}")


def unpack_pulse(words: Sequence[int]) -> Train:
    """What the parameter words of a ``PULSE`` say.

    Raises
    ------
    IsaError
        If :func:`pack_pulse` would not make them.
    """
    train = Train(**_unpack_words("pulse", PULSE_FIELDS, words))
    pack_pulse(train)
    return train


def pack_sweep(stairs: Staircase) -> list[int]:
    """The parameter words of a ``SWEEP``.

    Raises
    ------
    IsaError
        If a field does not fit, ``stop`` is no whole number of steps from ``start``, or
        a sample lies outside its step.
    """
    words = _pack_words("sweep", SWEEP_FIELDS, stairs)
    if (stairs.stop - stairs.start) % stairs.step:
        raise IsaError(
            f"sweep: {abs(stairs.stop - stairs.start)} codes from start to stop are no whole "
            f"number of steps of {stairs.step}"
        )
    last = _conversions(1, stairs.average, stairs.delay, stairs.spacing)
    _check_samples("sweep", stairs, last, 0, len(stairs.codes()))
    return words


def unpack_sweep(words: Sequence[int]) -> Staircase:
    """What the parameter words of a ``SWEEP`` say.

    Raises
    ------
    IsaError
        If :func:`pack_sweep` would not make them.
    """
    values = _unpack_words("sweep", SWEEP_FIELDS, words)
    stairs = Staircase(**values | {"both": bool(values["both"])})
    pack_sweep(stairs)
    return stairs


def pack_outcome(samples: int, status: PulseStatus) -> int:
    """Cell-memory word 0 after a ``PULSE`` or ``SWEEP``: samples stored, and how it ended."""
    return pack_fields("outcome", OUTCOME_FIELDS, (samples, int(status)))


def unpack_outcome(word: int) -> tuple[int, PulseStatus]:
    """``(samples, status)`` of a ``PULSE`` or ``SWEEP``."""
    samples, status = unpack_fields(OUTCOME_FIELDS, word)
    return samples, PulseStatus(status)


def pack_sample(code: int, saturated: bool) -> int:
    """Cell-memory word (32 bits) of a sample: mean ADC code, and whether any was at a rail."""
    return pack_fields("sample", SAMPLE_FIELDS, (code, int(saturated)))


def unpack_sample(word: int) -> tuple[int, bool]:
    """``(code, saturated)`` of a sample."""
    code, saturated = unpack_fields(SAMPLE_FIELDS, word)
    return code, bool(saturated)


def conversion_index(address: int, plane: int) -> int:
    """Draw index of the conversion of ``plane`` by the MVM at program ``address``.

    32 bits: address in the upper 16, plane in the lower 5; the bits between are
    reserved for loop counters.
    """
    return (address & 0xFFFF) << 16 | plane
