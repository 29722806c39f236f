"""Bundle to bitstream."""

from __future__ import annotations

from pathlib import Path

from ...boards.board import Board, BoardError
from ...boards.build import BuildReport, build_bitstream
from ...compiler.bundle import BITSTREAM
from ...compiler.compiled import Compiled
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
    if compiled.options.clk_hz != board.clk_hz:
        raise BoardError(
            f"{bundle} is compiled for a clock of {compiled.options.clk_hz} Hz, "
            f"board {board.name} runs at {board.clk_hz} Hz"
        )
    top = board.controller(compiled.image.geometry)
    return build_bitstream(
        top,
        board,
        bundle / BITSTREAM,
        progress=lambda stage: reporter.update(f"bitstream: {stage}"),
    )
