"""Samples through a compiled network, and through the network it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ...compiler.compiled import Compiled
from ...compiler.errors import InputError
from ...compiler.runner import build_engine, dequantise_output
from ..output import Reporter

BLOCK = 1024
"""Samples between two steps of the progress bar."""


@dataclass(frozen=True)
class Inference:
    """What running a batch gives.

    Attributes
    ----------
    scores:
        The network's outputs, float32, shape (n, outputs).
    saturations, conversions:
        ADC codes at a rail, and in all.
    """

    scores: np.ndarray
    saturations: int
    conversions: int


def infer(
    compiled: Compiled, drives: np.ndarray, reporter: Reporter, faults: np.ndarray | None = None
) -> Inference:
    """Program a fresh array and run integer inputs (n, inputs) on the numpy engine, noise on.

    ``faults`` are its stuck cells, as of :func:`~ohmloom.compiler.runner.build_engine`.
    """
    reporter.update("programming the tiles")
    engine = build_engine(compiled, faults=faults)
    outputs: list[np.ndarray] = []
    saturations = conversions = 0
    for first in range(0, len(drives), BLOCK):
        reporter.update("running the numpy engine", first, len(drives))
        trace = engine.infer(drives[first : first + BLOCK], first)
        outputs.append(trace.output)
        saturations += trace.saturations
        conversions += trace.conversions
    scores = dequantise_output(compiled, np.concatenate(outputs))
    return Inference(scores, saturations, conversions)


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
