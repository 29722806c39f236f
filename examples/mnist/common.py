"""What the scripts of this example share: MNIST's images, and a classifier of them in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from ohmloom.compiler.datasets import load_idx

OPSET, IR_VERSION = 17, 8


def load_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (n, 1, 28, 28) in 0..1 and labels int64 (n,) of ``train`` or ``t10k``."""
    images = load_idx(folder / f"{split}-images-idx3-ubyte.gz")[:, np.newaxis]
    labels = load_idx(folder / f"{split}-labels-idx1-ubyte.gz")
    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


def classifier(
    name: str, nodes: Sequence[onnx.NodeProto], tensors: Sequence[onnx.TensorProto]
) -> onnx.ModelProto:
    """A checked model from ``image`` (N, 1, 28, 28) to ``scores`` (N, 10)."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        tensors,
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ohmloom-mnist",
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto
