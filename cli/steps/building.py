"""Bundle to bitstream."""

from __future__ import annotations

from pathlib import Path

from ...boards.board import Board, BoardError
from ...boards.build import BuildReport, build_bitstream
from ...compiler.bundle import BITSTREAM
from ...compiler.compiled import Compiled
from ...hw.afe.kinds import FrontEndKind
from ...hw.geometry import Geometry
from ..output import Reporter


def build(compiled: Compiled, board: Board, bundle: Path, reporter: Reporter) -> BuildReport:
    """Build the controller that a bundle needs, into the bundle.

    Raises
    ------
    BoardError
        If the bundle does not fit the board.
    BuildError, ToolError
        If it cannot be built.
    """
    if compiled.afe is FrontEndKind.EMULATED:
        raise BoardError(
            f"{bundle} is compiled for an emulated array, board {board.name} is built for a card"
        )
    if compiled.options.clk_hz != board.clk_hz:
        raise BoardError(
            f"{bundle} is compiled for a clock of {compiled.options.clk_hz} Hz, "
            f"board {board.name} runs at {board.clk_hz} Hz"
        )
    return _build(compiled.image.geometry, board, bundle / BITSTREAM, reporter)


def build_standard(board: Board, output: Path, reporter: Reporter) -> BuildReport:
    """Build a board's standard controller, which takes every bundle that fits it.

    Raises
    ------
    BuildError, ToolError
        If it cannot be built.
    """
    return _build(board.standard, board, output, reporter)


def _build(geometry: Geometry, board: Board, folder: Path, reporter: Reporter) -> BuildReport:
    return build_bitstream(
        board.controller(geometry),
        board,
        folder,
        left_out=geometry.left_out,
        progress=lambda stage: reporter.update(f"bitstream for {board.name}: {stage}"),
    )
