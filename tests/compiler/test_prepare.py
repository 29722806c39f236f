"""Models before they are lowered: the same function, simpler, and no bomb goes off."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import FunctionProto, ModelProto, helper

from ohmloom.compiler import prepare as module
from ohmloom.compiler.errors import ModelError
from ohmloom.compiler.prepare import prepare

RNG = np.random.default_rng(5)
W = RNG.normal(size=(6, 4)).astype(np.float32)
K = RNG.normal(size=(4, 2, 3, 3)).astype(np.float32)
STATISTICS = {
    "g": RNG.uniform(0.5, 2, 4).astype(np.float32),
    "b": RNG.normal(size=4).astype(np.float32),
    "m": RNG.normal(size=4).astype(np.float32),
    "v": RNG.uniform(0.5, 2, 4).astype(np.float32),
}


def operators(proto: ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def run(proto: ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def simplified(proto: ModelProto, *wanted: str, shape=(5, 6)) -> ModelProto:
    """The model after the passes, which is checked to be the same function."""
    x = RNG.normal(size=shape).astype(np.float32)
    found = prepare(proto, "model.onnx")
    onnx.checker.check_model(found)
    assert [value.name for value in found.graph.input] == ["x"]
    assert [value.name for value in found.graph.output] == [proto.graph.output[0].name]
    assert run(found, x) == pytest.approx(run(proto, x), rel=2e-5, abs=2e-5)
    assert operators(found) == list(wanted)
    return found


def test_batch_normalisation_goes_into_the_layer_before(zoo):
    names = ["h", *STATISTICS]
    nodes = [zoo.node("Gemm", ["x", "w"], "h"), zoo.node("BatchNormalization", names, "y")]
    simplified(zoo.model(nodes, {"w": W} | STATISTICS), "Gemm")


@pytest.mark.parametrize("opset", [9, 13, 17])
def test_batch_normalisation_and_padding_go_into_the_convolution(zoo, opset):
    pads = [0, 0, 1, 1, 0, 0, 1, 1]
    weights = {"k": K} | STATISTICS
    if opset < 11:
        pad = zoo.node("Pad", ["x"], "p", pads=pads)
    else:
        pad = zoo.node("Pad", ["x", "pads"], "p")
        weights["pads"] = np.array(pads)
    nodes = [
        pad,
        zoo.node("Conv", ["p", "k"], "h"),
        zoo.node("BatchNormalization", ["h", *STATISTICS], "y"),
    ]
    shape = ("N", 2, 5, 5)
    proto = zoo.model(nodes, weights, shape, rank=4, opset=opset)
    left = ["Conv"] if opset >= 11 else ["Pad", "Conv"]
    simplified(proto, *left, shape=(3, 2, 5, 5))


def test_what_does_nothing_at_inference_is_gone(zoo):
    nodes = [
        zoo.node("Identity", ["x"], "a"),
        zoo.node("Dropout", ["a"], "b"),
        zoo.node("MatMul", ["b", "w"], "c"),
        zoo.node("Relu", ["c"], "d"),
        zoo.node("Relu", ["d"], "y"),
        zoo.node("Neg", ["c"], "unused"),
    ]
    simplified(zoo.model(nodes, {"w": W}), "MatMul", "Relu")


def test_weights_that_are_computed_become_constants(zoo):
    nodes = [
        zoo.node("Transpose", ["t"], "w"),
        zoo.node("Mul", ["w", "two"], "w2"),
        zoo.node("MatMul", ["x", "w2"], "y"),
    ]
    found = simplified(zoo.model(nodes, {"t": W.T.copy(), "two": np.float32(2)}), "MatMul")
    (weight,) = found.graph.initializer
    assert np.array_equal(onnx.numpy_helper.to_array(weight), 2 * W)


def test_a_shape_that_is_computed_becomes_one(zoo):
    nodes = [
        zoo.node("Shape", ["x"], "s"),
        zoo.node("Slice", ["s", "zero", "one"], "n"),
        zoo.node("Concat", ["n", "rest"], "t", axis=0),
        zoo.node("Reshape", ["x", "t"], "r"),
        zoo.node("MatMul", ["r", "w"], "y"),
    ]
    weights = {"w": W, "zero": np.array([0]), "one": np.array([1]), "rest": np.array([6])}
    simplified(zoo.model(nodes, weights, (5, 2, 3)), "Reshape", "MatMul", shape=(5, 2, 3))


def function(name: str, *calls: str) -> FunctionProto:
    nodes, last = [], "x"
    for number, call in enumerate(calls):
        domain = "" if call == "Relu" else "own"
        nodes.append(helper.make_node(call, [last], [f"t{number}"], domain=domain))
        last = f"t{number}"
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["x"], ["y"], nodes, opsets)


def with_functions(zoo, *functions: FunctionProto) -> ModelProto:
    nodes = [
        zoo.node("MatMul", ["x", "w"], "h"),
        helper.make_node(functions[0].name, ["h"], ["y"], domain="own"),
    ]
    proto = zoo.model(nodes, {"w": W})
    proto.opset_import.append(helper.make_opsetid("own", 1))
    proto.functions.extend(functions)
    return proto


def test_functions_are_inlined(zoo):
    outer, inner = function("outer", "inner"), function("inner", "Relu")
    found = simplified(with_functions(zoo, outer, inner), "MatMul", "Relu")
    assert not found.functions


def test_functions_that_multiply_are_refused_unmade(zoo):
    bombs = [function(f"f{n}", f"f{n + 1}", f"f{n + 1}") for n in range(40)]
    proto = with_functions(zoo, *bombs, function("f40", "Relu"))
    with pytest.raises(ModelError, match=r"has \d+ nodes, 10000 are accepted"):
        prepare(proto, "model.onnx")


def test_a_function_that_calls_itself_is_refused(zoo):
    proto = with_functions(zoo, function("outer", "inner"), function("inner", "outer"))
    with pytest.raises(ModelError, match="calls itself"):
        prepare(proto, "model.onnx")


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile", "Range"])
def test_a_constant_that_would_be_huge_is_not_made(zoo, operator, monkeypatch):
    monkeypatch.setattr(module, "MAX_FOLDED_VALUES", 1000)
    many = 2000
    made = {
        "ConstantOfShape": (["s"], {"s": np.array([many])}),
        "Expand": (["v", "s"], {"v": np.ones(1, np.float32), "s": np.array([many])}),
        "Tile": (["v", "s"], {"v": np.ones(1, np.float32), "s": np.array([many])}),
        "Range": (
            ["a", "b", "c"],
            {"a": np.float32(0), "b": np.float32(many), "c": np.float32(1)},
        ),
    }
    inputs, constants = made[operator]
    nodes = [
        zoo.node(operator, inputs, "big"),
        zoo.node("ReduceSum", ["big"], "sum"),
        zoo.node("MatMul", ["x", "w"], "h"),
        zoo.node("Add", ["h", "sum"], "y"),
    ]
    found = prepare(zoo.model(nodes, {"w": W} | constants), "model.onnx")
    assert operator in operators(found)


def test_constants_that_are_huge_together_are_not_all_made(zoo, monkeypatch):
    monkeypatch.setattr(module, "MAX_FOLDED_VALUES", 1000)
    nodes = [zoo.node("MatMul", ["x", "w"], "h0")]
    for n in range(5):
        nodes.append(zoo.node("Expand", ["v", f"s{n}"], f"big{n}"))
        nodes.append(zoo.node("Tanh", [f"big{n}"], f"t{n}"))
        nodes.append(zoo.node("Add", [f"h{n}", f"t{n}"], f"h{n + 1}"))
    sizes = {f"s{n}": np.array([50 + n, 4]) for n in range(5)}
    proto = zoo.model(nodes, {"w": W, "v": np.float32(1)} | sizes, output="h5")
    left = operators(prepare(proto, "model.onnx"))
    # Two of 200 values and a little are made of each, and a part of the third.
    assert left.count("Tanh") == 3 and 2 <= left.count("Expand") <= 3


def test_a_quantised_models_scales_stay(zoo):
    quantised = np.clip(np.rint(W * 50), -128, 127).astype(np.int8)
    nodes = [
        zoo.node("DequantizeLinear", ["q", "s"], "w"),
        zoo.node("MatMul", ["x", "w"], "y"),
    ]
    proto = zoo.model(nodes, {"q": quantised, "s": np.float32(0.02)})
    simplified(proto, "DequantizeLinear", "MatMul")


def test_what_no_pass_can_digest_is_one_sentence(zoo, monkeypatch):
    def broken(model: object):
        raise RuntimeError("a pass\nfailed") from ValueError("for this\nreason")

    monkeypatch.setattr(module, "_simplify", broken)
    proto = zoo.model([zoo.node("MatMul", ["x", "w"], "y")], {"w": W})
    with pytest.raises(ModelError, match="cannot be simplified: for this reason"):
        prepare(proto, "model.onnx")


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 18, 21])
def test_every_operator_set_goes_through(zoo, opset):
    nodes = [
        zoo.node("Dropout", ["x"], "a"),
        zoo.node("Flatten", ["a"], "f"),
        zoo.node("Gemm", ["f", "w"], "h"),
        zoo.node("BatchNormalization", ["h", *STATISTICS], "n"),
        zoo.node("Clip", ["n"], "c"),
        zoo.node("Relu", ["c"], "y"),
    ]
    if opset < 10:
        nodes[0] = zoo.node("Identity", ["x"], "a")
    proto = zoo.model(nodes, {"w": W} | STATISTICS, opset=opset)
    assert "BatchNormalization" not in operators(prepare(proto, "model.onnx"))
