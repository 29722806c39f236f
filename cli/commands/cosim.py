"""`ohmloom cosim`: the RTL against the numpy engine, integer for integer."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..output import Json, Reporter, emit, key_table, working


class FaultName(StrEnum):
    """Faults that can be planted."""

    CONDUCTANCE = "conductance"
    ADC = "adc"


def cosim(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    samples: Annotated[int, typer.Option(min=1, help="Samples to run.")] = 8,
    inputs: Annotated[
        Path | None, typer.Option("--input", help="Samples, .npy [the bundle's own].")
    ] = None,
    plant_fault: Annotated[
        FaultName | None, typer.Option(help="Plant a fault: the comparison has to see it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove a bundle on the RTL; exit code 1 at the first difference."""
    with working(as_json), Reporter() as reporter:
        from ...compiler.bundle import load_bundle
        from ...compiler.runner import quantise_input
        from ...sim.cosim.job import Fault
        from ..arrays import load_array
        from ..steps.cosimulation import cosimulate, insist_on_agreement
        from ..steps.inference import first_rows

        compiled = load_bundle(bundle)
        if inputs is None:
            drives = first_rows(compiled.golden.inputs, samples, str(bundle))
        else:
            drives = first_rows(quantise_input(compiled, load_array(inputs)), samples, str(inputs))
        fault = Fault(plant_fault.value) if plant_fault else None
        report = cosimulate(compiled, drives, reporter, fault)
        data = asdict(report)
    emit(as_json, data, key_table(f"Co-simulation of {bundle.name}", data))
    insist_on_agreement(report)
