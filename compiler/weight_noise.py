"""What a device makes of weights, drawn: for training that knows of it.

A training loop asks for weights as an array would hold them, anew in every step, and takes
gradients as if they were the float ones::

    noise = ohmloom.weight_noise("cspbbr3_ogb")
    held = noise.sample(weight, rng)
    output = layer(x, weight + (held - weight).detach())  # in PyTorch
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..hw.geometry import Geometry
from ..sim.converters import Converters
from ..sim.devices import load
from .encoding import Encoding
from .graph import finished
from .layers import Block, Matrix, Patches
from .options import Options
from .pipeline import calibrated, compile_network
from .quantise import quantise_weight
from .runner import build_engine

CELLS = 256
"""Cells of each level that are written to learn how they scatter, at least."""
_INPUTS = 64


@dataclass(frozen=True)
class WeightNoise:
    """Levels as a device holds them once they are written.

    Attributes
    ----------
    mean, spread:
        Of the cells of each level, in steps of a level above level 0, shape (levels,).
    encoding:
        How weights lie in cells.
    columns:
        Of a tile: so many share a reference.
    """

    mean: np.ndarray
    spread: np.ndarray
    encoding: Encoding
    columns: int = Geometry.columns

    def sample(self, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Weights (outputs, ...) as one array would hold them, of their shape, float64.

        They are quantised as the compiler does it, a scale for each output, and each of their
        cells is somewhere about its level.
        """
        flat = weight.reshape(len(weight), -1)
        encoding = self.encoding
        integers, scale = quantise_weight(flat, encoding.top)
        held = np.zeros(flat.shape)
        for number, digits in enumerate(encoding.digits(integers)):
            high, low = encoding.sides(digits, number)
            added = self._cells(high, rng)
            if encoding.single:  # one cell for each input of the outputs on a tile
                tile = np.arange(len(flat)) // encoding.outputs(self.columns)
                low = np.broadcast_to(low, (tile[-1] + 1, flat.shape[1]))
                subtracted = self._cells(low, rng)[tile]
            else:
                subtracted = self._cells(low, rng)
            held += (added - subtracted) * encoding.unit(number)
        return (held * scale[:, np.newaxis]).reshape(weight.shape)

    def _cells(self, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.mean[levels] + self.spread[levels] * rng.standard_normal(levels.shape)


def weight_noise(device: str, options: Options | None = None, layer: str = "") -> WeightNoise:
    """How a device's levels scatter, learnt from an array that is written as a network's is.

    Noise of reads is not in it: it is another one in each conversion. Nor is resistance of lines.

    Parameters
    ----------
    device:
        Name in the catalogue or file, as for ``ohmloom compile``.
    options:
        Slices, scheme, seed, and whether cells are verified are taken from it.
    layer:
        Whose slices and scheme these are, if it has its own.
    """
    options, entry = options or Options(), load(device)
    levels = len(entry.level_codes)
    encoding, plain = options.encodings(levels, [layer])[0], Encoding(levels)
    top = levels - 1
    # Each output has every weight, so that its scale is 1 and the weights are the levels.
    outputs = -(-CELLS * (2 * top + 1) // _INPUTS)
    weight = np.resize(np.arange(-top, top + 1), (outputs, max(_INPUTS, 2 * top + 1)))
    inputs = weight.shape[1]
    block = Block.of(
        Patches.rows(np.arange(inputs)[np.newaxis]),
        weight.astype(np.float64),
        np.zeros(outputs),
        np.array([inputs]),
    )
    matrix = Matrix(name="levels", first=inputs, blocks=(block,))
    network = finished("x", (1, inputs), [matrix], matrix.made[np.newaxis])
    source = calibrated(network, np.ones((1, inputs), np.float32))
    geometry = Geometry(tiles=4096, acc_width=64, param_depth=1 << 16, act_depth=1 << 16)
    single = options.model_copy(
        update={
            "slices": 1,
            "scheme": plain.scheme,
            "layers": {},
            "golden_samples": 0,
            "wire_ohms": 0.0,
        }
    )
    compiled = compile_network("levels", source, entry, geometry, single, Converters())
    array = build_engine(compiled).array
    steps = (array.g - entry.levels[0]) / (entry.level_step * entry.g_lsb)
    written, found = (
        np.concatenate([p.cells(of, plain).reshape(-1) for p in compiled.placements])
        for of in (compiled.levels, steps)
    )
    own = [found[written == level] for level in range(levels)]
    return WeightNoise(
        np.array([each.mean() for each in own]),
        np.array([each.std() for each in own]),
        encoding,
    )
