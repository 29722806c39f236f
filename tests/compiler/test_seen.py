"""What matrices see on samples, against all windows of a convolution written out."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.layers import Matrix
from ohmloom.compiler.seen import DRAWS, look

SIDE, KERNEL = 12, 3


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    weight = np.random.default_rng(0).normal(size=(2, 1, KERNEL, KERNEL)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "seen",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, SIDE, SIDE])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path_factory.mktemp("seen") / "conv.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return load_model(path)


def windows(x: np.ndarray) -> np.ndarray:
    """Of images (n, side * side): (n, positions, inputs)."""
    padded = np.pad(x.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), axis=(1, 2))
    return view.reshape(len(x), SIDE * SIDE, KERNEL * KERNEL)


def matrix_at(network) -> int:
    (number,) = (n for n, layer in enumerate(network.layers) if isinstance(layer, Matrix))
    return number


@pytest.mark.parametrize("samples", [1, 3])
def test_draws_are_inputs_of_positions_of_all_samples(network, samples):
    x = np.random.default_rng(1).normal(size=(samples, SIDE * SIDE))
    seen = look(network, x, means=False)
    draws = seen.draws[matrix_at(network), 0]
    every = windows(x).reshape(-1, KERNEL * KERNEL)
    assert draws.shape == (DRAWS, KERNEL * KERNEL)
    assert not seen.means
    assert {row.tobytes() for row in draws} <= {row.tobytes() for row in every}
    assert np.array_equal(draws[0], every[0]) and np.array_equal(draws[-1], every[-1])


def test_means_are_over_samples_and_positions(network):
    x = np.random.default_rng(2).normal(size=(5, SIDE * SIDE))
    mean = look(network, x, means=True).means[matrix_at(network), 0]
    np.testing.assert_allclose(mean, windows(x).mean(axis=(0, 1)), atol=1e-12)
