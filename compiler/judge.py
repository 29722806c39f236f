"""Whether a network is right on samples: by labels, or by what its float form says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..sim.engine import NumpyEngine
from .compiled import Compiled
from .graph import Network
from .runner import check_labels, dequantise_output

SEEDS = 3
"""Arrays that a network is run on."""


@dataclass(frozen=True)
class Judge:
    """Samples and what is right for them.

    Attributes
    ----------
    x:
        Samples, shape (n, inputs), float32.
    scores:
        What floats make of them, shape (n, outputs).
    wanted:
        The class of each, shape (n,).
    """

    x: np.ndarray
    scores: np.ndarray
    wanted: np.ndarray

    @classmethod
    def of(cls, network: Network, x: np.ndarray, labels: np.ndarray | None) -> Judge:
        """With labels (n,), or where there are none with the classes that floats choose.

        Raises
        ------
        InputError
            If the labels do not fit the samples.
        """
        scores = network.forward(x.astype(np.float64))
        classes = scores.argmax(axis=1)
        return cls(x, scores, classes if labels is None else check_labels(labels, *scores.shape))

    def run(self, compiled: Compiled, engine: NumpyEngine) -> np.ndarray:
        """Scores of an engine for the samples, shape (n, outputs)."""
        return dequantise_output(compiled, engine.infer(compiled.input.quantise(self.x)).output)

    def right(self, scores: np.ndarray) -> np.ndarray:
        """Which samples are right, 1.0 or 0.0, shape (n,)."""
        return (scores.argmax(axis=1) == self.wanted).astype(float)


def standard_error(values: np.ndarray) -> float:
    """Of the mean of what each sample gives on each array, shape (seeds, n).

    Samples are common to all seeds: their spread does not shrink with more arrays.
    """
    return math.sqrt(values.mean(axis=0).var() / values.shape[1])
