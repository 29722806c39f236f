"""Functions by table: against ONNX Runtime, and as fine on the engine."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.operators.function import FUNCTIONS
from ohmloom.compiler.options import Options

OPSET = {"Gelu": 20, "Mish": 18, "Swish": 24}
BY_TEST = {
    "Elu": {"alpha": 0.5},
    "Selu": {"alpha": 1.5, "gamma": 0.9},
    "Celu": {"alpha": 2.0},
    "Gelu": {"approximate": "tanh"},
}
PLAIN = [(name, {}) for name in FUNCTIONS if name != "Swish"]  # ONNX Runtime has none yet


@pytest.mark.parametrize(("operator", "attributes"), [*PLAIN, *BY_TEST.items()])
def test_in_floats(held, operator, attributes):
    node = held.node(operator, ["x"], **attributes)
    held.agrees(node, [2, 50], opset=OPSET.get(operator, 17))


@pytest.mark.parametrize("operator", ["Sigmoid", "Tanh", "Gelu", "Softplus", "HardSwish"])
@pytest.mark.parametrize("factor", [0.1, 1.0, 40.0])
def test_on_the_engine_over_any_range(held, operator, factor):
    """Where most of the range is flat or straight, the rest is as fine."""
    nodes = [held.node("Mul", ["x", "c"], "m"), held.node(operator, ["m"])]
    held.runs(nodes, [1, 200], {"c": np.float32(factor)}, opset=OPSET.get(operator, 17))


def test_activations_of_8_bits_take_one_table(held):
    options = Options(golden_samples=1, host=False)
    held.runs(held.node("Sigmoid", ["x"]), [1, 60], options=options, tolerance=2.0**-7)


def test_celu_without_alpha_is_refused(held):
    held.refused(held.node("Celu", ["x"], alpha=0.0), [1, 3], {}, "alpha = 0")
