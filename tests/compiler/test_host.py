"""Operators on the host: what is grouped, what crosses, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from ohmloom.compiler.bundle import MANIFEST, load_bundle, write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.errors import (
    BundleError,
    HostError,
    ModelError,
    UnsupportedNode,
    UnsupportedOperatorsError,
)
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.graph import Network
from ohmloom.compiler.host import Executor, Segment, checked
from ohmloom.compiler.host_report import host_calls, link_bytes
from ohmloom.compiler.layers import Host
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.compiler.scales import Scale
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.devices import load
from ohmloom.sim.engine.errors import EngineError

from .conftest import Zoo

LARGE = Geometry(tiles=256, program_depth=1 << 14, param_depth=1 << 15, act_depth=1 << 15)
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
    reasons = [each.reason for each in network.layers[1].segment.nodes]
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
    nodes[2] = node("Add", ["square", "mask"], "m")
    path = Zoo.save(Zoo.model(nodes, {"mask": mask, "w": weight(6, 3)}), tmp_path)
    with pytest.raises(ModelError, match="'mask' has values that are not finite"):
        load_model(path)


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


# -- compiled -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    nodes = [
        node("Conv", ["x", "k"], "c"),
        node("Softmax", ["c"], "s", axis=1),
        node("Flatten", ["s"], "f"),
        node("Gemm", ["f", "w"], "g"),
        node("Softmax", ["g"], "y", axis=1),
    ]
    weights = {"k": weight(3, 1, 3, 3), "w": weight(12, 4)}
    return Zoo.save(Zoo.model(nodes, weights, ("N", 1, 4, 4)), tmp_path_factory.mktemp("m"))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(30, 1, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def compiled(path: Path, x: np.ndarray) -> Compiled:
    return compile_model(path, load("ideal:256"), x, LARGE, Options(slices=2, act_bits=12))


def test_the_result_of_the_host_is_floats(compiled, path, x):
    trace = build_engine(compiled).infer(quantise_input(compiled, x))
    scores = dequantise_output(compiled, trace.output)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(scores, expected(path, x), atol=2e-3)


def test_one_sample_or_many_give_the_same(compiled, x):
    engine, drives = build_engine(compiled), quantise_input(compiled, x)
    whole = engine.infer(drives)
    for sample in (0, 17):
        single = engine.infer(drives[sample : sample + 1], epoch0=sample)
        np.testing.assert_array_equal(single.output[0], whole.output[sample])
        for one, all_ in zip(single.made, whole.made, strict=True):
            np.testing.assert_array_equal(one[0], all_[sample])


def test_runs_draw_noise_of_their_own(path, x):
    noisy = compile_model(path, load("cspbbr3_ogb"), x, LARGE)
    engine, drives = build_engine(noisy), quantise_input(noisy, x)
    first, again = engine.infer(drives), engine.infer(drives, epoch0=1000)
    silent = build_engine(noisy, read_noise=False).infer(drives)
    for name in (layer.name for layer in noisy.layers if layer.kind == "matrix"):
        assert not np.array_equal(first.layers[name], again.layers[name])
        assert not np.array_equal(first.layers[name], silent.layers[name])
    begins = [noisy.image.entries[entry] for entry in noisy.image.runs]
    assert begins == sorted(set(begins))  # a draw is named by the address of its instruction


def test_an_engine_needs_the_host(compiled, x):
    engine, drives = build_engine(compiled), quantise_input(compiled, x[:2])
    engine.host = None
    with pytest.raises(EngineError, match="'host/0' runs on the host, and there is none"):
        engine.infer(drives)
    engine.host = lambda number, words: words[:, :5]
    with pytest.raises(EngineError, match="expected integers of shape"):
        engine.infer(drives)
    engine.host = lambda number, words: np.full((2, compiled.image.host[0].words_out), 1 << 20)
    with pytest.raises(EngineError, match="does not fit 16 bits"):
        engine.infer(drives)


def test_other_words_of_the_host_change_what_follows(compiled, x):
    engine, drives = build_engine(compiled), quantise_input(compiled, x[:2])
    before, true = engine.infer(drives), Executor(compiled.host)
    engine.host = lambda number, words: true(number, words) ^ 64
    after = engine.infer(drives)
    assert not np.array_equal(after.output, before.output)


def test_what_it_costs(compiled):
    (first, last) = host_calls(compiled, 1_000_000)
    assert (first["words_in"], first["words_out"]) == (12, 12)
    assert (last["words_in"], last["words_out"]) == (4, 0)
    assert first["operators"] == ["Softmax", "Flatten"] and first["estimated"]
    assert first["link_seconds"] == pytest.approx(link_bytes(compiled.image.host[0]) * 1e-5)
    assert link_bytes(compiled.image.host[0]) > 2 * 24
    assert host_calls(compiled)[0]["link_seconds"] is None


def test_without_a_host_all_are_listed(path):
    with pytest.raises(UnsupportedOperatorsError) as caught:
        load_model(path, host=False)
    assert [each.operator for each in caught.value.nodes] == ["Softmax", "Softmax"]


# -- refused ------------------------------------------------------------------------------


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


def model(**changes: object) -> ModelProto:
    """The model of a segment."""
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["a"], ["b"])],
        "host",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outside(proto: ModelProto) -> None:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    proto.graph.initializer.append(tensor)


def foreign(proto: ModelProto) -> None:
    proto.graph.node[0].domain = "com.example"
    proto.opset_import.append(helper.make_opsetid("com.example", 1))


def huge(proto: ModelProto) -> None:
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "shape")
    proto.graph.initializer.append(shape)
    proto.graph.node.append(helper.make_node("Expand", ["b", "shape"], ["c"]))


def opened(proto: ModelProto) -> None:
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"


def integers(proto: ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def random(proto: ModelProto) -> None:
    proto.graph.node[0].op_type = "RandomNormalLike"


@pytest.mark.parametrize(
    "change,words",
    [
        (outside, "tensor 'w' outside of its file"),
        (foreign, "domain com.example, which onnxruntime has not got"),
        (huge, "'c' of shape|Incompatible|not valid"),
        (opened, "output 'b', a tensor of a fixed shape"),
        (integers, "not valid|float32 of one dimension"),
        (random, "draws random numbers"),
    ],
)
def test_hostile_models(change, words):
    proto = model()
    checked(proto.SerializeToString(), "good")
    change(proto)
    with pytest.raises(HostError, match=words):
        checked(proto.SerializeToString(), "bad")


def test_a_model_cut_short():
    body = model().SerializeToString()
    with pytest.raises(HostError, match="not ONNX or is cut short|not valid|no inputs"):
        checked(body[:-20], "bad")


def test_not_a_number_is_told():
    proto = model()
    proto.graph.node[0].op_type = "Log"
    segment = Segment("log", proto.SerializeToString(), (UnsupportedNode("'l'", "Log", "no"),))
    np.testing.assert_allclose(segment.run([np.ones((2, 4), np.float32)])[0], 0)
    with pytest.raises(HostError, match="host segment 'log' makes 'b' not a number"):
        segment.run([-np.ones((2, 4), np.float32)])


# -- in a bundle --------------------------------------------------------------------------


@pytest.fixture
def bundle(compiled: Compiled, tmp_path: Path) -> Path:
    return write_bundle(compiled, tmp_path / "host.ohm", baud=500_000)


def test_the_same_network_comes_back(compiled, bundle):
    found = load_bundle(bundle)
    assert found.host == compiled.host and found.image.host == compiled.image.host
    trace = build_engine(found).infer(found.golden.inputs)
    assert len(found.golden.layers) == 3
    for span, golden in zip(found.image.layers, found.golden.layers, strict=True):
        np.testing.assert_array_equal(trace.layers[span.name], golden)
    report = json.loads((bundle / "report.json").read_text())
    assert [call["name"] for call in report["host"]] == ["host/0", "host/1"]
    assert "On the host" in (bundle / "report.html").read_text()


def damage(bundle: Path, change) -> None:
    """Change the manifest, and hash the models again."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    change(manifest)
    for file in (bundle / "host").glob("*.onnx"):
        body = file.read_bytes()
        record = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        manifest["files"][f"host/{file.name}"] = record
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def test_a_hostile_model_in_a_bundle(bundle):
    file = bundle / "host" / "0.onnx"
    sound = file.read_bytes()
    for change, words in ((outside, "outside of its file"), (foreign, "domain com.example")):
        proto = onnx.load_from_string(sound)
        change(proto)
        file.write_bytes(proto.SerializeToString())
        with pytest.raises(BundleError, match="was altered|bytes"):
            load_bundle(bundle)
        damage(bundle, lambda manifest: None)
        with pytest.raises(BundleError, match=words):
            load_bundle(bundle)


