"""A tensor of the host: what it reads and makes, in floats and under other numbers."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from ohmloom.compiler.host import Segment
from ohmloom.compiler.layers import Host, Renumbering


def layers() -> list[Host]:
    """The sorted values 2 to 5, and where they were, of one segment."""
    graph = helper.make_graph(
        [helper.make_node("TopK", ["a", "k"], ["best", "where"])],
        "host",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [4])],
        [
            helper.make_tensor_value_info("best", TensorProto.FLOAT, [3]),
            helper.make_tensor_value_info("where", TensorProto.INT64, [3]),
        ],
        [helper.make_tensor("k", TensorProto.INT64, [1], [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    segment = Segment("host/0", model.SerializeToString(), ())
    return [
        Host(
            name=name, first=8 + 3 * n, values=3, segment=segment, output=n, sources=(range(2, 6),)
        )
        for n, name in enumerate(("best", "where"))
    ]


def test_it_makes_what_onnxruntime_makes():
    memory = np.array([[9, 9, 1, 4, 3, 2, 9, 9], [9, 9, 0, 0, 7, 5, 9, 9]], np.float64)
    best, where = layers()
    assert best.forward(memory).tolist() == [[4, 3, 2], [7, 5, 0]]
    assert where.forward(memory)[:, :2].tolist() == [[1, 2], [2, 3]]
    assert best.reads == (range(2, 6),) and best.count == 3


def test_other_numbers():
    moved = layers()[1].renumbered(Renumbering([0, 8], [10, 30]))
    assert moved.sources == (range(12, 16),) and moved.made.tolist() == [33, 34, 35]
