"""The digits example: what is checked in is what the script makes, and good enough."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("digits_train", FOLDER / "train.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arrays():
    return [np.load(FOLDER / f"{name}.npy") for name in ("test_x", "test_y", "calib_x")]


def scores(model, x):
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": x})[0])


def test_float_accuracy_on_the_held_out_split():
    x, y, _ = arrays()
    assert (scores(FOLDER / "digits.onnx", x).argmax(axis=1) == y).mean() >= 0.975


def test_calibration_shares_no_image_with_the_held_out_split():
    x, _, calib = arrays()
    held_out = {image.tobytes() for image in x}
    assert not held_out & {image.tobytes() for image in calib}


def test_several_operators_are_on_the_path():
    operators = [node.op_type for node in onnx.load(FOLDER / "digits.onnx").graph.node]
    assert operators == ["Flatten", "Gemm", "Relu", "MatMul", "Add"]


def test_checked_in_arrays_are_those_of_the_script(script):
    train_x, test_x, _, test_y = script.load_split()
    expected = (test_x, test_y, train_x[: script.CALIBRATION_SAMPLES])
    for found, made in zip(arrays(), expected, strict=True):
        np.testing.assert_array_equal(found, made, strict=True)


def test_the_script_makes_such_a_model(script, tmp_path):
    script.main(tmp_path)
    x, y, _ = arrays()
    made = scores(tmp_path / "digits.onnx", x)
    assert (made.argmax(axis=1) == y).mean() >= 0.96
