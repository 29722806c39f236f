"""`ohmloom bitstream`: the controller for a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..output import Json, Reporter, emit, key_table, working


def bitstream(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    board: Annotated[str, typer.Option(help="Name of the board.")] = "ulx3s-85f",
    as_json: Json = False,
) -> None:
    """Build the bitstream that a bundle needs, into the bundle."""
    with working(), Reporter() as reporter:
        from ...boards.catalogue import board as find_board
        from ...compiler.bundle import load_bundle
        from ..steps.building import build

        data = build(load_bundle(bundle), find_board(board), bundle, reporter).as_dict()
    emit(as_json, data, key_table(f"Bitstream for {board}", data))
