"""`ohmloom compile`: an ONNX network becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..output import Json, Reporter, emit, key_table, working

SEED_MAX = (1 << 32) - 1


def compile_model(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    device: Annotated[str, typer.Option(help="Catalogue name, NAME:LEVELS, or a .toml file.")],
    calib: Annotated[Path, typer.Option(help="Calibration samples, .npy (n, ...).")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle to write [MODEL's name .ohm].")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of a tile.")] = 32,
    columns: Annotated[int, typer.Option(help="Columns of a tile, two for each output.")] = 32,
    act_bits: Annotated[int, typer.Option(min=4, max=16, help="Bits of activations.")] = 8,
    seed: Annotated[int, typer.Option(min=0, max=SEED_MAX, help="Seed of every draw.")] = 1,
    as_json: Json = False,
) -> None:
    """Compile an ONNX network for a device into a bundle."""
    with working(), Reporter() as reporter:
        from ...hw.geometry import Geometry
        from ..arrays import blaming, load_array
        from ..steps.compiling import compile_bundle

        geometry = Geometry(rows=rows, columns=columns)
        bundle = output or Path(f"{model.stem}.ohm")
        with blaming(calib):
            _, data = compile_bundle(
                model, device, load_array(calib), bundle, reporter, geometry, act_bits, seed
            )
    emit(as_json, data, key_table(f"Compiled {model.name}", data))
