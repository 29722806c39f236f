"""The ONNX front end: what it takes, and one sentence for everything that it does not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ohmloom.compiler import frontend
from ohmloom.compiler.errors import ModelError, UnsupportedOperatorsError
from ohmloom.compiler.frontend import load_model


def weight(*shape, value=0.5):
    return np.full(shape, value, np.float32)


def one_layer(zoo, **model):
    return zoo.model([zoo.node("MatMul", ["x", "w"], "y")], {"w": weight(6, 3)}, **model)


@pytest.mark.parametrize("opset", [frontend.OPSET_MIN, 13, 17, 21])
def test_takes_operator_sets_old_and_new(zoo, tmp_path, opset):
    network = load_model(zoo.save(one_layer(zoo, opset=opset), tmp_path))
    assert [(network.inputs, layer.count) for layer in network.layers] == [(6, 3)]


def test_weights_may_also_be_listed_as_inputs(zoo, tmp_path):
    proto = one_layer(zoo)
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [6, 3]))
    assert load_model(zoo.save(proto, tmp_path)).input_name == "x"


def test_layer_names_are_unique(zoo, tmp_path):
    nodes = [zoo.node("MatMul", ["x", "w"], "h"), zoo.node("MatMul", ["h", "w"], "y")]
    for node in nodes:
        node.name = "same"
    proto = zoo.model(nodes, {"w": weight(6, 6)})
    names = [layer.name for layer in load_model(zoo.save(proto, tmp_path)).layers]
    assert len(set(names)) == 2


def refused(path, *words, host=True):
    """The model is refused in one sentence that holds the words."""
    with pytest.raises(ModelError) as caught:
        load_model(path, host=host)
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence
    return sentence


def test_missing_file(tmp_path):
    refused(tmp_path / "none.onnx", "none.onnx", "No such file")


def test_folder_is_no_model(tmp_path):
    refused(tmp_path, "not a file")


def test_empty_and_oversized_files(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.touch()
    refused(path, "0 bytes")
    monkeypatch.setattr(frontend, "MAX_FILE_BYTES", 10)
    path.write_bytes(b"x" * 11)
    refused(path, "11 bytes", "10 are accepted")


def test_truncated_at_every_length(zoo, tmp_path):
    whole = one_layer(zoo).SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_noise_is_no_model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(np.random.default_rng(0).bytes(500))
    refused(path, "not an ONNX file")


@pytest.mark.parametrize("dims", [[1 << 31, 1], [6, 4], [-6, -3], [1 << 62, 1 << 62]])
def test_claimed_shape_must_be_backed_by_data(zoo, tmp_path, dims):
    proto = one_layer(zoo)
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend(dims)
    refused(zoo.save(proto, tmp_path), "'w'", "claims shape", "holds 18 values")


def test_unknown_tensor_type(zoo, tmp_path):
    proto = one_layer(zoo)
    proto.graph.initializer[0].data_type = 99
    refused(zoo.save(proto, tmp_path), "unknown type 99")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_must_be_finite(zoo, tmp_path, value):
    proto = zoo.model([zoo.node("MatMul", ["x", "w"], "y")], {"w": weight(6, 3, value=value)})
    refused(zoo.save(proto, tmp_path), "'w'", "not finite")


def test_cycle(zoo, tmp_path):
    nodes = [zoo.node("Relu", ["b"], "a"), zoo.node("Relu", ["a"], "b")]
    refused(zoo.save(zoo.model(nodes, {}, output="b"), tmp_path), "topologically sorted")


def test_undefined_input(zoo, tmp_path):
    refused(zoo.save(zoo.model([zoo.node("Relu", ["ghost"], "y")], {}), tmp_path), "ghost")


@pytest.mark.parametrize("opset", [frontend.OPSET_MIN - 1, 999])
def test_operator_set_outside_the_range(zoo, tmp_path, opset):
    refused(zoo.save(one_layer(zoo, opset=opset), tmp_path), f"[{opset}]", "9 to")


def test_shapes_that_do_not_fit_each_other(zoo, tmp_path):
    refused(zoo.save(one_layer(zoo, shape=("N", 7)), tmp_path), "not a valid ONNX model")


@pytest.mark.parametrize("shape", [[6], ["N", "M"], ["N", 0], ["N", 1 << 40], [-1, 6]])
def test_input_shape_must_be_a_batch_of_fixed_samples(zoo, tmp_path, shape):
    proto = zoo.model([zoo.node("Flatten", ["x"], "y", axis=1)], {}, shape=shape)
    refused(zoo.save(proto, tmp_path), "'x'")


def test_input_type_must_be_float_or_integers_of_8_bits(zoo, tmp_path):
    proto = zoo.model([zoo.node("Flatten", ["x"], "y")], {})
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    refused(zoo.save(proto, tmp_path), "DOUBLE", "FLOAT, UINT8, INT8 is accepted")


def test_two_inputs(zoo, tmp_path):
    proto = one_layer(zoo)
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 6]))
    refused(zoo.save(proto, tmp_path), "2 inputs")


def test_a_model_without_weights_needs_no_tiles(zoo, tmp_path):
    network = load_model(zoo.save(zoo.model([zoo.node("Flatten", ["x"], "y")], {}), tmp_path))
    assert [layer.kind for layer in network.layers] == ["copy"]


def test_an_output_that_does_not_depend_on_the_input(zoo, tmp_path):
    proto = zoo.model([zoo.node("Identity", ["w"], "y")], {"w": weight(1, 3)})
    refused(zoo.save(proto, tmp_path), "no layer between its input and its output")


def test_sparse_weights(zoo, tmp_path):
    proto = one_layer(zoo)
    proto.graph.sparse_initializer.add()
    refused(zoo.save(proto, tmp_path), "sparse")


def test_too_many_nodes(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(frontend, "MAX_NODES", 0)
    refused(zoo.save(one_layer(zoo), tmp_path), "1 nodes")


def test_all_unsupported_operators_at_once(zoo, tmp_path):
    nodes = [
        zoo.node("MatMul", ["x", "w"], "h"),
        zoo.node("Log", ["h"], "s"),
        zoo.node("Relu", ["s"], "r"),
        zoo.node("Softmax", ["r"], "y"),
    ]
    path = zoo.save(zoo.model(nodes, {"w": weight(6, 3)}), tmp_path)
    words = ("2 unsupported operators", "'Log_s'", "'Softmax_y'", "no lowering")
    sentence = refused(path, *words, host=False)
    assert "'Relu_r'" not in sentence
    with pytest.raises(UnsupportedOperatorsError) as caught:
        load_model(path, host=False)
    assert [node.operator for node in caught.value.nodes] == ["Log", "Softmax"]


def test_operators_of_other_domains(zoo, tmp_path):
    node = zoo.node("Relu", ["x"], "y")
    node.domain = "com.example"
    proto = zoo.model([node], {})
    proto.opset_import.append(helper.make_opsetid("com.example", 1))
    path = zoo.save(proto, tmp_path)
    refused(path, "of domain com.example", host=False)
    refused(path, "of domain com.example", "onnxruntime has not got")


def test_a_bound_for_one_reader_is_not_one_for_the_others(zoo, tmp_path):
    nodes = [
        zoo.node("MatMul", ["x", "w"], "h"),
        zoo.node("Relu", ["h"], "r"),
        zoo.node("Add", ["r", "h"], "y"),
    ]
    network = load_model(zoo.save(zoo.model(nodes, {"w": weight(6, 3)}), tmp_path))
    assert [layer.kind for layer in network.layers] == ["matrix", "sum", "sum"]
    x = np.array([[-1.0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    assert network.forward(x).tolist() == [[-0.5] * 3, [1.0] * 3]


@pytest.mark.parametrize(("batch", "shape"), [("N", (6,)), (1, (6,)), (4, (4, 6))])
def test_a_batch_of_any_size_is_one_sample_and_a_fixed_one_is_whole(zoo, tmp_path, batch, shape):
    network = load_model(zoo.save(one_layer(zoo, shape=(batch, 6)), tmp_path))
    assert network.input_shape == shape and network.outputs == 3 * network.inputs // 6


def test_open_dimensions_by_a_shape(zoo, tmp_path):
    nodes = [zoo.node("Conv", ["x", "k"], "c"), zoo.node("GlobalAveragePool", ["c"], "y")]
    proto = zoo.model(nodes, {"k": weight(2, 1, 3, 3)}, shape=("N", 1, "H", "W"), rank=4)
    path = zoo.save(proto, tmp_path)
    refused(path, "'x' has shape [0, 1, 0, 0]")
    assert load_model(path, (1, 1, 8, 6)).input_shape == (1, 8, 6)
    assert load_model(path, (1, 8, 6)).input_shape == (1, 8, 6)  # of a sample
    for wrong in ((1, 2, 8, 6), (2, 8, 6), (8, 6), (1, 1, 8, 0)):
        with pytest.raises(ModelError, match=r"0 where it is open, which \["):
            load_model(path, wrong)


def test_shapes_that_the_batch_is_part_of_are_folded(zoo, tmp_path):
    nodes = [
        zoo.node("Shape", ["x"], "s"),
        zoo.node("Gather", ["s", "zero"], "n"),
        zoo.node("Concat", ["n", "rest"], "target", axis=0),
        zoo.node("Reshape", ["x", "target"], "f"),
        zoo.node("MatMul", ["f", "w"], "y"),
    ]
    weights = {"zero": np.array([0]), "rest": np.array([-1]), "w": weight(6, 3)}
    network = load_model(zoo.save(zoo.model(nodes, weights, shape=("N", 2, 3)), tmp_path))
    assert [layer.kind for layer in network.layers] == ["matrix"]


def test_what_the_output_does_not_need_is_left_out(zoo, tmp_path):
    nodes = [
        zoo.node("MatMul", ["x", "w"], "h"),
        zoo.node("Split", ["h"], "a", axis=1),
        zoo.node("MatMul", ["b", "v"], "u"),
        zoo.node("Relu", ["a"], "y"),
    ]
    nodes[1].output.append("b")
    weights = {"w": weight(6, 4), "v": weight(2, 2)}
    network = load_model(zoo.save(zoo.model(nodes, weights, opset=13), tmp_path))
    assert [layer.kind for layer in network.layers] == ["matrix", "sum"]


def test_an_output_that_is_only_moved_is_copied(zoo, tmp_path):
    nodes = [
        zoo.node("MatMul", ["x", "w"], "h"),
        zoo.node("Reshape", ["h", "s"], "r"),
        zoo.node("Transpose", ["r"], "y", perm=[0, 2, 1]),
    ]
    w = np.arange(24, dtype=np.float32).reshape(6, 4)
    weights = {"w": w, "s": np.array([0, 2, 2])}
    network = load_model(zoo.save(zoo.model(nodes, weights, rank=3), tmp_path))
    assert [layer.kind for layer in network.layers] == ["matrix", "copy"]
    assert network.output_shape == (1, 2, 2)
    x = np.eye(6)[:1]
    assert network.forward(x).tolist() == [[0, 2, 1, 3]]


def test_control_flow_is_refused(zoo, tmp_path):
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "body",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 6])],
    )
    nodes = [
        zoo.node("ReduceMax", ["x"], "m", keepdims=0),
        zoo.node("Cast", ["m"], "c", to=TensorProto.BOOL),
        zoo.node("If", ["c"], "y", then_branch=body, else_branch=body),
    ]
    refused(zoo.save(zoo.model(nodes, {}), tmp_path), "If", "no lowering", host=False)


def test_the_digits_model_is_valid_onnx(digits):
    onnx.checker.check_model(onnx.load(digits.model), full_check=True)
