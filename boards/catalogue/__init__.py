"""One module per board, each with its ``BOARDS``; a new board is one new file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from ..board import Board, BoardError
from ..own import board_of_file, is_file


@cache
def boards() -> Mapping[str, Board]:
    """Boards of this folder's modules by name."""
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    found: list[Board] = [board for module in modules for board in module.BOARDS]
    return MappingProxyType({board.name: board for board in found})


def board(name: str) -> Board:
    """The board of that name, where an underscore counts as a dash; or that of a file.

    Parameters
    ----------
    name:
        One of :func:`boards`, or the path of a Python file with ``BOARDS``, which is executed:
        ``my_board.py``, or ``my_board.py:NAME`` where it has several.

    Raises
    ------
    BoardError
        If there is none; the message lists those there are. If the file has none.
    """
    if is_file(name):
        return board_of_file(name)
    known = boards()
    found = known.get(name.replace("_", "-"))
    if found is None:
        raise BoardError(
            f"unknown board {name!r}, known are: {', '.join(sorted(known))}, or a file NAME.py"
        )
    return found
