"""A board of the user's own: one Python file, executed because the user has named it."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import util
from pathlib import Path

from .board import Board, BoardError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def is_file(name: str) -> bool:
    """Whether a board's name is the path of a file."""
    return _parts(name)[0].suffix == ".py"


def board_of_file(name: str) -> Board:
    """The board of ``FILE.py``, or of ``FILE.py:NAME`` where that has several.

    Raises
    ------
    BoardError
        If the file is missing or fails, has no ``BOARDS``, none of that name, or several and
        none was named.
    """
    path, chosen = _parts(name)
    found = _boards(path.resolve())
    if chosen is None and len(found) == 1:
        return found[0]
    wanted = None if chosen is None else chosen.replace("_", "-")
    for board in found:
        if board.name == wanted:
            return board
    names = ", ".join(board.name for board in found)
    if chosen is None:
        raise BoardError(f"{path} has the boards {names}: name one as {path}:{found[0].name}")
    raise BoardError(f"{path} has no board {chosen!r}, it has: {names}")


def _parts(name: str) -> tuple[Path, str | None]:
    path, colon, chosen = name.rpartition(":")
    return (Path(path), chosen) if colon and path.endswith(".py") else (Path(name), None)


@cache
def _boards(path: Path) -> tuple[Board, ...]:
    if not path.is_file():
        raise BoardError(f"{path}: no such file; a board's file is one Python file with BOARDS")
    module_name = f"ohmloom_board_{path.stem}"
    spec = util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BoardError(f"{path} cannot be loaded as Python")
    module = util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises is told as the file's
        raise BoardError(f"{path}{_line(path, error)}: {type(error).__name__}: {error}") from error
    given = getattr(module, "BOARDS", None)
    if not isinstance(given, Iterable):
        raise BoardError(f"{path} has no BOARDS, a tuple of ohmloom.boards.board.Board")
    found = tuple(given)
    for board in found:
        if not isinstance(board, Board):
            raise BoardError(f"{path}: BOARDS holds {board!r}, which is no Board")
        if not NAME.fullmatch(board.name):
            raise BoardError(
                f"{path}: {board.name!r} is no name of a board; small letters, digits and "
                "dashes are accepted"
            )
        if not board.afes:
            raise BoardError(f"{path}: board {board.name} has no front end in afes")
    if not found:
        raise BoardError(f"{path}: BOARDS is empty")
    return tuple(replace(board, file=path) for board in found)


def _line(path: Path, error: Exception) -> str:
    """Where in the file it has failed."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]  # fmt: skip
    return f", line {lines[-1]}" if lines else ""
