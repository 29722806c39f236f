"""Operators that only move values: no layer, at most one copy at the end."""

from __future__ import annotations

import numpy as np
import pytest


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


CASES = [
    ("Flatten", {"axis": 2}, {}),
    ("Identity", {}, {}),
    ("Reshape", {}, {"shape": whole(0, -1)}),
    ("Reshape", {}, {"shape": whole(6, 4)}),
    ("Transpose", {"perm": [3, 0, 2, 1]}, {}),
    ("Transpose", {}, {}),
    ("Squeeze", {}, {"axes": whole(1)}),
    ("Unsqueeze", {}, {"axes": whole(0, -1)}),
    ("Expand", {}, {"shape": whole(2, 1, 5, 3, 4)}),
    ("Tile", {}, {"repeats": whole(1, 2, 1, 2)}),
    ("Slice", {}, {"begins": whole(2, 3), "ends": whole(-9, 0), "axes": whole(2, 3),
                   "steps": whole(-1, -2)}),
    ("Gather", {"axis": 3}, {"indices": whole(3, -1, 0)}),
    ("GatherElements", {"axis": 3}, {"indices": np.zeros((2, 1, 3, 2), np.int64)}),
    ("Compress", {"axis": 3}, {"condition": np.array([True, False, True])}),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "attributes", "weights"), CASES)
def test_moves(held, operator, attributes, weights):
    shape = [2, 1, 3, 4]
    network = held.agrees(held.node(operator, ["x", *weights], **attributes), shape, weights)
    assert [layer.kind for layer in network.layers] == ["copy"]


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(held, mode):
    held.agrees(held.node("DepthToSpace", ["x"], blocksize=2, mode=mode), [1, 8, 2, 3])
    held.agrees(held.node("SpaceToDepth", ["x"], blocksize=2), [1, 2, 4, 6])


@pytest.mark.parametrize("position", [0, 1])
def test_split(held, position):
    outputs = ["a", "b"]
    outputs[position] = "y"
    node = held.node("Split", ["x", "sizes"], " ".join(outputs), axis=1)
    held.agrees(node, [2, 5], {"sizes": whole(2, 3)})


def test_concat_with_constants(held):
    """Constants become values, a 0 among them none."""
    constant = np.array([[1.5, 0.0, 1.5, -2.0]], np.float32)
    node = held.node("Concat", ["x", "c", "x"], axis=0)
    held.agrees(node, [2, 4], {"c": constant})
    held.runs(node, [2, 4], {"c": constant})


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad(held, mode):
    weights = {"pads": whole(0, 1, 0, 2)}
    held.agrees(held.node("Pad", ["x", "pads"], mode=mode), [2, 4], weights, opset=19)


@pytest.mark.parametrize("value", [0.0, -1.25])
def test_pad_with_a_number(held, value):
    weights = {"pads": whole(1, -1), "value": np.float32(value), "axes": whole(-1)}
    node = held.node("Pad", ["x", *weights])
    held.agrees(node, [2, 4], weights)
    held.runs(node, [2, 4], weights)


def test_dropout(held):
    held.agrees(held.node("Dropout", ["x"]), [2, 4])


def test_a_dropout_that_drops_is_refused(held):
    weights = {"ratio": np.float32(0.5), "training": np.array(True)}
    held.refused(held.node("Dropout", ["x", *weights]), [2, 4], weights, "training_mode")


def test_too_many_values_are_refused(held):
    """Before they are made."""
    held.refused(held.node("Tile", ["x", "r"]), [1, 4], {"r": whole(1 << 20, 64)}, "are accepted")
