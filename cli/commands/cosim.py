"""`ohmloom cosim`: the RTL against the numpy engine, integer for integer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...sim.cosim.fault import Fault
from ...sim.cosim.simulator import Simulator
from ..output import Json, Reporter, emit, key_table, working


def cosim(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    samples: Annotated[int, typer.Option(min=1, help="Samples to run.")] = 8,
    inputs: Annotated[
        Path | None, typer.Option("--input", help="Samples, .npy [the bundle's own].")
    ] = None,
    plant_fault: Annotated[
        Fault | None, typer.Option(help="Plant a fault: the comparison has to see it.")
    ] = None,
    all_tiles: Annotated[
        bool, typer.Option("--all-tiles", help="The RTL programs every tile, not only the first.")
    ] = False,
    gate_level: Annotated[
        bool,
        typer.Option(
            "--gate-level",
            help="The gates that --board's synthesis makes of the controller run in its place, "
            "in the compiled engine, without time jumps.",
        ),
    ] = False,
    board: Annotated[str, typer.Option(help="Board of --gate-level.")] = "icebreaker",
    simulator: Annotated[
        Simulator,
        typer.Option(help="cxxrtl compiles the design once and then runs it much faster."),
    ] = Simulator.ICARUS,
    waves: Annotated[
        Path | None,
        typer.Option(
            help="At a difference, keep every signal of the failing sample here, .fst; it is "
            "run once more, in Icarus Verilog.",
            metavar="FILE",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove a bundle on the RTL; exit code 1 at the first difference."""
    with working(), Reporter() as reporter:
        from ...boards.catalogue import board as find_board
        from ...compiler.bundle import load_bundle
        from ...compiler.runner import quantise_input
        from ..arrays import blaming, load_array
        from ..steps.cosimulation import cosimulate, insist_on_agreement
        from ..steps.inference import first_rows

        compiled = load_bundle(bundle)
        if inputs is None:
            drives = first_rows(compiled.golden.inputs, samples, str(bundle))
        else:
            with blaming(inputs):
                drives = quantise_input(compiled, load_array(inputs))
            drives = first_rows(drives, samples, str(inputs))
        report = cosimulate(
            compiled, drives, reporter, plant_fault, simulator, all_tiles=all_tiles,
            board=find_board(board) if gate_level else None, waves=waves,
        ).report  # fmt: skip
        data = asdict(report)
        if waves is not None:
            data["waves"] = str(waves) if report.mismatches else None
    emit(as_json, data, key_table(f"Co-simulation of {bundle.name}", data))
    insist_on_agreement(report)
