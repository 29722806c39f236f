"""Train the digits network and write ``digits.onnx`` with its data splits.

A multilayer perceptron (64-48-10, ReLU) on scikit-learn's handwritten digits:
1797 images of 8 x 8 pixels. A quarter of them is held out; the calibration set
is a part of the training split. Run it in any folder::

    python train.py [FOLDER]
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SEED = 7
HIDDEN = 48
HELD_OUT = 0.25
CALIBRATION_SAMPLES = 128
IMAGE_SHAPE = (8, 8)
PIXEL_MAX = 16.0
OPSET = 17
IR_VERSION = 8
"""File format version of that operator set, so that older readers take the file."""

log = logging.getLogger("digits")


def load_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``(train_x, test_x, train_y, test_y)``: images float32 (n, 8, 8) in 0..1, labels int64."""
    pixels, digits = (np.asarray(part) for part in load_digits(return_X_y=True))
    images = (pixels.reshape(-1, *IMAGE_SHAPE) / PIXEL_MAX).astype(np.float32)
    labels = digits.astype(np.int64)
    train_x, test_x, train_y, test_y = (
        np.asarray(part)
        for part in train_test_split(
            images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels
        )
    )
    return train_x, test_x, train_y, test_y


def train(x: np.ndarray, y: np.ndarray) -> MLPClassifier:
    """The fitted classifier.

    The weight decay is what keeps the weights of a channel of similar size,
    so that few conductance levels are enough.
    """
    model = MLPClassifier((HIDDEN,), alpha=0.3, max_iter=1000, random_state=SEED)
    return model.fit(x.reshape(len(x), -1), y)


def to_onnx(model: MLPClassifier) -> onnx.ModelProto:
    """The classifier as Flatten, Gemm, Relu, MatMul and Add: images (N, 8, 8) to scores (N, 10)."""
    w1, w2 = (np.asarray(w, np.float32) for w in model.coefs_)
    b1, b2 = (np.asarray(b, np.float32) for b in model.intercepts_)
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"], "flatten", axis=1),
        helper.make_node("Gemm", ["pixels", "w1", "b1"], ["sum1"], "hidden", transB=1),
        helper.make_node("Relu", ["sum1"], ["hidden1"], "relu"),
        helper.make_node("MatMul", ["hidden1", "w2"], ["sum2"], "readout"),
        helper.make_node("Add", ["sum2", "b2"], ["scores"], "bias"),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *IMAGE_SHAPE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        [
            numpy_helper.from_array(np.ascontiguousarray(w1.T), "w1"),
            numpy_helper.from_array(b1, "b1"),
            numpy_helper.from_array(w2, "w2"),
            numpy_helper.from_array(b2, "b2"),
        ],
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ohmloom-digits",
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def main(folder: Path) -> None:
    """Train, and write ``digits.onnx``, ``test_x.npy``, ``test_y.npy`` and ``calib_x.npy``."""
    train_x, test_x, train_y, test_y = load_split()
    model = train(train_x, train_y)
    score = model.score(test_x.reshape(len(test_x), -1), test_y)
    log.info("held-out accuracy %.4f on %d images", score, len(test_y))
    onnx.save(to_onnx(model), folder / "digits.onnx")
    np.save(folder / "test_x.npy", test_x)
    np.save(folder / "test_y.npy", test_y)
    np.save(folder / "calib_x.npy", train_x[:CALIBRATION_SAMPLES])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
