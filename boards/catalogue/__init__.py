"""One module per board, each with its ``BOARDS``; a new board is one new file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from ..board import Board, BoardError


@cache
def boards() -> Mapping[str, Board]:
    """Boards of this folder's modules by name."""
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    found: list[Board] = [board for module in modules for board in module.BOARDS]
    return MappingProxyType({board.name: board for board in found})


def board(name: str) -> Board:
    """The board of that name; an underscore counts as a dash.

    Raises
    ------
    BoardError
        If there is none; the message lists those there are.
    """
    known = boards()
    found = known.get(name.replace("_", "-"))
    if found is None:
        raise BoardError(f"unknown board {name!r}, known are: {', '.join(sorted(known))}")
    return found
