"""Functions of straight pieces: exact on the engine but for rounding."""

from __future__ import annotations

import numpy as np
import pytest

CASES = [
    ("LeakyRelu", {}, {}),
    ("LeakyRelu", {"alpha": 1.5}, {}),
    ("PRelu", {}, {"slope": np.float32(0.25).reshape(1)}),
    ("PRelu", {}, {"slope": np.array([[0.1], [-0.5], [2.0]], np.float32)}),
    ("HardSigmoid", {}, {}),
    ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, {}),
    ("ThresholdedRelu", {}, {}),
    ("ThresholdedRelu", {"alpha": 0.5}, {}),
    ("ThresholdedRelu", {"alpha": -0.5}, {}),
    ("ThresholdedRelu", {"alpha": 9.0}, {}),
    ("Abs", {}, {}),
]


@pytest.mark.parametrize(("operator", "attributes", "weights"), CASES)
def test_in_floats(held, operator, attributes, weights):
    held.agrees(held.node(operator, ["x", *weights], **attributes), [2, 3, 20], weights)


@pytest.mark.parametrize(("operator", "attributes", "weights"), CASES[:-2])
def test_on_the_engine(held, operator, attributes, weights):
    node = held.node(operator, ["x", *weights], **attributes)
    held.runs(node, [2, 3, 20], weights, tolerance=2.0**-13)
