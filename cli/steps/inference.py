"""Samples through a compiled network, and through the network it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ...compiler.cells import check_faults
from ...compiler.compiled import Compiled
from ...compiler.energy import CELLS, metered_cell_energy
from ...compiler.errors import InputError
from ...compiler.programming import write
from ...compiler.report import energy_report, front_end_of, programming_report
from ...compiler.runner import build_engine, dequantise_output
from ...sim.array import MeteredArray
from ..output import Reporter

BLOCK = 1024
"""Samples between two steps of the progress bar."""


@dataclass(frozen=True)
class Inference:
    """What running a batch gives.

    Attributes
    ----------
    scores, output:
        The network's outputs, float32, and their integers, shape (n, outputs).
    saturations, conversions:
        ADC codes at a rail, and in all.
    programming, energy:
        What writing the cells took, and what an inference did, as in the report of a
        compilation; None where nothing is written, and where no card is for the controller.
    """

    scores: np.ndarray
    output: np.ndarray
    saturations: int
    conversions: int
    programming: dict[str, Any] | None
    energy: dict[str, Any] | None


def infer(
    compiled: Compiled,
    drives: np.ndarray,
    reporter: Reporter,
    faults: np.ndarray | None = None,
    measured: np.ndarray | None = None,
    accelerator: str | None = None,
    threads: int = 1,
) -> Inference:
    """Program a fresh array and run integer inputs (n, inputs) on the numpy engine, noise on.

    Parameters
    ----------
    faults:
        Its stuck cells, as of :func:`~ohmloom.compiler.runner.build_engine`.
    measured:
        Conductances [S] of all cells of an array that is written already, in place of
        programming one, shape (tiles, rows, columns).
    accelerator:
        That makes the products, as of :func:`~ohmloom.compiler.runner.build_engine`.
    threads:
        That share large products.

    Raises
    ------
    InputError, TargetError
        If conductances are missing or not those of the array, or there are faults besides.
    EngineError
        If there is no such accelerator, or it does not work.
    """
    if measured is not None:
        if faults is not None:
            raise InputError("measured conductances have the stuck cells in them already")
        tiles, geometry = compiled.image.tiles, compiled.image.geometry
        measured = check_faults(measured, tiles, geometry, "the measured conductances")
        if np.isnan(measured).any():
            raise InputError("measured conductances are not those of all cells")
    fixed = faults if measured is None else measured
    engine = build_engine(
        compiled,
        program=False,
        faults=fixed,
        array_type=MeteredArray,
        threads=threads,
        accelerator=accelerator,
    )
    array, written = engine.array, None
    assert isinstance(array, MeteredArray)
    if measured is None:
        reporter.update("programming the tiles")
        written = write(engine, compiled.levels)
    outputs: list[np.ndarray] = []
    saturations = conversions = 0
    for first in range(0, len(drives), BLOCK):
        reporter.update("running the numpy engine", first, len(drives))
        trace = engine.infer(drives[first : first + BLOCK], first)
        outputs.append(trace.output)
        saturations += trace.saturations
        conversions += trace.conversions
    output = np.concatenate(outputs)
    energy, front_end = None, front_end_of(compiled)
    if front_end is not None:
        cells = metered_cell_energy(compiled, array, len(drives), front_end)
        energy = energy_report(compiled, cells=cells)
    programming = programming_report(compiled, written) if written else None
    scores = dequantise_output(compiled, output)
    return Inference(scores, output, saturations, conversions, programming, energy)


def costs(result: Inference) -> dict[str, object]:
    """What writing and an inference took, in short."""
    found: dict[str, object] = {}
    if result.programming:
        writing = result.programming["total"]
        found["simulated_writing"] = {
            "cells": writing["cells"],
            "pulses": writing["pulses"],
            "tries_per_cell": writing["tries_per_cell"],
            "not_converged": writing["not_converged"],
            "seconds": writing["seconds"],
            "pulse_energy_mj": 1e3 * writing["pulse_j"],
        }
    energy = result.energy
    if energy:
        joules = {part["name"]: part["joules"] for part in energy["parts"]}
        found["simulated_cells_uj"] = 1e6 * joules[CELLS]
        found["estimated_inference_mj"] = 1e3 * energy["joules"]
    return found


def first_rows(samples: np.ndarray, count: int, where: str) -> np.ndarray:
    """The first ``count`` samples.

    Raises
    ------
    InputError
        If there are fewer.
    """
    if count > len(samples):
        raise InputError(f"{where} holds {len(samples)} samples, {count} were asked for")
    return samples[:count]


def float_scores(model: Path, x: np.ndarray) -> np.ndarray:
    """Outputs (n, outputs) of the network as it is in the file, by ONNX's own reference."""
    proto = onnx.load(model)
    (scores,) = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x})
    return np.asarray(scores)
