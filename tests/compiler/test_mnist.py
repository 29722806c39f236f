"""A network of many row tiles on real images: MNIST, where somebody has it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohmloom.compiler.datasets import load_idx
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input
from ohmloom.sim.devices import load

TRAINING, CALIBRATION, TESTED = 10_000, 256, 2_000


def perceptron(model, path: Path) -> None:
    """A scikit-learn perceptron as ONNX."""
    names, tensors, nodes = "x", [], []
    for i, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        tensors += [
            numpy_helper.from_array(weight.astype(np.float32), f"w{i}"),
            numpy_helper.from_array(bias.astype(np.float32), f"b{i}"),
        ]
        nodes.append(helper.make_node("Gemm", [names, f"w{i}", f"b{i}"], [f"s{i}"], f"dense{i}"))
        names = f"s{i}"
        if i + 1 < len(model.coefs_):
            nodes.append(helper.make_node("Relu", [names], [f"r{i}"], f"relu{i}"))
            names = f"r{i}"
    graph = helper.make_graph(
        nodes,
        "mnist",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 784])],
        [helper.make_tensor_value_info(names, TensorProto.FLOAT, ["N", 10])],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.mark.slow
def test_mnist_on_the_device_stays_near_its_float_accuracy(tmp_path):
    folder = os.environ.get("OHMLOOM_MNIST")
    if folder is None:
        pytest.skip("OHMLOOM_MNIST names no folder with MNIST's four files")
    MLPClassifier = pytest.importorskip("sklearn.neural_network").MLPClassifier
    splits = {}
    for split, count in (("train", TRAINING), ("t10k", TESTED)):
        images = load_idx(Path(folder) / f"{split}-images-idx3-ubyte.gz")[:count]
        labels = load_idx(Path(folder) / f"{split}-labels-idx1-ubyte.gz")[:count]
        splits[split] = (images.reshape(count, -1) / np.float32(255), labels.astype(np.int64))
    (train_x, train_y), (test_x, test_y) = splits["train"], splits["t10k"]
    model = MLPClassifier((32,), alpha=0.3, max_iter=30, random_state=1).fit(train_x, train_y)
    perceptron(model, tmp_path / "mnist.onnx")

    compiled = compile_model(tmp_path / "mnist.onnx", load("cspbbr3_ogb"), train_x[:CALIBRATION])
    assert compiled.image.tiles == 24 * 2 + 2
    trace = build_engine(compiled).infer(quantise_input(compiled, test_x))
    on_device = accuracy(dequantise_output(compiled, trace.output), test_y)
    as_floats = float(model.score(test_x, test_y))
    assert as_floats > 0.9
    assert on_device >= as_floats - 0.02
    assert trace.saturations == 0
