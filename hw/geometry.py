"""The size of a controller: what elaboration is parametric in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from types import MappingProxyType

from ..errors import OhmloomError
from .banks import BANKS
from .isa import LAYOUTS, LINE_WORDS, TABLE_WORDS, Op, Reg

OPTIONAL: MappingProxyType[Op, str] = MappingProxyType(
    {
        Op.LUT: "lut",
        Op.POOL: "pool",
        Op.ADD: "residual",
        Op.ARGMAX: "argmax",
        Op.PULSE: "pulse",
        Op.SWEEP: "pulse",
        Op.MODE: "pulse",
        Op.PROGRAM: "verify",
        Op.READ: "verify",
        Op.LOOP: "loop",
        Op.END: "loop",
    }
)
"""Instructions that a controller may lack, and the field of :class:`Geometry` that says so."""


class Feature(IntEnum):
    """What a controller may have beside instructions, by its bit above theirs."""

    SOURCE = 0
    TARGETS = 1
    WEAR = 2
    CALIBRATION = 3
    PASSIVE = 4
    SLICES = 5
    SINGLE = 6


def feature_bit(what: Op | Feature) -> int:
    """Its bit in :attr:`Geometry.features`; an instruction is one of :data:`OPTIONAL`."""
    return len(OPTIONAL) + what if isinstance(what, Feature) else list(OPTIONAL).index(what)


OPTIONAL_OPERANDS: MappingProxyType[str, str] = MappingProxyType(
    {"move_act": "loop", "move_out": "loop", "shift": "slices"}
)
"""Operands that a controller may not take, which are 0 there, and the field of
:class:`Geometry` that says so."""

MOST_SHIFT = 16
"""Largest ``shift`` of an ``MVM``: with 16 planes no weight is above 2^31."""

TRANSISTORS = frozenset((Op.SWEEP, Op.MODE, Op.PROGRAM))
"""Instructions that limit the current by the gate lines of an array with transistors, or
whose rail moves under bias that does not: a host does it by ``PULSE`` in a passive one."""


class GeometryError(OhmloomError, ValueError):
    """Dimensions that a controller cannot have."""


MOST_LINES = next(field.maximum for field in LAYOUTS[Op.MVM] if field.name == "rows")
"""Rows or columns that instructions reach without banks."""
BANKED_TILES = 1 << 20
BANKED_LINES = 1 << 12
BANKED_DEPTH = 1 << 28
"""Tiles, rows or columns of one, and words of each memory, that there may be with banks."""
STEPS = (2, 4, 8)
"""Lines that a front end's chips can come in."""


