"""Channels that can change places: found where they can, and left alone where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.channels import Channels
from ohmloom.compiler.frontend import load_model

from .conftest import Zoo

RNG = np.random.default_rng(0)


def groups(folder, nodes, weights, shape, output="y", rank=2):
    """How many members each group has, and how many tensors these are in."""
    model = Zoo.model(nodes, weights, shape, output, rank=rank)
    network = load_model(Zoo.save(model, folder))
    return sorted(group.shape for group in Channels(network).groups)


def weight(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_hidden_outputs_are_free_and_inputs_and_outputs_stay(zoo, tmp_path):
    network = load_model(zoo.save(zoo.mlp([6, 9, 7, 3]), tmp_path))
    assert [group.shape for group in Channels(network).groups] == [(9, 1), (7, 1)]


def test_a_residual_joins_what_it_adds(zoo, tmp_path):
    # Both convolutions, the padded copy between them, sum, function and pools.
    network = load_model(zoo.save(zoo.cnn(maps=5), tmp_path))
    (group,) = Channels(network).groups
    assert group.shape == (5, 7)


def test_values_of_a_channel_are_together_when_they_are_flattened(tmp_path):
    nodes = [
        Zoo.node("Conv", ["x", "k"], "c"),
        Zoo.node("MaxPool", ["c"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        Zoo.node("Conv", ["p", "l"], "d"),
        Zoo.node("Flatten", ["d"], "f"),
        Zoo.node("Gemm", ["f", "w"], "g"),
        Zoo.node("Gemm", ["g", "v"], "y"),
    ]
    weights = {"k": weight(6, 1, 3, 3), "l": weight(4, 6, 2, 2), "w": weight(16, 8)}
    found = groups(tmp_path, nodes, weights | {"v": weight(8, 3)}, ("N", 1, 8, 8))
    assert found == [(4, 1), (6, 2), (8, 1)]


def test_channels_stay_in_their_group(tmp_path):
    nodes = [
        Zoo.node("Conv", ["x", "k"], "c"),
        Zoo.node("Conv", ["c", "l"], "d", group=2),
        Zoo.node("Conv", ["d", "m"], "y"),
    ]
    weights = {"k": weight(6, 1, 3, 3), "l": weight(4, 3, 1, 1), "m": weight(2, 4, 1, 1)}
    found = groups(tmp_path, nodes, weights, ("N", 1, 4, 4), rank=4)
    assert found == [(2, 1), (2, 1), (3, 1), (3, 1)]


def test_phases_of_a_transposed_convolution_go_together(tmp_path):
    nodes = [
        Zoo.node("ConvTranspose", ["x", "k"], "c", strides=[2, 2]),
        Zoo.node("Conv", ["c", "l"], "y"),
    ]
    weights = {"k": weight(1, 3, 2, 2), "l": weight(2, 3, 2, 2)}
    ((members, _),) = groups(tmp_path, nodes, weights, ("N", 1, 3, 3), rank=4)
    assert members == 3


@pytest.mark.parametrize(
    ("middle", "constants"),
    [
        ([("Softmax", ["a"], {"axis": 1})], {}),  # the host reads them in their order
        ([("LRN", ["a"], {"size": 3})], {}),  # neighbours are in it
        ([("ReduceMax", ["a"], {"axes": [1], "keepdims": 1})], {}),
        ([("Mul", ["a", "s"], {})], {"s": np.array([2, 2, 3, 4, 5]).reshape(1, 5, 1, 1)}),
    ],
)
def test_what_mixes_channels_or_names_them_keeps_their_order(tmp_path, middle, constants):
    nodes = [Zoo.node("Conv", ["x", "k"], "c"), Zoo.node("Relu", ["c"], "a")]
    nodes += [Zoo.node(op, inputs, "b", **more) for op, inputs, more in middle]
    inputs = 1 if middle[0][0] == "ReduceMax" else 5
    nodes += [Zoo.node("Conv", ["b", "l"], "y")]
    weights = {"k": weight(5, 1, 2, 2), "l": weight(2, inputs, 1, 1)}
    weights |= {name: each.astype(np.float32) for name, each in constants.items()}
    assert groups(tmp_path, nodes, weights, ("N", 1, 4, 4), rank=4) == []


@pytest.mark.parametrize("factors", [[2, 2, 2, 2, 2], [1, 2, 3, 4, 5]])
def test_constants_of_all_or_of_each_channel_may_be_in_any_order(tmp_path, factors):
    nodes = [
        Zoo.node("Conv", ["x", "k"], "c"),
        Zoo.node("Relu", ["c"], "a"),
        Zoo.node("Mul", ["a", "s"], "b"),
        Zoo.node("Conv", ["b", "l"], "y"),
    ]
    scale = np.array(factors, np.float32).reshape(1, 5, 1, 1)
    weights = {"k": weight(5, 1, 2, 2), "l": weight(2, 5, 1, 1), "s": scale}
    assert groups(tmp_path, nodes, weights, ("N", 1, 4, 4), rank=4) == [(5, 2)]


def test_repeated_steps_stay(tmp_path):
    nodes = [
        Zoo.node("RNN", ["x", "w", "r"], "h", hidden_size=4),
        Zoo.node("Flatten", ["h"], "f"),
        Zoo.node("Gemm", ["f", "v"], "g"),
        Zoo.node("Gemm", ["g", "u"], "y"),
    ]
    weights = {"w": weight(1, 4, 3), "r": weight(1, 4, 4), "v": weight(4, 5), "u": weight(5, 2)}
    found = groups(tmp_path, nodes, weights, (3, 1, 3))
    assert all(members == 5 for members, _ in found)
