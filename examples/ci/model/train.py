"""Train the network of this example and write it with its data.

A perceptron (16-12-10, ReLU) on scikit-learn's handwritten digits, 4 x 4 pixels of 2 x 2
each: small enough that a co-simulation takes seconds. Run it in any folder::

    python train.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SEED = 7
HIDDEN = 12
HELD_OUT = 0.2
CALIBRATION_SAMPLES = 64


def data() -> tuple[np.ndarray, ...]:
    """Training and held-out images, float32 (n, 16) in 0..1, and their classes."""
    pixels, classes = (np.asarray(part) for part in load_digits(return_X_y=True))
    images = pixels.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16) / 16
    x, y = images.astype(np.float32), classes.astype(np.int64)
    parts = train_test_split(x, y, test_size=HELD_OUT, random_state=SEED, stratify=y)
    return tuple(np.asarray(part) for part in parts)


def to_onnx(model: MLPClassifier) -> onnx.ModelProto:
    """Two Gemm with a Relu between: images (N, 16) to scores (N, 10)."""
    weights = {
        name: np.asarray(array, np.float32)
        for layer in (1, 2)
        for name, array in (
            (f"w{layer}", model.coefs_[layer - 1]),
            (f"b{layer}", model.intercepts_[layer - 1]),
        )
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["image", "w1", "b1"], ["sum"], "hidden"),
            helper.make_node("Relu", ["sum"], ["act"], "relu"),
            helper.make_node("Gemm", ["act", "w2", "b2"], ["scores"], "readout"),
        ],
        "small_digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def main(folder: Path) -> None:
    """Train, and write ``digits.onnx``, ``calib_x.npy``, ``test_x.npy`` and ``test_y.npy``."""
    train_x, test_x, train_y, test_y = data()
    model = MLPClassifier((HIDDEN,), alpha=0.05, max_iter=2000, random_state=SEED)
    model.fit(train_x, train_y)
    print(f"held-out accuracy {model.score(test_x, test_y):.4f} on {len(test_y)} images")
    onnx.save(to_onnx(model), folder / "digits.onnx")
    np.save(folder / "calib_x.npy", train_x[:CALIBRATION_SAMPLES])
    np.save(folder / "test_x.npy", test_x)
    np.save(folder / "test_y.npy", test_y)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
