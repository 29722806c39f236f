"""Train a perceptron of one hidden layer on MNIST and write ``perceptron.onnx``.

784-100-10 with ReLU, 79,510 parameters, as scikit-learn fits it. Pixels are 0..1. It takes the
folder with MNIST's four files::

    python perceptron.py DATA [FOLDER]
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
from common import classifier, load_split
from onnx import helper, numpy_helper
from sklearn.neural_network import MLPClassifier

SEED = 7
HIDDEN = 100
EPOCHS = 20
DECAY = 0.1
"""Keeps the weights of a channel of similar size, so that few conductance levels are enough."""

log = logging.getLogger("mnist")


def train(x: np.ndarray, y: np.ndarray) -> MLPClassifier:
    """The fitted classifier."""
    model = MLPClassifier(
        (HIDDEN,), alpha=DECAY, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=SEED
    )
    return model.fit(x, y)


def to_onnx(model: MLPClassifier) -> onnx.ModelProto:
    """The classifier: images (N, 1, 28, 28) to scores (N, 10)."""
    tensors = []
    for number, pair in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        for kind, value in zip(("weight", "bias"), pair, strict=True):
            tensors.append(
                numpy_helper.from_array(np.asarray(value, np.float32), f"{kind}{number}")
            )
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"], "flatten"),
        helper.make_node("Gemm", ["pixels", "weight0", "bias0"], ["sum"], "hidden"),
        helper.make_node("Relu", ["sum"], ["rectified"], "relu"),
        helper.make_node("Gemm", ["rectified", "weight1", "bias1"], ["scores"], "readout"),
    ]
    return classifier("perceptron", nodes, tensors)


def _flat(data: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_split(data, split)
    return images.reshape(len(images), -1), labels


def main(data: Path, folder: Path) -> None:
    """Train, and write ``perceptron.onnx``."""
    model = train(*_flat(data, "train"))
    log.info("test accuracy %.4f", model.score(*_flat(data, "t10k")))
    onnx.save(to_onnx(model), folder / "perceptron.onnx")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = [Path(argument) for argument in sys.argv[1:]]
    main(arguments[0], arguments[1] if len(arguments) > 1 else Path(__file__).parent)
