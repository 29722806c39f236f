"""Relu and Clip: bounds of the layer before them, or sums that have them."""

from __future__ import annotations

import numpy as np
import pytest

LOW, HIGH = np.float32(-0.5), np.float32(0.75)


@pytest.mark.parametrize(
    ("inputs", "weights"),
    [
        (["x", "a", "b"], {"a": LOW, "b": HIGH}),
        (["x", "a"], {"a": LOW}),
        (["x", "", "b"], {"b": HIGH}),
        (["x"], {}),
        (["x", "a", "b"], {"a": HIGH, "b": LOW}),  # all of them are the upper one
    ],
)
def test_bounds_are_inputs(held, inputs, weights):
    held.agrees(held.node("Clip", inputs), [2, 9], weights)


def test_bounds_are_attributes(held):
    held.agrees(held.node("Clip", ["x"], min=-0.5, max=0.5), [2, 9], opset=10)


def test_bounds_without_zero(held):
    weights = {"a": np.float32(0.5), "b": np.float32(1.0)}
    held.runs(held.node("Clip", ["x", "a", "b"]), [1, 20], weights)


def test_computed_bounds_are_refused(held):
    nodes = [held.node("ReduceMax", ["x"], "m", keepdims=0), held.node("Clip", ["x", "", "m"])]
    held.refused(nodes, [1, 4], {}, "a constant is accepted")


@pytest.mark.parametrize("layer", ["Gemm", "Add", "AveragePool"])
def test_relu_costs_nothing(held, layer):
    first, weights, shape = {
        "Gemm": (held.node("Gemm", ["x", "w"], "m"), {"w": np.eye(4, dtype="f")}, [1, 4]),
        "Add": (held.node("Add", ["x", "w"], "m"), {"w": np.float32(0.5)}, [1, 4]),
        "AveragePool": (held.node("AveragePool", ["x"], "m", kernel_shape=[2]), {}, [1, 1, 4]),
    }[layer]
    network = held.agrees([first, held.node("Relu", ["m"])], shape, weights)
    assert len(network.layers) == 1


def test_relu_of_what_another_node_reads_is_a_layer(held):
    nodes = [
        held.node("Gemm", ["x", "w"], "m"),
        held.node("Relu", ["m"], "r"),
        held.node("Sub", ["r", "m"]),
    ]
    held.agrees(nodes, [1, 4], {"w": np.eye(4, dtype="f")})


def test_relu_of_the_input(held):
    held.runs(held.node("Relu", ["x"]), [1, 12])
