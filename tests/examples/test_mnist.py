"""The MNIST perceptron: what is checked in, and what its script writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

FOLDER = Path(__file__).parents[2] / "examples" / "mnist"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("mnist_perceptron", FOLDER / "perceptron.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))  # as Python has it for a script
        spec.loader.exec_module(module)
    return module


def test_the_checked_in_perceptron_is_784_100_10():
    graph = onnx.load(FOLDER / "perceptron.onnx").graph
    assert [node.op_type for node in graph.node] == ["Flatten", "Gemm", "Relu", "Gemm"]
    shapes = [numpy_helper.to_array(tensor).shape for tensor in graph.initializer]
    assert shapes == [(784, 100), (100,), (100, 10), (10,)]


def test_the_script_writes_what_it_has_trained(script, monkeypatch):
    monkeypatch.setattr(script, "EPOCHS", 2)
    rng = np.random.default_rng(5)
    x, y = rng.random((300, 784), np.float32), rng.integers(10, size=300)
    with pytest.warns(UserWarning, match="not converged|hasn't converged"):
        model = script.train(x, y)
    session = ort.InferenceSession(
        script.to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    scores = np.asarray(session.run(None, {"image": x.reshape(-1, 1, 28, 28)})[0])
    assert np.array_equal(scores.argmax(axis=1), model.predict(x))
