# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""The emulated array on a board: cells in its block RAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from functools import cache, partial
from typing import cast

from ..hw.afe.emulated import Emulated, memories
from ..hw.afe.kinds import FrontEndKind
from ..hw.emulated_tables import EmulatedTables
from ..hw.geometry import Geometry
from ..hw.top import FrontEnd
from ..sim.converters import Converters
from ..sim.devices import load
from ..sim.emulated import emulate, emulated_tables
from .board import Afe, Board

Make = Callable[[Geometry, int], FrontEnd]

DEVICE = "cspbbr3_ogb"
SEED = 1
"""Of what is built where no bundle asks for its own."""


@cache
def standard_tables() -> EmulatedTables:
    """The integers of :data:`DEVICE` behind the array card's converters."""
    return emulated_tables(emulate(load(DEVICE)), Converters(), SEED)


def _standard(geometry: Geometry, clk_hz: int) -> Emulated:
    return Emulated(geometry, clk_hz, standard_tables())


def emulated_afe(standard: Geometry, largest: Geometry) -> Afe:
    """An emulated array of a board."""
    return Afe(cast(Make, _standard), standard, largest, memories=memories)


def with_tables(board: Board, tables: EmulatedTables) -> Board:
    """The board with a bundle's own cells.

    Raises
    ------
    BoardError
        If it has no emulated array.
    """
    kind = FrontEndKind.EMULATED.value
    own = replace(board.afe(kind), front_end=cast(Make, partial(Emulated, tables=tables)))
    variant = repr(astuple(tables))
    parent = board.parent or board
    return replace(board, afes={**board.afes, kind: own}, parent=parent, variant=variant)