def test_a_model_of_other_inputs(bundle):
    files = [bundle / "host" / f"{n}.onnx" for n in range(2)]
    bodies = [file.read_bytes() for file in files]
    for file, body in zip(files, reversed(bodies), strict=True):
        file.write_bytes(body)
    damage(bundle, lambda manifest: None)
    with pytest.raises(BundleError, match="takes .* values, the manifest says"):
        load_bundle(bundle)


def swap_entries(manifest) -> None:
    manifest["host"][0]["entry"], manifest["host"][1]["entry"] = "", "infer/1"


@pytest.mark.parametrize(
    "change,words",
    [
        (swap_entries, "entry 'infer/1' behind call 1"),
        (lambda m: m["host"][1].update(entry="infer/2"), "has entries"),
        (lambda m: m["host"][0].update(gives=[]), "entry 'infer/1' behind call 0"),
        (lambda m: m["host"].append(m["host"][0]), "lists .*host/1.onnx"),
        (lambda m: m["host"][0]["gives"][0].update(output=7), "0 values in output 7"),
        (lambda m: m["host"][0]["takes"][0]["span"].update(address=1 << 20), "for the host"),
        (lambda m: m["layers"][-1].update(outputs=5), "network's result of 5 values"),
        (lambda m: m.update(host=[]), "lists .*host/0.onnx"),
    ],
)
def test_manifests_that_contradict_the_models(bundle, change, words):
    damage(bundle, change)
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)


def test_a_call_that_gives_nothing_in_the_middle(bundle):
    def change(manifest):
        manifest["host"][0].update(gives=[], entry="")
        manifest["entries"].pop("infer/1")

    damage(bundle, change)
    with pytest.raises(BundleError, match="gives the controller nothing"):
        load_bundle(bundle)


def test_unknown_files_among_the_models(bundle):
    (bundle / "host" / "lib.so").touch()
    with pytest.raises(BundleError, match="host/lib.so"):
        load_bundle(bundle)
