"""The size of a controller: what elaboration is parametric in."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ..errors import OhmloomError
from .isa import LAYOUTS, TABLE_WORDS, Op

OPTIONAL: MappingProxyType[Op, str] = MappingProxyType(
    {
        Op.LUT: "lut",
        Op.POOL: "pool",
        Op.ADD: "residual",
        Op.ARGMAX: "argmax",
        Op.PULSE: "pulse",
        Op.SWEEP: "pulse",
    }
)
"""Instructions that a controller may lack, and the field of :class:`Geometry` that says so."""


class GeometryError(OhmloomError, ValueError):
    """Dimensions that a controller cannot have."""


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
    pulse:
        Whether it has ``PULSE`` and ``SWEEP``, likewise.
    step:
        Lines of the front end's chips: 8 where switches and converters have eight
        channels, 2 or 4 where a front end is made of smaller parts. A front end
        refuses a step that is not its own (:meth:`require_step`).
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
    pulse: bool = True
    step: int = 8

    def __post_init__(self) -> None:
        if self.step not in STEPS:
            raise GeometryError(f"step = {self.step} is none of {', '.join(map(str, STEPS))}")
        step = self.step
        mvm = {field.name: field.maximum for field in LAYOUTS[Op.MVM]}
        requant = {field.name: field.maximum for field in LAYOUTS[Op.REQUANT]}
        limits = {
            "rows": (step, mvm["rows"] // step * step),
            "columns": (step, mvm["rows"] // step * step),
            "tiles": (1, mvm["tile"] + 1),
            "act_width": (4, 16),
            "acc_width": (16, 64),
            "program_depth": (16, 1 << 16),
            "param_depth": (16, requant["param"] + 1),
            "act_depth": (16, mvm["act"] + 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise GeometryError(f"{name} = {value} is outside {low}..{high}")
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
    def cells(self) -> int:
        """Cells of a tile; also the depth of the cell memory."""
        return self.rows * self.columns

    @property
    def tables(self) -> int:
        """Tables of ``LUT`` that parameter memory has room for."""
        return self.param_depth // TABLE_WORDS

    @property
    def act_max(self) -> int:
        """Largest activation, and so the largest index that one can hold."""
        return (1 << self.act_width - 1) - 1

    @property
    def features(self) -> int:
        """What it has, one bit each from bit 0: LUT, POOL, ADD, ARGMAX, PULSE, SWEEP."""
        return sum(self.has(op) << bit for bit, op in enumerate(OPTIONAL))

    def has(self, op: Op) -> bool:
        """Whether the controller executes ``op``."""
        return op not in OPTIONAL or getattr(self, OPTIONAL[op])


def accumulator_bits(adc_bits: int, planes: int, conversions: int) -> int:
    """Width of an accumulator that cannot overflow.

    A pair's difference of two ``adc_bits`` codes has ``adc_bits + 1`` bits, the
    sum over ``planes`` weighted planes is below ``2**planes`` of it, and
    ``conversions`` (row tiles times row groups) of these are added.
    """
    return adc_bits + 1 + planes + (conversions - 1).bit_length()
