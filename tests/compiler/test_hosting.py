"""Operators for the host in the front end: what is grouped, what crosses, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper

from ohmloom.compiler.errors import HostError, UnsupportedOperatorsError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.graph import Network
from ohmloom.compiler.layers import Host
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.compiler.scales import Scale
from ohmloom.sim.devices import load

from .conftest import Zoo

node = Zoo.node


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def expected(path: Path, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.stack([np.asarray(session.run(None, {"x": s[None]})[0])[0] for s in x])


def segments(network: Network) -> list[list[str]]:
    """Operators of each segment."""
    found = {x.segment.name: x.segment for x in network.layers if isinstance(x, Host)}
    return [[each.operator for each in segment.nodes] for segment in found.values()]


def agrees(proto: ModelProto, folder: Path, shape: tuple[int, ...]) -> Network:
    """The network gives in floats what onnxruntime gives; returns it."""
    path = Zoo.save(proto, folder)
    x = np.random.default_rng(3).normal(size=(3, *shape)).astype(np.float32)
    network = load_model(path)
    found = network.forward(x.reshape(3, -1).astype(np.float64))
    np.testing.assert_allclose(found, expected(path, x).reshape(3, -1), rtol=1e-4, atol=1e-5)
    return network


def test_what_needs_no_tiles_stays_behind_the_operator_that_has_no_lowering(tmp_path):
    nodes = [
        node("Conv", ["x", "k"], "c"),
        node("Softmax", ["c"], "s", axis=1),
        node("Relu", ["s"], "r"),
        node("Flatten", ["r"], "f"),
        node("MatMul", ["f", "w"], "m"),
        node("Softmax", ["m"], "t"),
        node("Reshape", ["t", "shape"], "y"),
    ]
    weights = {"k": weight(3, 1, 3, 3), "w": weight(12, 4), "shape": np.array([1, 2, 2])}
    network = agrees(Zoo.model(nodes, weights, ("N", 1, 4, 4), rank=3), tmp_path, (1, 4, 4))
    assert [layer.kind for layer in network.layers] == ["matrix", "host", "matrix", "host"]
    assert segments(network) == [["Softmax", "Relu", "Flatten"], ["Softmax", "Reshape"]]
    assert isinstance(network.layers[-1], Host) and network.layers[-1].result
    (first, _) = (layer for layer in network.layers if isinstance(layer, Host))
    reasons = [each.reason for each in first.segment.nodes]
    assert reasons == ["no lowering", *["all that it reads is on the host"] * 2]


def test_a_layer_normalisation_in_pieces_is_one_segment(tmp_path):
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("ReduceMean", ["h"], "mean", axes=[-1]),
        node("Sub", ["h", "mean"], "d"),
        node("Pow", ["d", "two"], "p"),
        node("ReduceMean", ["p"], "v", axes=[-1]),
        node("Add", ["v", "tiny"], "e"),
        node("Sqrt", ["e"], "s"),
        node("Div", ["d", "s"], "n"),
        node("Mul", ["n", "gain"], "g"),
        node("MatMul", ["g", "w"], "q"),
        node("Add", ["q", "h"], "y"),
    ]
    weights = {
        "w": weight(6, 6),
        "two": np.float32(2),
        "tiny": np.float32(1e-3),
        "gain": weight(6, seed=1),
    }
    network = agrees(Zoo.model(nodes, weights), tmp_path, (6,))
    assert segments(network) == [["Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul"]]
    assert network.layers[-1].kind != "host"


def test_all_outputs_that_matrices_ask_for_cross_in_one_call(tmp_path):
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("Softmax", ["h"], "s"),
        helper.make_node("Split", ["s", "sizes"], ["a", "b"], name="split", axis=1),
        node("MatMul", ["a", "v"], "p"),
        node("MatMul", ["b", "v"], "q"),
        node("Add", ["p", "q"], "y"),
    ]
    weights = {"w": weight(6, 8), "v": weight(4, 3), "sizes": np.array([4, 4])}
    network = agrees(Zoo.model(nodes, weights), tmp_path, (6,))
    assert segments(network) == [["Softmax", "Split"]]
    assert [layer.count for layer in network.layers if layer.kind == "host"] == [4, 4]


def test_integers_go_from_node_to_node_and_what_is_needed_again_is_computed_again(tmp_path):
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        helper.make_node("TopK", ["h", "k"], ["best", "where"], name="topk"),
        node("MatMul", ["best", "v"], "q"),
        node("GatherElements", ["q", "where"], "y", axis=1),
    ]
    weights = {"w": weight(6, 5), "v": weight(3, 5), "k": np.array([3])}
    network = agrees(Zoo.model(nodes, weights), tmp_path, (6,))
    assert segments(network) == [["TopK"], ["TopK", "GatherElements"]]


def test_moved_and_padded_tensors_are_read_where_they_lie(tmp_path):
    nodes = [
        node("Conv", ["x", "k"], "c"),
        node("Transpose", ["c"], "t", perm=[0, 2, 3, 1]),
        node("Pad", ["t", "pads"], "p"),
        node("Concat", ["p", "p"], "o", axis=3),
        node("LogSoftmax", ["o"], "y", axis=3),
    ]
    weights = {"k": weight(3, 1, 2, 2), "pads": np.array([0, 1, 0, 0, 0, 0, 2, 0])}
    network = agrees(Zoo.model(nodes, weights, ("N", 1, 4, 4), rank=4), tmp_path, (1, 4, 4))
    assert [layer.kind for layer in network.layers] == ["matrix", "host"]
    assert network.layers[1].reads == (range(16, 43),)


def test_control_flow_on_the_host_takes_what_is_outside_of_it(tmp_path):
    def branch(operator: str):
        made = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 6])
        return helper.make_graph([helper.make_node(operator, ["h"], ["z"])], "b", [], [made])

    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("ReduceSum", ["x"], "m", keepdims=0),
        node("Greater", ["m", "zero"], "c"),
        node("If", ["c"], "y", then_branch=branch("Neg"), else_branch=branch("Identity")),
    ]
    weights = {"w": weight(6, 6), "zero": np.float32(0)}
    network = agrees(Zoo.model(nodes, weights), tmp_path, (6,))
    assert segments(network) == [["Greater", "If"]]


def test_infinite_constants_are_for_the_host_alone(tmp_path):
    mask = np.where(np.tri(6) > 0, 0, -np.inf).astype(np.float32)[:1]
    nodes = [
        node("Mul", ["x", "x"], "square"),
        node("Sqrt", ["square"], "r"),
        node("Add", ["r", "mask"], "m"),
        node("Softmax", ["m"], "s"),
        node("MatMul", ["s", "w"], "y"),
    ]
    proto = Zoo.model(nodes, {"mask": mask, "w": weight(6, 3)})
    assert segments(agrees(proto, tmp_path, (6,))) == [["Sqrt", "Add", "Softmax"]]
    nodes[2:3] = [node("Add", ["square", "mask"], "m")]
    proto = Zoo.model(nodes, {"mask": mask, "w": weight(6, 3)})
    assert segments(agrees(proto, tmp_path, (6,))) == [["Add", "Softmax"]]


def test_shapes_that_only_onnxruntime_knows(tmp_path):
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        helper.make_node("BiasGelu", ["h", "b"], ["g"], name="bg", domain="com.microsoft"),
        node("MatMul", ["g", "v"], "y"),
    ]
    proto = Zoo.model(nodes, {"w": weight(6, 5), "b": weight(5), "v": weight(5, 3)})
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    network = agrees(proto, tmp_path, (6,))
    assert segments(network) == [["BiasGelu"]]
    assert [layer.count for layer in network.layers] == [5, 5, 3]


def test_a_network_that_is_on_the_host_altogether(tmp_path):
    network = agrees(Zoo.model([node("Softmax", ["x"], "y")], {}), tmp_path, (6,))
    assert segments(network) == [["Softmax"]]
    x = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    compiled = compile_model(tmp_path / "model.onnx", load("ideal:16"), x)
    assert compiled.image.runs == ("infer",) and not compiled.image.layers
    trace = build_engine(compiled).infer(quantise_input(compiled, x))
    found = dequantise_output(compiled, trace.output)
    np.testing.assert_allclose(found, expected(tmp_path / "model.onnx", x), atol=1e-3)


def test_a_quantised_model_hands_its_integers_over(tmp_path):
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "q"),
        node("Flatten", ["q"], "f"),
        node("BitShift", ["f", "one"], "b", direction="RIGHT"),
        node("DequantizeLinear", ["b", "s", "z"], "d"),
        node("MatMul", ["d", "w"], "y"),
    ]
    weights = {
        "s": np.float32(0.02),
        "z": np.uint8(128),
        "one": np.uint8(1),
        "w": weight(6, 3),
    }
    network = agrees(Zoo.model(nodes, weights), tmp_path, (6,))
    assert segments(network) == [["BitShift", "DequantizeLinear"]]


def test_what_a_quantised_model_says_of_a_tensor_of_the_host(tmp_path):
    nodes = [
        node("MatMul", ["x", "w"], "h"),
        node("Softmax", ["h"], "p"),
        node("QuantizeLinear", ["p", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "d"),
        node("MatMul", ["d", "w"], "y"),
    ]
    weights = {"s": np.float32(1 / 256), "z": np.uint8(0), "w": weight(6, 6)}
    network = load_model(Zoo.save(Zoo.model(nodes, weights), tmp_path))
    assert [layer.kind for layer in network.layers] == ["matrix", "host", "matrix"]
    assert network.pins[2] == Scale(1 / 256, 0, 8)


def test_without_a_host_all_are_listed(host_model):
    with pytest.raises(UnsupportedOperatorsError) as caught:
        load_model(host_model, host=False)
    assert [each.operator for each in caught.value.nodes] == ["Softmax", "Softmax"]


def refused(proto: ModelProto, folder: Path, words: str) -> None:
    with pytest.raises((HostError, UnsupportedOperatorsError), match=words) as caught:
        load_model(Zoo.save(proto, folder))
    assert "\n" not in str(caught.value)


def test_random_numbers_are_refused(tmp_path):
    nodes = [node("RandomNormalLike", ["x"], "r"), node("Add", ["r", "x"], "y")]
    refused(Zoo.model(nodes, {}), tmp_path, "RandomNormalLike .* draws random numbers")


def test_a_shape_that_depends_on_values_stays_on_the_host(tmp_path):
    nodes = [node("NonZero", ["x"], "n"), node("Cast", ["n"], "y", to=TensorProto.FLOAT)]
    refused(Zoo.model(nodes, {}), tmp_path, "output 'y' .* shape that depends on the values")


def test_what_onnxruntime_does_not_take_is_refused(tmp_path):
    weird = helper.make_node("NoSuchThing", ["x"], ["y"], name="weird", domain="com.microsoft")
    proto = Zoo.model([weird], {})
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    refused(proto, tmp_path, "onnxruntime refuses .*NoSuchThing")
