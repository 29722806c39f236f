"""Every operator's lowering against ONNX Runtime, and the reasons for refusing a node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from ohmloom.compiler import operators
from ohmloom.compiler.errors import ModelError, UnsupportedOperatorsError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.operators import handlers

RNG = np.random.default_rng(3)
W = RNG.normal(size=(6, 4)).astype(np.float32)
B = RNG.normal(size=4).astype(np.float32)
I64 = np.int64


def agrees(zoo, folder, proto, batch=5):
    """The lowered network gives what ONNX Runtime gives; returns it."""
    path = zoo.save(proto, folder)
    network = load_model(path)
    x = np.random.default_rng(0).normal(size=(batch, *network.input_shape)).astype(np.float32)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = np.asarray(session.run(None, {"x": x})[0]).reshape(batch, -1)
    found = network.forward(x.reshape(batch, -1).astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    return network


def refused(zoo, folder, proto, *words):
    with pytest.raises(UnsupportedOperatorsError) as caught:
        load_model(zoo.save(proto, folder))
    for word in words:
        assert word in str(caught.value)


def test_one_handler_per_file():
    files = {path.stem for path in Path(operators.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.lower() for name in handlers()} == files


@given(
    trans=st.booleans(),
    alpha=st.floats(-2, 2, width=32),
    beta=st.floats(-2, 2, width=32),
    bias=st.sampled_from([None, (4,), (1, 4), (1,), (1, 1), ()]),
)
def test_gemm(zoo, tmp_path_factory, trans, alpha, beta, bias):
    weights = {"w": W.T.copy() if trans else W}
    if bias is not None:
        weights["b"] = np.broadcast_to(B[: np.prod(bias, dtype=int)].reshape(bias), bias)
    gemm = zoo.node("Gemm", ["x", *weights], "y", transB=int(trans), alpha=alpha, beta=beta)
    agrees(zoo, tmp_path_factory.mktemp("gemm"), zoo.model([gemm], weights))


def test_gemm_with_an_omitted_bias(zoo, tmp_path):
    agrees(zoo, tmp_path, zoo.model([zoo.node("Gemm", ["x", "w", ""], "y")], {"w": W}))


def test_gemm_with_transposed_activation(zoo, tmp_path):
    proto = zoo.model([zoo.node("Gemm", ["x", "w"], "y", transA=1)], {"w": W}, (6, 6))
    refused(zoo, tmp_path, proto, "transA = 1")


@pytest.mark.parametrize("bias_first", [False, True])
@pytest.mark.parametrize("bias", [B, B[None], B[:1], np.float32(0.5)])
def test_matmul_add(zoo, tmp_path, bias, bias_first):
    inputs = ["b", "m"] if bias_first else ["m", "b"]
    nodes = [zoo.node("MatMul", ["x", "w"], "m"), zoo.node("Add", inputs, "y")]
    network = agrees(zoo, tmp_path, zoo.model(nodes, {"w": W, "b": bias}))
    assert len(network.layers) == 1


def test_biases_add_up(zoo, tmp_path):
    nodes = [
        zoo.node("Gemm", ["x", "w", "b"], "m"),
        zoo.node("Add", ["m", "b"], "a"),
        zoo.node("Add", ["b", "a"], "y"),
    ]
    agrees(zoo, tmp_path, zoo.model(nodes, {"w": W, "b": B}))


@pytest.mark.parametrize("shape", [(5, 1), (1, 1, 4)])
def test_bias_across_the_batch(zoo, tmp_path, shape):
    bias = np.ones(shape, np.float32)
    nodes = [zoo.node("MatMul", ["x", "w"], "m"), zoo.node("Add", ["m", "b"], "y")]
    proto = zoo.model(nodes, {"w": W, "b": bias}, (5, 6), rank=len(shape))
    refused(zoo, tmp_path, proto, f"bias of shape {shape}")


def test_bias_per_sample_of_a_square_layer(zoo, tmp_path):
    bias = np.ones((4, 1), np.float32)
    nodes = [zoo.node("MatMul", ["x", "w"], "m"), zoo.node("Add", ["m", "b"], "y")]
    proto = zoo.model(nodes, {"w": W, "b": bias}, (4, 6))
    refused(zoo, tmp_path, proto, "bias of shape (4, 1)")


def test_add_where_there_is_no_layer_or_a_relu(zoo, tmp_path):
    early = [zoo.node("Add", ["x", "b"], "a"), zoo.node("MatMul", ["a", "w"], "y")]
    proto = zoo.model(early, {"w": W, "b": np.ones(6, np.float32)})
    refused(zoo, tmp_path, proto, "right after MatMul or Gemm")
    late = [
        zoo.node("MatMul", ["x", "w"], "m"),
        zoo.node("Relu", ["m"], "r"),
        zoo.node("Add", ["r", "b"], "y"),
    ]
    refused(zoo, tmp_path, zoo.model(late, {"w": W, "b": B}), "right after MatMul or Gemm")


def test_matmul_from_the_left(zoo, tmp_path):
    proto = zoo.model([zoo.node("MatMul", ["w", "x"], "y")], {"w": np.ones((2, 5), "f")}, (5, 6))
    refused(zoo, tmp_path, proto, "'w' is a constant")


def test_matmul_of_a_stack(zoo, tmp_path):
    proto = zoo.model([zoo.node("MatMul", ["x", "w"], "y")], {"w": W}, ("N", 2, 6), rank=3)
    refused(zoo, tmp_path, proto, "not flat")


def test_relu(zoo, tmp_path):
    nodes = [zoo.node("MatMul", ["x", "w"], "m"), zoo.node("Relu", ["m"], "y")]
    assert agrees(zoo, tmp_path, zoo.model(nodes, {"w": W})).layers[0].relu


def test_relu_before_any_layer(zoo, tmp_path):
    nodes = [zoo.node("Relu", ["x"], "r"), zoo.node("MatMul", ["r", "w"], "y")]
    refused(zoo, tmp_path, zoo.model(nodes, {"w": W}), "after MatMul, Gemm or Add")


def test_flatten(zoo, tmp_path):
    nodes = [zoo.node("Flatten", ["x"], "f", axis=1), zoo.node("MatMul", ["f", "w"], "y")]
    network = agrees(zoo, tmp_path, zoo.model(nodes, {"w": W}, ("N", 2, 3)))
    assert network.input_shape == (2, 3)


def test_flatten_of_the_batch(zoo, tmp_path):
    proto = zoo.model([zoo.node("Flatten", ["x"], "y", axis=2)], {}, ("N", 2, 3))
    refused(zoo, tmp_path, proto, "axis = 2")


@pytest.mark.parametrize("shape", [[-1, 6], [0, 6], [0, -1], [5, 6], [5, -1]])
def test_reshape(zoo, tmp_path, shape):
    nodes = [zoo.node("Reshape", ["x", "s"], "f"), zoo.node("MatMul", ["f", "w"], "y")]
    agrees(zoo, tmp_path, zoo.model(nodes, {"w": W, "s": np.array(shape, I64)}, (5, 2, 3)))


def test_reshape_in_steps_keeps_copied_dimensions(zoo, tmp_path):
    nodes = [
        zoo.node("Reshape", ["x", "s"], "a"),
        zoo.node("Reshape", ["a", "t"], "f"),
        zoo.node("MatMul", ["f", "w"], "y"),
    ]
    weights = {"w": W, "s": np.array([0, 0, 3, 1], I64), "t": np.array([-1, 6], I64)}
    agrees(zoo, tmp_path, zoo.model(nodes, weights, ("N", 2, 3)))


@pytest.mark.parametrize("shape", [[6, -1], [-1, 3], [30], [3, 10]])
def test_reshape_that_mixes_samples(zoo, tmp_path, shape):
    constant = np.array(shape, I64)
    proto = zoo.model(
        [zoo.node("Reshape", ["x", "s"], "y")], {"s": constant}, (5, 6), rank=len(shape)
    )
    refused(zoo, tmp_path, proto, f"shape {shape}")


def test_reshape_to_a_computed_shape(zoo, tmp_path):
    proto = zoo.model([zoo.node("Reshape", ["x", "x"], "y")], {})
    with pytest.raises(ModelError):
        load_model(zoo.save(proto, tmp_path))


@pytest.mark.parametrize(
    "value",
    [
        {"value": numpy_helper.from_array(B, "v")},
        {"value_floats": B.tolist()},
        {"value_float": 0.5},
    ],
)
def test_constant_as_bias(zoo, tmp_path, value):
    nodes = [
        zoo.node("Constant", [], "b", **value),
        zoo.node("MatMul", ["x", "w"], "m"),
        zoo.node("Add", ["m", "b"], "y"),
    ]
    agrees(zoo, tmp_path, zoo.model(nodes, {"w": W}))


@pytest.mark.parametrize("sizes", [(6, 4), (6, 9, 3), (6, 1, 8, 2)])
def test_networks(zoo, tmp_path, sizes):
    network = agrees(zoo, tmp_path, zoo.mlp(sizes))
    assert [layer.relu for layer in network.layers] == [True] * (len(sizes) - 2) + [False]


def test_a_wrong_lowering_would_be_found(zoo, tmp_path, monkeypatch):
    broken = onnx.load(zoo.save(zoo.mlp((6, 4)), tmp_path))
    genuine = load_model(tmp_path / "model.onnx")
    weight = numpy_helper.to_array(broken.graph.initializer[0]).copy()
    weight[0, 0] += 1
    broken.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w0"))
    monkeypatch.setattr(f"{__name__}.load_model", lambda path: genuine)
    with pytest.raises(AssertionError):
        agrees(zoo, tmp_path, broken)
