"""Weights beside the model: what is read, and what is refused before it is opened."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from ohmloom.compiler import frontend
from ohmloom.compiler.errors import ModelError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.layers import Matrix

W = np.arange(18, dtype=np.float32).reshape(6, 3) / 7


def outside(zoo, **entries: str) -> ModelProto:
    """A layer whose weight lies where ``entries`` say."""
    proto = zoo.model([zoo.node("MatMul", ["x", "w"], "y")], {"w": W})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return proto


def refused(zoo, folder, proto, *words) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(zoo.save(proto, folder))
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("before", "entries"),
    [(0, {}), (0, {"length": "72"}), (5, {"offset": "5"}), (5, {"offset": "5", "length": "72"})],
)
def test_a_weight_in_the_models_folder_is_read(zoo, tmp_path, before, entries):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "w.bin").write_bytes(b"?" * before + W.tobytes() + b"!!")
    network = load_model(zoo.save(outside(zoo, location="more/w.bin", **entries), tmp_path))
    (layer,) = network.layers
    assert isinstance(layer, Matrix) and np.array_equal(layer.blocks[0].weight, W.T)


@pytest.mark.parametrize(
    "location", ["../w.bin", "more/../../w.bin", "", ".", "more", "/etc/passwd", "none.bin", "a\0b"]
)
def test_a_place_outside_the_folder_is_refused(zoo, tmp_path, location):
    folder = tmp_path / "model"
    (folder / "more").mkdir(parents=True)
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    refused(zoo, folder, outside(zoo, location=location), "'w'")


def test_a_link_out_of_the_folder_is_refused(zoo, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    (folder / "w.bin").symlink_to(tmp_path / "w.bin")
    refused(zoo, folder, outside(zoo, location="w.bin"), "in the model's folder is accepted")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"offset": "1"}, "w.bin has 71 there"),
        ({"offset": "999999999999"}, "has 0 there"),
        ({"offset": "-1"}, "is no number"),
        ({"length": "71"}, "its entry says 71"),
        ({"length": "1e3"}, "is no number"),
    ],
)
def test_the_file_must_back_the_claim(zoo, tmp_path, entries, said):
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    refused(zoo, tmp_path, outside(zoo, location="w.bin", **entries), said)


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 20], [-6, 3]])
def test_a_huge_claim_is_refused_before_it_is_read(zoo, tmp_path, dims):
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    proto = outside(zoo, location="w.bin")
    proto.graph.initializer[0].dims[:] = dims
    refused(zoo, tmp_path, proto, "'w'")


def test_model_and_weights_count_together(zoo, tmp_path, monkeypatch):
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    proto = outside(zoo, location="w.bin")
    size = len(proto.SerializeToString())
    monkeypatch.setattr(frontend, "MAX_FILE_BYTES", size + 71)
    refused(zoo, tmp_path, proto, "has 72 bytes, 71 more are accepted")
    monkeypatch.setattr(frontend, "MAX_FILE_BYTES", size + 72)
    load_model(zoo.save(proto, tmp_path))


def test_a_type_that_shares_bytes_is_refused(zoo, tmp_path):
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    proto = outside(zoo, location="w.bin")
    proto.graph.initializer[0].data_type = TensorProto.INT4
    refused(zoo, tmp_path, proto, "INT4")


def test_a_tensor_inside_a_graph_inside_is_not_overlooked(zoo, tmp_path):
    hidden = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    hidden.ClearField("float_data")
    hidden.data_location = TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="/etc/passwd")
    out = helper.make_tensor_value_info("v", TensorProto.FLOAT, [1])
    branch = helper.make_graph([], "branch", [], [out], [hidden])
    nodes = [
        zoo.node("Constant", [], "c", value=helper.make_tensor("c", TensorProto.BOOL, [], [True])),
        zoo.node("If", ["c"], "v", then_branch=branch, else_branch=branch),
        zoo.node("MatMul", ["x", "w"], "m"),
        zoo.node("Add", ["m", "v"], "y"),
    ]
    refused(zoo, tmp_path, zoo.model(nodes, {"w": W}), "'v'", "/etc/passwd")
