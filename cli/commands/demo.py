"""`ohmloom demo`: the whole path on the handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import OhmloomError
from ..output import Json, Reporter, emit, key_table, working

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
DEVICE = "cspbbr3_ogb"
BOARD = "ulx3s-85f"


class DemoFailed(OhmloomError):
    """Engines that do not agree."""

    exit_code = 1


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle to write.")] = Path(
        "build/digits.ohm"
    ),
    samples: Annotated[int, typer.Option(min=1, help="Samples to co-simulate.")] = 8,
    on_board: Annotated[
        int, typer.Option(min=1, help="Samples to run on the virtual board.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Compile, measure, prove, build and deploy the digits example, on a virtual board."""
    with working(), Reporter() as reporter:
        from tempfile import TemporaryDirectory

        import numpy as np

        from ...boards.catalogue import board as find_board
        from ...boards.deploy.deploy import deploy
        from ...boards.engine import BoardEngine
        from ...boards.link import LinkClient
        from ...compiler.runner import accuracy, quantise_input
        from ..arrays import load_array
        from ..steps.boarding import bundle_hash, virtual_port
        from ..steps.building import build
        from ..steps.compiling import compile_bundle
        from ..steps.cosimulation import (
            cosimulate,
            insist_on_agreement,
            insist_on_prediction,
        )
        from ..steps.inference import first_rows, float_scores, infer

        model = DIGITS / "digits.onnx"
        x, labels, calib = (
            load_array(DIGITS / f"{n}.npy") for n in ("test_x", "test_y", "calib_x")
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        compiled, summary = compile_bundle(model, DEVICE, calib, output, reporter)
        drives = quantise_input(compiled, x)
        result = infer(compiled, drives, reporter)
        held_out = first_rows(drives, samples, "the held-out set")
        proof = cosimulate(compiled, held_out, reporter).report
        insist_on_agreement(proof)
        insist_on_prediction(proof)
        board = find_board(BOARD)
        built = build(compiled, board, output, reporter)
        few = first_rows(drives, on_board, "the held-out set")
        with TemporaryDirectory() as scratch, virtual_port(compiled, board, reporter) as transport:
            client = LinkClient(transport)
            journal = Path(scratch) / "journal"
            hashed = bundle_hash(output)
            deployed = deploy(compiled, hashed, BOARD, client, journal, reporter.update)
            trace = BoardEngine(client, compiled.image).infer(
                few, told=lambda done, total: reporter.update("running on the board", done, total)
            )
        different = int(np.count_nonzero(trace.output != result.output[: len(few)]))
        if different or not deployed.golden.exact:
            raise DemoFailed(
                f"the virtual board and the numpy engine differ in {different} of "
                f"{trace.output.size} outputs, and in {deployed.golden.different} golden integers"
            )
        data = {
            "device": DEVICE,
            "board": BOARD,
            "held_out_samples": len(x),
            "float_accuracy": accuracy(float_scores(model, x), labels),
            "device_accuracy": accuracy(result.scores, labels),
            "cosim_samples": proof.samples,
            "cosim_values_compared": proof.values_compared,
            "cosim_mismatches": proof.mismatches,
            "cycles_per_inference": proof.cycles_per_inference,
            "predicted_cycles": proof.predicted_cycles,
            "afe_utilisation": proof.afe_utilisation,
            "fmax_mhz": built.fmax_mhz,
            "utilisation": built.as_dict()["utilisation"],
            "bitstream": str(built.path),
            "cells_written_on_the_board": deployed.cells,
            "samples_on_the_board": len(few),
            "board_outputs_different": different,
            "report": summary["report"],
        }
    emit(as_json, data, key_table("Handwritten digits on a memristor crossbar", data))
