"""The size of a controller: what elaboration is parametric in."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import OhmloomError
from .isa import LAYOUTS, Op


class GeometryError(OhmloomError, ValueError):
    """Dimensions that a controller cannot have."""


@dataclass(frozen=True)
class Geometry:
    """Dimensions of one lane and of the controller's memories.

    Parameters
    ----------
    rows, columns:
        Lines of a tile. Columns come in differential pairs, and both are whole
        numbers of eight-channel converter and switch chips.
    tiles:
        Tiles reachable through the tile-select bus.
    act_width:
        Bits of an activation word (two's complement).
    acc_width:
        Bits of an accumulator (two's complement).
    program_depth, param_depth, act_depth:
        Words of the three memories (program and parameter words are 64 bits).
    """

    rows: int = 32
    columns: int = 32
    tiles: int = 64
    act_width: int = 16
    acc_width: int = 40
    program_depth: int = 1024
    param_depth: int = 1024
    act_depth: int = 2048

    def __post_init__(self) -> None:
        mvm = {field.name: field.maximum for field in LAYOUTS[Op.MVM]}
        requant = {field.name: field.maximum for field in LAYOUTS[Op.REQUANT]}
        limits = {
            "rows": (8, mvm["rows"] // 8 * 8),
            "columns": (8, mvm["rows"] // 8 * 8),
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
            if getattr(self, name) % 8:
                raise GeometryError(
                    f"{name} = {getattr(self, name)} is not a multiple of 8, "
                    "the channels of a switch or converter chip"
                )

    @property
    def pairs(self) -> int:
        """Differential pairs of a tile, which is its number of outputs."""
        return self.columns // 2

    @property
    def cells(self) -> int:
        """Cells of a tile; also the depth of the cell memory."""
        return self.rows * self.columns


def accumulator_bits(adc_bits: int, planes: int, conversions: int) -> int:
    """Width of an accumulator that cannot overflow.

    A pair's difference of two ``adc_bits`` codes has ``adc_bits + 1`` bits, the
    sum over ``planes`` weighted planes is below ``2**planes`` of it, and
    ``conversions`` (row tiles times row groups) of these are added.
    """
    return adc_bits + 1 + planes + (conversions - 1).bit_length()
