"""`ohmloom run`: samples through a compiled network."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..output import Json, Reporter, emit, key_table, save_json, working
from ..steps.recording import Record, Replay


class EngineName(StrEnum):
    """What runs the program; the integers are the same."""

    NUMPY = "numpy"
    COCOTB = "cocotb"
    CXXRTL = "cxxrtl"
    BOARD = "board"


def run(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory.")],
    samples: Annotated[Path, typer.Option("--input", help="Samples, .npy (n, ...).")],
    labels: Annotated[Path | None, typer.Option(help="Class of each sample, .npy (n,).")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the network's outputs go, .npy (n, outputs).")
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="numpy: fast; cocotb: the RTL in a Verilog simulator, which must agree with it; "
            "cxxrtl: the same, compiled; board: what has been deployed."
        ),
    ] = EngineName.NUMPY,
    faults: Annotated[
        Path | None,
        typer.Option(help="Stuck cells, .npy (tiles, rows, columns) of siemens, else NaN."),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="Conductances of all cells as measured, .npy (tiles, rows, columns) of siemens, "
            "in place of programming an array; with numpy."
        ),
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(
            help="What makes the products in place of the processor, with the same integers: "
            "torch:cuda or another device of torch, torch, cupy, numpy; with numpy as the engine."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads that share large products, else one; with numpy, same results."
        ),
    ] = None,
    board: Annotated[
        str, typer.Option(help="With the engine board: which one, a name or a file.")
    ] = "ulx3s-85f",
    port: Annotated[
        str | None, typer.Option(help="Its serial port, where the bundle has been deployed.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="In place of a port: a virtual board with these cells, .npz."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="With the engine board: the calibration that it has been deployed with.",
            metavar="FILE",
        ),
    ] = None,
    record: Record = None,
    replay: Replay = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Where the figures go, .json; with numpy, writing and energy by layer."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run samples through a bundle, device noise on."""
    with working(), Reporter() as reporter:
        from ...compiler.bundle import load_bundle
        from ...compiler.errors import InputError
        from ...compiler.report import predict
        from ...compiler.runner import accuracy, check_labels, dequantise_output, quantise_input
        from ..arrays import blaming, load_array, save_array
        from ..steps.inference import costs, infer

        compiled = load_bundle(bundle)
        x = load_array(samples)
        classes = None if labels is None else load_array(labels)
        stuck = None if faults is None else load_array(faults)
        siemens = None if measured is None else load_array(measured)
        only = {"--measured": siemens, "--accelerator": accelerator, "--threads": threads}
        for option, given in only.items():
            if given is not None and engine is not EngineName.NUMPY:
                raise InputError(f"{option} is for the numpy engine, not for {engine.value}")
        if calibration is not None and engine is not EngineName.BOARD:
            raise InputError(f"--calibration is for the engine board, not for {engine.value}")
        if engine is not EngineName.BOARD and (record is not None or replay is not None):
            raise InputError(f"--record and --replay are for the engine board, not {engine.value}")
        with blaming(samples):
            drives = quantise_input(compiled, x)
        if labels is not None and classes is not None:
            with blaming(labels):
                check_labels(classes, len(x), compiled.layers[-1].outputs)
        data: dict[str, object] = {
            "bundle": str(bundle),
            "engine": engine.value,
            "samples": len(x),
        }
        details: dict[str, object] = {}
        if engine is EngineName.BOARD:
            from ..steps.boarding import calibration_of, infer_on_board

            if stuck is not None:
                raise InputError("--faults are for simulated cells: a board has its own")
            mended = calibration_of(compiled, calibration)
            trace = infer_on_board(
                compiled, bundle, board, drives, reporter, port, state, record, replay, mended,
            )  # fmt: skip
            scores = dequantise_output(compiled, trace.output)
            data["saturations"] = trace.saturations
            data["cycles_per_inference"] = int(trace.cycles.max(initial=0))
        elif engine is not EngineName.NUMPY:
            from ...sim.cosim.simulator import Simulator
            from ..steps.cosimulation import cosimulate, insist_on_agreement

            simulator = Simulator.CXXRTL if engine is EngineName.CXXRTL else Simulator.ICARUS
            rtl = cosimulate(compiled, drives, reporter, simulator=simulator, faults=stuck)
            insist_on_agreement(rtl.report)
            scores = dequantise_output(compiled, rtl.output)
            data["saturations"] = rtl.report.saturations
            data["cycles_per_inference"] = rtl.report.cycles_per_inference
            data["values_compared"] = rtl.report.values_compared
        else:
            result = infer(
                compiled, drives, reporter, stuck, siemens, accelerator, threads=threads or 1
            )
            scores = result.scores
            data["saturations"] = result.saturations
            data["conversions"] = result.conversions
            data |= costs(result)
            details = {"programming": result.programming, "energy": result.energy}
        cycles = predict(compiled)
        if cycles:
            data["predicted_cycles"] = cycles["first"]
            data["predicted_cycles_later"] = cycles["later"]
            data["predicted_ms_later"] = 1e3 * cycles["seconds"]
        if classes is not None:
            data["accuracy"] = accuracy(scores, classes)
        if output is not None:
            save_array(output, scores)
            data["output"] = str(output)
        if figures is not None:
            save_json(figures, {**data, **details})
    emit(as_json, data, key_table(f"Run of {bundle.name}", data))
