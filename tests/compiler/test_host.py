"""The host of a compiled network, and the models that it runs."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from ohmloom.compiler.errors import HostError, UnsupportedNode
from ohmloom.compiler.host import Executor, Segment, checked
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.sim.devices import load
from ohmloom.sim.engine.errors import EngineError

from .conftest import LARGE


def test_the_result_of_the_host_is_floats(on_host, host_model, host_samples):
    trace = build_engine(on_host).infer(quantise_input(on_host, host_samples))
    scores = dequantise_output(on_host, trace.output)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    session = ort.InferenceSession(str(host_model), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": host_samples})
    np.testing.assert_allclose(scores, np.asarray(expected), atol=2e-3)


def test_one_sample_or_many_give_the_same(on_host, host_samples):
    engine, drives = build_engine(on_host), quantise_input(on_host, host_samples)
    whole = engine.infer(drives)
    for sample in (0, 17):
        single = engine.infer(drives[sample : sample + 1], epoch0=sample)
        np.testing.assert_array_equal(single.output[0], whole.output[sample])
        for one, all_ in zip(single.made, whole.made, strict=True):
            np.testing.assert_array_equal(one[0], all_[sample])


def test_runs_draw_noise_of_their_own(host_model, host_samples):
    noisy = compile_model(host_model, load("cspbbr3_ogb"), host_samples, LARGE)
    engine, drives = build_engine(noisy), quantise_input(noisy, host_samples)
    first, again = engine.infer(drives), engine.infer(drives, epoch0=1000)
    silent = build_engine(noisy, read_noise=False).infer(drives)
    for name in (layer.name for layer in noisy.layers if layer.kind == "matrix"):
        assert not np.array_equal(first.layers[name], again.layers[name])
        assert not np.array_equal(first.layers[name], silent.layers[name])
    begins = [noisy.image.entries[entry] for entry in noisy.image.runs]
    assert begins == sorted(set(begins))  # a draw is named by the address of its instruction


def test_an_engine_needs_the_host(on_host, host_samples):
    engine, drives = build_engine(on_host), quantise_input(on_host, host_samples[:2])
    engine.host = None
    with pytest.raises(EngineError, match="'host/0' runs on the host, and there is none"):
        engine.infer(drives)
    engine.host = lambda number, words: words[:, :5]
    with pytest.raises(EngineError, match="expected integers of shape"):
        engine.infer(drives)
    engine.host = lambda number, words: np.full((2, on_host.image.host[0].words_out), 1 << 20)
    with pytest.raises(EngineError, match="does not fit 16 bits"):
        engine.infer(drives)


def test_other_words_of_the_host_change_what_follows(on_host, host_samples):
    engine, drives = build_engine(on_host), quantise_input(on_host, host_samples[:2])
    before, true = engine.infer(drives), Executor(on_host.host)
    engine.host = lambda number, words: true(number, words) ^ 64
    after = engine.infer(drives)
    assert not np.array_equal(after.output, before.output)


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


def words(proto: ModelProto) -> None:
    del proto.graph.node[:]
    proto.graph.node.append(helper.make_node("Cast", ["a"], ["b"], to=TensorProto.STRING))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING


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
        (opened, "output 'b', numbers of a fixed shape"),
        (words, "output 'b', numbers of a fixed shape"),
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