@dataclass(frozen=True)
class Geometry:
    """Dimensions of one lane and of the controller's memories.

    Parameters
    ----------
    rows, columns:
        Lines of a tile. Columns come in differential pairs, and both are multiples
        of ``step``.
    tiles:
        Tiles reachable through the tile-select bus.
    act_width:
        Bits of an activation word (two's complement).
    acc_width:
        Bits of an accumulator (two's complement).
    program_depth, param_depth, act_depth:
        Words of the three memories (program and parameter words are 64 bits).
    lut, pool, residual, argmax:
        Whether it has ``LUT``, ``POOL``, ``ADD`` and ``ARGMAX``, which a small
        board may leave out.
    loop:
        Whether it has ``LOOP`` and ``END``, likewise; a compact one never has.
    slices:
        Whether ``MVM`` takes a ``shift``, for weights in bit slices; a compact one never
        does.
    single:
        Whether ``Reg.SCHEME`` is there, for columns that are single, less a reference
        column, instead of in differential pairs; a compact one never has it. There are
        then as many accumulators as columns.
    pulse:
        Whether it has ``PULSE``, ``SWEEP`` and ``MODE``, likewise.
    verify:
        Whether it has ``PROGRAM`` and ``READ``, likewise: without them the host programs
        the cells with ``PULSE``, which samples too.
    line, wear:
        Whether ``PROGRAM`` takes targets (``Reg.LINE``), and whether it counts the
        cycles of each cell (``Reg.ENDURANCE``), likewise.
    power:
        Whether a ``PULSE`` may come from the current source, likewise.
    calibration:
        Whether every sample is mended by a table of gains and offsets, by TIA range and
        column, which takes a multiplier and a memory.
    locks:
        Lock bits of write-once cells, at most 65536: those of the first
        ``lock_tiles``. Cells without one are always locked.
    window:
        Requests that the link takes before it has answered the first, 1 to 16; each
        takes a kilobyte of memory.
    log_depth:
        Entries of the event log, 0 or a power of two up to 1024.
    passive:
        The cells have no transistor. A pulse is then half-selected by biased columns
        (``PULSE`` with ``others``, docs/array-card.md), its current is limited by the
        array, and there is no ``SWEEP``, ``MODE``, ``PROGRAM`` nor current source.
    compact:
        Gives clock rate and cycles for area, for a small FPGA at a slow clock: what a
        block does then, and what it costs in cycles, is said where it is done.
    step:
        Lines of the front end's chips: 8 where switches and converters have eight
        channels, 2 or 4 where a front end is made of smaller parts. A front end
        refuses a step that is not its own (:meth:`require_step`).
    banks:
        Bank registers are added to addresses (:mod:`ohmloom.hw.banks`), so that memories
        and tiles may be more than operands reach. Simulated only: gateware refuses it.
    """

    rows: int = 32
    columns: int = 32
    tiles: int = 64
    act_width: int = 16
    acc_width: int = 40
    program_depth: int = 1024
    param_depth: int = 1024
    act_depth: int = 2048
    lut: bool = True
    pool: bool = True
    residual: bool = True
    argmax: bool = True
    loop: bool = True
    slices: bool = True
    single: bool = False
    pulse: bool = True
    verify: bool = True
    line: bool = True
    wear: bool = True
    power: bool = True
    calibration: bool = False
    locks: int = 1 << 16
    window: int = 4
    log_depth: int = 32
    passive: bool = False
    compact: bool = False
    step: int = 8
    banks: bool = False

    def __post_init__(self) -> None:
        if self.step not in STEPS:
            raise GeometryError(f"step = {self.step} is none of {', '.join(map(str, STEPS))}")
        step = self.step
        mvm = {field.name: field.maximum for field in LAYOUTS[Op.MVM]}
        requant = {field.name: field.maximum for field in LAYOUTS[Op.REQUANT]}
        lines = BANKED_LINES if self.banks else MOST_LINES // step * step
        limits = {
            "rows": (step, lines),
            "columns": (step, lines),
            "tiles": (1, BANKED_TILES if self.banks else mvm["tile"] + 1),
            "act_width": (4, 16),
            "acc_width": (16, 64),
            "program_depth": (16, BANKED_DEPTH if self.banks else 1 << 16),
            "param_depth": (16, BANKED_DEPTH if self.banks else requant["param"] + 1),
            "act_depth": (16, BANKED_DEPTH if self.banks else mvm["act"] + 1),
            "locks": (0, 1 << 16),
            "window": (1, 16),
            "log_depth": (0, 1024),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise GeometryError(f"{name} = {value} is outside {low}..{high}")
        if self.log_depth & (self.log_depth - 1) or self.log_depth == 1:
            raise GeometryError(f"log_depth = {self.log_depth} is neither 0 nor a power of two")
        if self.window & (self.window - 1):
            raise GeometryError(f"window = {self.window} is no power of two")
        for name in ("rows", "columns"):
            if getattr(self, name) % step:
                raise GeometryError(
                    f"{name} = {getattr(self, name)} is not a multiple of {step}, "
                    "the channels of a switch or converter chip"
                )

    def require_step(self, step: int, front_end: str) -> None:
        """Refuse a geometry that was made for chips of another size.

        Raises
        ------
        GeometryError
            If ``step`` is not a divisor of this geometry's.
        """
        if self.step % step:
            raise GeometryError(
                f"{self.rows} x {self.columns} lines in steps of {self.step} are not for "
                f"{front_end}, whose chips have {step} channels"
            )

    @property
    def pairs(self) -> int:
        """Differential pairs of a tile, which is its number of outputs."""
        return self.columns // 2

    @property
    def accumulators(self) -> int:
        """Accumulators: one for each pair, or where columns may be single for each column."""
        return self.columns if self.has_single else self.pairs

    @property
    def cells(self) -> int:
        """Cells of a tile; also the depth of the cell memory."""
        return self.rows * self.columns

    @property
    def last_line(self) -> int:
        """Highest parameter address of a device's line; 0 without targets."""
        return max(0, self.param_depth - LINE_WORDS) if self.line else 0

    @property
    def most_cycles(self) -> int:
        """Largest endurance that it can keep to; 0 where it counts no cycles."""
        return (1 << 31) - 1 if self.wear else 0

    @property
    def most_shift(self) -> int:
        """Largest ``shift`` that its ``MVM`` takes; 0 without bit slices."""
        return MOST_SHIFT if self.takes("shift") else 0

    @property
    def lock_bits(self) -> tuple[int, int]:
        """Address bits of a lock bit's row and column."""
        return (self.rows - 1).bit_length(), (self.columns - 1).bit_length()

    @property
    def lock_tiles(self) -> int:
        """Tiles, from 0 on, whose cells have a lock bit."""
        return min(self.tiles, self.locks >> sum(self.lock_bits))

    @property
    def lock_depth(self) -> int:
        """Words of the lock memory."""
        return self.lock_tiles << sum(self.lock_bits)

    def lock_address(self, tile: int, row: int, column: int) -> int | None:
        """Where the lock bit of a cell is: tile, row and column, each in bits of its own.

        None where it has none and is always locked.
        """
        row_bits, column_bits = self.lock_bits
        if tile >= self.lock_tiles:
            return None
        return (tile << row_bits | row) << column_bits | column

    @property
    def tables(self) -> int:
        """Tables of ``LUT`` that parameter memory has room for."""
        return self.param_depth // TABLE_WORDS

    @property
    def addresses(self) -> int:
        """What addresses that loops move are counted modulo; with banks they never get there."""
        return 1 << 32 if self.banks else 1 << 16

    @property
    def act_max(self) -> int:
        """Largest activation, and so the largest index that one can hold."""
        return (1 << self.act_width - 1) - 1

    @property
    def features(self) -> int:
        """What it has, a bit each (:func:`feature_bit`): LUT, POOL, ADD, ARGMAX, PULSE, SWEEP,
        MODE, PROGRAM, READ, LOOP, END from bit 0 on, and above them each :class:`Feature`."""
        kinds: dict[Op | Feature, bool] = {
            **{op: self.has(op) for op in OPTIONAL},
            Feature.SOURCE: self.has_source,
            Feature.TARGETS: self.line,
            Feature.WEAR: self.wear,
            Feature.CALIBRATION: self.calibration,
            Feature.PASSIVE: self.passive,
            Feature.SLICES: self.takes("shift"),
            Feature.SINGLE: self.has_single,
        }
        return sum(has << feature_bit(what) for what, has in kinds.items())

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the flags of what it has not."""
        flags = (field.name for field in fields(self) if getattr(self, field.name) is False)
        lacking = {name for name in flags if name not in ("passive", "compact", "banks", "single")}
        not_taken = {flag for name, flag in OPTIONAL_OPERANDS.items() if not self.takes(name)}
        return tuple(sorted(lacking | not_taken))

    @property
    def has_source(self) -> bool:
        """Whether a ``PULSE`` may come from the current source."""
        return self.pulse and self.power and not self.passive

    @property
    def has_single(self) -> bool:
        """Whether an ``MVM`` may take single columns less a reference column."""
        return self.single and not self.compact

    def knows(self, reg: Reg) -> bool:
        """Whether the controller has a register."""
        if reg is Reg.SCHEME:
            return self.has_single
        return self.banks or reg not in BANKS

    def has(self, op: Op) -> bool:
        """Whether the controller executes ``op``."""
        if (self.passive and op in TRANSISTORS) or (self.compact and op in (Op.LOOP, Op.END)):
            return False
        return op not in OPTIONAL or getattr(self, OPTIONAL[op])

    def takes(self, operand: str) -> bool:
        """Whether an operand of that name may be other than 0."""
        flag = OPTIONAL_OPERANDS.get(operand)
        return flag is None or (getattr(self, flag) and not self.compact)


def accumulator_bits(adc_bits: int, planes: int, conversions: int) -> int:
    """Width of an accumulator that cannot overflow.

    The difference of two ``adc_bits`` codes, of a pair or of a single column and the
    reference, has ``adc_bits + 1`` bits, the sum over ``planes`` weighted planes is below
    ``2**planes`` of it, and ``conversions`` (row tiles times row groups) of these are added
    or subtracted. Of weights in bit slices ``planes`` includes the largest ``shift``,
    ``conversions`` counts all slices.
    """
    return adc_bits + 1 + planes + (conversions - 1).bit_length()
