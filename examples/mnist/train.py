"""Train LeNet-5 on MNIST and write ``lenet.onnx`` with its calibration images.

Two convolutions of 5 x 5 (6 and 16 maps, the first with padding 2), ReLU and 2 x 2 maxima
behind each, then 400-120-84-10 with ReLU: 61,706 parameters. Pixels are 0..1. It takes
PyTorch, which the project does not install, and the folder with MNIST's four files::

    pip install torch
    python train.py DATA [FOLDER]
"""

# PyTorch is not one of the packages that the project installs.
# pyright: reportMissingImports=false

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from common import classifier, load_split
from onnx import helper, numpy_helper
from torch import Tensor, nn

SEED = 7
EPOCHS = 12
BATCH = 64
RATE, DECAY = 3e-3, 2e-4
"""Highest learning rate of the one cycle, and weight decay, which keeps the weights of a
channel of similar size, so that few conductance levels are enough."""
SHIFT = 2
"""Pixels by which images of the training are moved, at most."""
CALIBRATION_SAMPLES = 128

log = logging.getLogger("mnist")


def lenet() -> nn.Sequential:
    """The network; scores are not normalised."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


def moved(images: Tensor) -> Tensor:
    """A batch, each image by a step of its own."""
    padded, size = nn.functional.pad(images, (SHIFT,) * 4), images.shape[-1]
    steps = torch.randint(0, 2 * SHIFT + 1, (len(images), 2)).tolist()
    pairs = zip(padded, steps, strict=True)
    return torch.stack([image[:, y : y + size, x : x + size] for image, (y, x) in pairs])


def fit(
    model: nn.Sequential,
    x: np.ndarray,
    y: np.ndarray,
    epochs: int,
    rate: float,
    decay: float,
) -> None:
    """Train a network on images, moved a little, with one cycle of the learning rate."""
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=decay)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(model(moved(images[chosen])), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
        log.info("epoch %d of %d: loss %.4f", epoch + 1, epochs, total / len(x))


def train(x: np.ndarray, y: np.ndarray) -> nn.Sequential:
    """The fitted network."""
    torch.manual_seed(SEED)
    model = lenet()
    fit(model, x, y, EPOCHS, RATE, DECAY)
    return model.eval()


def score(model: nn.Sequential, x: np.ndarray, y: np.ndarray) -> float:
    """Share of images whose highest score is at their label."""
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in torch.from_numpy(x).split(1000)])
    return float((found.numpy() == y).mean())


def to_onnx(model: nn.Sequential) -> onnx.ModelProto:
    """Images (N, 1, 28, 28) to scores (N, 10)."""
    nodes, tensors, last = [], [], "image"
    for number, layer in enumerate(model):
        inputs: list[str] = [last]
        attributes: dict[str, Any] = {}
        if isinstance(layer, nn.Conv2d | nn.Linear):
            for kind in ("weight", "bias"):
                value = getattr(layer, kind).detach().numpy()
                tensors.append(numpy_helper.from_array(value, f"{kind}{number}"))
                inputs.append(f"{kind}{number}")
        match layer:
            case nn.Conv2d():
                operator = "Conv"
                attributes = {"kernel_shape": [5, 5], "pads": [int(layer.padding[0])] * 4}
            case nn.Linear():
                operator, attributes = "Gemm", {"transB": 1}
            case nn.MaxPool2d():
                operator, attributes = "MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}
            case nn.Flatten():
                operator = "Flatten"
            case _:
                operator = "Relu"
        last = "scores" if number == len(model) - 1 else f"t{number}"
        name = f"{operator.lower()}{number}"
        nodes.append(helper.make_node(operator, inputs, [last], name, **attributes))
    return classifier("lenet", nodes, tensors)


def main(data: Path, folder: Path) -> None:
    """Train, and write ``lenet.onnx`` and ``calib_x.npy``."""
    train_x, train_y = load_split(data, "train")
    model = train(train_x, train_y)
    log.info("test accuracy %.4f", score(model, *load_split(data, "t10k")))
    onnx.save(to_onnx(model), folder / "lenet.onnx")
    np.save(folder / "calib_x.npy", train_x[:CALIBRATION_SAMPLES])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = [Path(argument) for argument in sys.argv[1:]]
    main(arguments[0], arguments[1] if len(arguments) > 1 else Path(__file__).parent)
