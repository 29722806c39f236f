"""Parameter records of post-processing: ``REQUANT``, ``LUT``, ``POOL`` and ``ADD``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .records import WORD_BITS, Field, IsaError, pack_fields, unpack_fields

BIAS_BITS = 32
MANTISSA_BITS = 24
SHIFT_BITS = 6
REQUANT_FIELDS = (
    Field("bias", BIAS_BITS, signed=True),
    Field("mantissa", MANTISSA_BITS),
    Field("shift", SHIFT_BITS),
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


def pack_requant(bias: int, mantissa: int, shift: int) -> int:
    """Parameter word of one output: ``(acc + bias) * mantissa / 2**shift``."""
    return pack_fields("requant", REQUANT_FIELDS, (bias, mantissa, shift))


def unpack_requant(word: int) -> tuple[int, int, int]:
    """``(bias, mantissa, shift)`` of a parameter word."""
    bias, mantissa, shift = unpack_fields(REQUANT_FIELDS, word)
    return bias, mantissa, shift


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
