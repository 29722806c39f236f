"""Sums, differences, products, extremes and BatchNormalization."""

from __future__ import annotations

import numpy as np
import pytest

C = np.array([[1.5], [-0.5], [2.0]], np.float32)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize("first", [False, True])
def test_with_a_constant(held, operator, first):
    number = np.float32(0.75) if operator in ("Max", "Min") else C
    if operator == "Div" and first:
        held.refused(held.node("Div", ["c", "x"]), [2, 3, 4], {"c": C}, "by an activation")
        return
    node = held.node(operator, ["c", "x"] if first else ["x", "c"])
    held.agrees(node, [2, 3, 4], {"c": number})


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"])
def test_of_activations_that_broadcast(held, operator):
    nodes = [
        held.node("Abs", ["x"], "a"),
        held.node("ReduceSum", ["x", "axis"], "s"),
        held.node(operator, ["a", "s"]),
    ]
    held.agrees(nodes, [2, 3, 4], {"axis": np.array([1], np.int64)})
    held.runs(nodes, [2, 3, 4], {"axis": np.array([1], np.int64)})


@pytest.mark.parametrize("operator", ["Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_of_any_number(held, operator, count):
    nodes = [held.node("Mul", ["x", f"c{n}"], f"a{n}") for n in range(count)]
    nodes.append(held.node(operator, [f"a{n}" for n in range(count)]))
    weights = {f"c{n}": np.float32(n + 0.5) for n in range(count)}
    held.agrees(nodes, [2, 5], weights)
    held.runs(nodes, [2, 5], weights)


def test_products_of_the_same_tensor(held):
    held.runs(held.node("Mul", ["x", "x"]), [1, 40])


def test_a_product_with_zeros(held):
    """Padding stays 0: there is nothing to multiply."""
    pads = np.array([0, 1, 0, 1], np.int64)
    nodes = [held.node("Pad", ["x", "pads"], "p"), held.node("Mul", ["p", "p"])]
    network = held.agrees(nodes, [2, 3], {"pads": pads})
    assert [layer.count for layer in network.layers if layer.kind == "product"] == [6]


def test_neg(held):
    held.agrees(held.node("Neg", ["x"]), [2, 3])


def test_a_divisor_of_zero_is_refused(held):
    held.refused(held.node("Div", ["x", "c"]), [1, 3], {"c": np.zeros(3, "f")}, "divides by 0")


@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_extremes_with_a_constant_tensor_and_padding(held, operator):
    weights = {"c": C * np.array([1, 0, 1, -1], "f"), "pads": np.array([0, 0, 0, 0, 0, 1])}
    nodes = [held.node("Pad", ["x", "pads"], "p"), held.node(operator, ["p", "c"])]
    held.agrees(nodes, [2, 3, 3], weights)
    held.runs(nodes, [2, 3, 3], weights)


STATISTICS = {
    "gain": np.array([1.0, -2.0, 0.5], "f"),
    "shift": np.array([0.0, 1.0, -1.0], "f"),
    "mean": np.array([0.5, 0.0, -0.5], "f"),
    "variance": np.array([1.0, 0.25, 4.0], "f"),
}


@pytest.mark.parametrize("shape", [[2, 3], [1, 3, 4], [2, 3, 2, 2]])
def test_batch_normalisation(held, shape):
    held.agrees(
        held.node("BatchNormalization", ["x", *STATISTICS], epsilon=0.01), shape, STATISTICS
    )


def test_batch_normalisation_costs_nothing_behind_a_matrix(held):
    weights = {**STATISTICS, "w": np.arange(12, dtype="f").reshape(4, 3), "one": np.ones(3, "f")}
    nodes = [
        held.node("MatMul", ["x", "w"], "m"),
        held.node("BatchNormalization", ["m", *STATISTICS]),
    ]
    assert len(held.agrees(nodes, [2, 4], weights).layers) == 1


def test_batch_normalisation_that_learns_is_refused(held):
    node = held.node("BatchNormalization", ["x", *STATISTICS], "y m v", training_mode=1)
    held.refused(node, [2, 3], STATISTICS, "training_mode")
