"""Bundle to bitstream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...boards.board import Board, BoardError
from ...boards.build import BuildReport, build_controller, write_plan
from ...boards.emulated import with_tables
from ...hw.afe.kinds import FrontEndKind
from ...hw.geometry import Geometry
from ..output import Reporter

if TYPE_CHECKING:
    from ...compiler.compiled import Compiled


def geometry_of(compiled: Compiled, board: Board, bundle: Path) -> Geometry:
    """The controller that a bundle needs of a board.

    Raises
    ------
    BoardError
        If the bundle is for another clock.
    """
    board.require_clock(compiled.options.clk_hz, str(bundle))
    return compiled.image.geometry


def with_cells(compiled: Compiled, board: Board, afe: str | None) -> tuple[Board, str]:
    """The board and its front end for a bundle: an emulated array has the bundle's own cells.

    ``afe`` is what has been asked for; None: what the bundle is compiled for.

    Raises
    ------
    BoardError
        If the board has no front end that the bundle is compiled for, or another one is asked
        for.
    """
    name = board.afe_of(compiled.options.afe)
    if afe is not None and board.afe_name(afe) != name:
        raise BoardError(
            f"the bundle is compiled for the front end {name} of board {board.name}, not for {afe}"
        )
    if compiled.options.afe is FrontEndKind.EMULATED:
        board = with_tables(board, compiled.tables)
    return board, name


def build(
    compiled: Compiled, board: Board, bundle: Path, reporter: Reporter, afe: str | None = None
) -> BuildReport:
    """Build the controller that a bundle needs, into the bundle.

    ``afe`` is the front end, by default the one that the bundle is compiled for.

    Raises
    ------
    BoardError
        If the bundle does not fit the board, or is for another front end.
    BuildError, ToolError
        If it cannot be built.
    """
    from ...compiler.bundle import BITSTREAM  # a standard controller needs no compiler

    geometry = geometry_of(compiled, board, bundle)
    board, afe = with_cells(compiled, board, afe)
    return _build(geometry, board, bundle / BITSTREAM, reporter, afe)


def build_standard(
    board: Board, output: Path, reporter: Reporter, afe: str | None = None
) -> BuildReport:
    """Build a board's standard controller, which takes every bundle that fits it.

    Raises
    ------
    BuildError, ToolError
        If it cannot be built.
    """
    return _build(board.afe(afe).standard, board, output, reporter, afe)


def plan(
    geometry: Geometry, board: Board, folder: Path, reporter: Reporter, afe: str | None = None
) -> Path:
    """Write what builds a controller elsewhere, and build nothing; returns the script to run.

    Raises
    ------
    BoardError
        If the board cannot hold it.
    BuildError
        If the folder is not empty.
    """
    reporter.update(f"build plan for {board.name}")
    return write_plan(geometry, board, folder, afe=afe)


def _build(
    geometry: Geometry, board: Board, folder: Path, reporter: Reporter, afe: str | None
) -> BuildReport:
    return build_controller(
        geometry,
        board,
        folder,
        afe=afe,
        progress=lambda stage: reporter.update(f"bitstream for {board.name}: {stage}"),
    )
