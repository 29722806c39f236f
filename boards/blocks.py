"""What each block of a controller takes, counted in the netlist that synthesis has made.

Synthesis flattens the design, since the best logic crosses the borders of blocks. What a
block takes is therefore counted by name: yosys names a cell after the signal that it
makes (``autoname``), and a signal keeps the path of its block. A cell counts for the
block whose signal it drives, directly or, where it drives none, through the next one
that does. Logic that two blocks share counts for one of them. Place and route packs
these cells and adds a few for routing, so its totals are a little different.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import OhmloomError

CONTROLLER = "top"
"""Name of the controller in a board's design (``m.submodules.top``)."""
BOARD = "board"
"""Whatever is outside the controller: clock, buffers, pins."""
REST = "controller"
"""What lies in the controller but in none of its blocks."""


class NetlistError(OhmloomError):
    """A netlist that is missing or not what yosys writes."""


@dataclass(frozen=True)
class Cells:
    """Cells of a block.

    Attributes
    ----------
    luts:
        Tables of four inputs; a carry of two bits (ECP5) counts as two, one of a bit (Gowin)
        as one, a memory in tables as four. A carry of the iCE40 lies beside a table and is
        not counted.
    flip_flops, block_rams, multipliers:
        What their names say; a large single-port memory counts as a block RAM.
    """

    luts: int = 0
    flip_flops: int = 0
    block_rams: int = 0
    multipliers: int = 0

    def __add__(self, other: Cells) -> Cells:
        return Cells(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


KINDS: Mapping[str, Cells] = {
    "LUT4": Cells(luts=1),
    "CCU2C": Cells(luts=2),
    "TRELLIS_DPR16X4": Cells(luts=4),
    "TRELLIS_FF": Cells(flip_flops=1),
    "DP16KD": Cells(block_rams=1),
    "PDPW16KD": Cells(block_rams=1),
    "MULT18X18D": Cells(multipliers=1),
    "SB_LUT4": Cells(luts=1),
    "SB_RAM40_4K": Cells(block_rams=1),
    "SB_SPRAM256KA": Cells(block_rams=1),
    "SB_MAC16": Cells(multipliers=1),
    **{f"LUT{inputs}": Cells(luts=1) for inputs in range(1, 5)},
    "ALU": Cells(luts=1),
    "RAM16SDP4": Cells(luts=4),
    **{
        name: Cells(block_rams=1)
        for name in ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9")
    },
    "MULT9X9": Cells(multipliers=1),
    "MULT18X18": Cells(multipliers=1),
}
"""Lattice's ECP5 and iCE40, then Gowin's."""
FLIP_FLOP = re.compile(r"(SB_)?DFF\w*")


class _Cell(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: str


class _Module(BaseModel):
    cells: dict[str, _Cell]


class _Netlist(BaseModel):
    modules: dict[str, _Module]


def block_names(rtlil: str) -> tuple[str, ...]:
    """Blocks and memories of the controller, from the design before it is flattened."""
    inside = rf"^module \\\S+?\.{CONTROLLER}"
    names = re.findall(rf"{inside}\.(\w+)(?:\$\d+)?$", rtlil, re.MULTILINE)
    own = re.search(rf"{inside}$(.*?)^end$", rtlil, re.MULTILINE | re.DOTALL)
    if own:
        names += re.findall(r"^  memory .*\\(\w+)$", own[1], re.MULTILINE)
    return tuple(sorted(set(names)))


def count_blocks(netlist: Path, name: str, blocks: tuple[str, ...]) -> dict[str, Cells]:
    """Cells of each block, the largest first; blocks of which nothing is left are left out.

    Parameters
    ----------
    netlist:
        What yosys has written (``write_json``).
    name:
        The module to count in.
    blocks:
        Names of the blocks, of :func:`block_names`.

    Raises
    ------
    NetlistError
        If it is missing, not JSON, or lacks the module.
    """
    try:
        modules = _Netlist.model_validate_json(netlist.read_bytes()).modules
    except OSError as error:
        raise NetlistError(f"{netlist}: no netlist ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise NetlistError(f"{netlist} is not a netlist: {where}: {first['msg']}") from error
    if name not in modules:
        raise NetlistError(f"{netlist} has no module {name}")
    counted: dict[str, Cells] = {}
    for block, cells in _owned(modules[name], frozenset(blocks)):
        counted[block] = counted.get(block, Cells()) + cells
    return dict(sorted(counted.items(), key=lambda item: (-item[1].luts, item[0])))


def _owned(module: _Module, blocks: frozenset[str]) -> Iterator[tuple[str, Cells]]:
    for path, cell in module.cells.items():
        is_flip_flop = FLIP_FLOP.fullmatch(cell.type)
        cells = Cells(flip_flops=1) if is_flip_flop else KINDS.get(cell.type)
        if cells is None:
            continue
        outer, _, inner = path.partition(".")
        block = inner.partition(".")[0]
        if outer != CONTROLLER or not inner:
            yield BOARD, cells
        else:
            yield (block if block in blocks and "." in inner else REST), cells
