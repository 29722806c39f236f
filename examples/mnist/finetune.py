"""Fine-tune ``lenet.onnx`` for a device: weights are trained as its cells would hold them.

In every step each matrix is what an array of the device makes of it, drawn anew
(``ohmloom.weight_noise``); gradients go to the float weights. It takes PyTorch and MNIST, as
``train.py`` does, writes ``lenet_DEVICE.onnx``, and prints what both networks have on arrays of
three seeds, in one slice of cells::

    python finetune.py DATA DEVICE [FOLDER]
"""

# PyTorch is not one of the packages that the project installs.
# pyright: reportMissingImports=false

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from common import load_split
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn.utils import parametrize
from train import CALIBRATION_SAMPLES, fit, lenet, to_onnx

import ohmloom
from ohmloom.compiler.runner import accuracy
from ohmloom.compiler.weight_noise import WeightNoise

HERE = Path(__file__).parent
SEED, EPOCHS, RATE, DECAY = 11, 2, 5e-4, 1e-2
ARRAYS, IMAGES = 3, 1000
GEOMETRY = ohmloom.Geometry(
    tiles=4096, acc_width=64, program_depth=1 << 14, param_depth=1 << 14, act_depth=1 << 15
)

log = logging.getLogger("mnist")


class Held(nn.Module):
    """A weight as cells hold it while it is trained, with the gradient of the float one."""

    def __init__(self, noise: WeightNoise, rng: np.random.Generator) -> None:
        super().__init__()
        self.noise, self.rng = noise, rng

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return weight
        held = self.noise.sample(weight.detach().numpy(), self.rng)
        return weight + (torch.from_numpy(held).to(weight.dtype) - weight).detach()


def loaded(path: Path) -> nn.Sequential:
    """The network with the weights of a file that ``train.py`` has written."""
    model = lenet()
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    for number, layer in enumerate(model):
        for kind in ("weight", "bias"):
            if f"{kind}{number}" in weights:
                values = torch.from_numpy(weights[f"{kind}{number}"].copy())
                setattr(layer, kind, nn.Parameter(values))
    return model


def tuned(model: nn.Sequential, noise: WeightNoise, x: np.ndarray, y: np.ndarray) -> nn.Sequential:
    """The network after some epochs on weights as the device holds them."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            parametrize.register_parametrization(layer, "weight", Held(noise, rng))
    model.train()
    fit(model, x, y, EPOCHS, RATE, DECAY)
    model.eval()
    for layer in model:
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return model


def on_device(path: Path, device: str, calib: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Mean accuracy on arrays of some seeds."""
    entry = ohmloom.load_device(device)
    compiled = ohmloom.compile_model(path, entry, calib, GEOMETRY)
    drives = ohmloom.quantise_input(compiled, x)
    found = []
    for seed in range(ARRAYS):
        output = ohmloom.build_engine(compiled, seed).infer(drives).output
        found.append(accuracy(ohmloom.dequantise_output(compiled, output), y))
    return float(np.mean(found))


def main(data: Path, device: str, folder: Path) -> None:
    """Fine-tune, write the network, and compare."""
    x, y = load_split(data, "train")
    noise = ohmloom.weight_noise(device)
    path = folder / f"lenet_{device}.onnx"
    onnx.save(to_onnx(tuned(loaded(HERE / "lenet.onnx"), noise, x, y)), path)
    test_x, test_y = (part[:IMAGES] for part in load_split(data, "t10k"))
    for name, each in (("as trained", HERE / "lenet.onnx"), ("fine-tuned", path)):
        found = on_device(each, device, x[:CALIBRATION_SAMPLES], test_x, test_y)
        log.info("%s, on %s: %.4f", name, device, found)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else Path.cwd())
