"""The self-test of a deployed bundle: its golden vectors, on the board."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...compiler.compiled import Compiled
from ..engine import BoardEngine


@dataclass(frozen=True)
class GoldenTest:
    """How the board's integers compare with the bundle's golden ones.

    Attributes
    ----------
    samples, values:
        What was compared: inferences, and integers of all of their layers.
    different:
        Integers that are not the golden ones.
    worst:
        The largest difference.
    agreed:
        Fraction of the samples whose largest output is the same.
    """

    samples: int
    values: int
    different: int
    worst: int
    agreed: float

    @property
    def exact(self) -> bool:
        """Whether something was compared, and all of it is the same."""
        return self.values > 0 and not self.different


def golden_test(engine: BoardEngine, compiled: Compiled) -> GoldenTest:
    """Run the golden inputs and compare every layer.

    An emulated array and a virtual board give the golden integers themselves where their draws
    have the bundle's seed; other cells have another spread.
    """
    golden = compiled.golden
    trace = engine.infer(golden.inputs, layers=True)
    different = values = worst = 0
    for layer, wanted in zip(compiled.image.layers, golden.layers, strict=True):
        apart = np.abs(trace.layers[layer.name] - wanted.astype(np.int64))
        values += apart.size
        different += int(np.count_nonzero(apart))
        worst = max(worst, int(apart.max(initial=0)))
    agreed = 0.0
    if golden.layers and len(golden.inputs):
        last = compiled.image.layers[-1].name
        same = trace.layers[last].argmax(axis=1) == golden.layers[-1].argmax(axis=1)
        agreed = float(np.mean(same))
    return GoldenTest(len(golden.inputs), values, different, worst, agreed)
