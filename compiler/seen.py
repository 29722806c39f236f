"""What the matrices of a network see on calibration samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from .graph import Network
from .layers import Block, Matrix

DRAWS = 64
"""Positions at which the inputs of a matrix are looked at."""
Which = tuple[int, int]
"""A matrix: its layer, and which of the layer's it is."""


@dataclass(frozen=True)
class Seen:
    """Inputs of every matrix.

    Attributes
    ----------
    draws:
        At positions drawn evenly from all samples, shape (draws, inputs).
    means:
        Over samples and positions, shape (inputs,); none unless they were asked for.
    """

    draws: Mapping[Which, np.ndarray]
    means: Mapping[Which, np.ndarray]


def look(network: Network, x: np.ndarray, *, means: bool) -> Seen:
    """Run float samples (n, inputs)."""
    draws: dict[Which, np.ndarray] = {}
    meant: dict[Which, np.ndarray] = {}
    for number, memory, _ in network.steps(x):
        layer = network.layers[number]
        if isinstance(layer, Matrix):
            for which, block in enumerate(layer.blocks):
                draws[number, which] = _draws(memory, block)
                if means:
                    meant[number, which] = _mean(memory, block)
    return Seen(draws, meant)


def _draws(memory: np.ndarray, block: Block) -> np.ndarray:
    total = len(memory) * block.positions
    places = np.unique(np.linspace(0, total - 1, DRAWS).astype(int))
    sample, position = np.divmod(places, block.positions)
    return memory[sample[:, np.newaxis], block.source.at(position)]


def _mean(memory: np.ndarray, block: Block) -> np.ndarray:
    mean = memory[:, np.asarray(block.source.values)].mean(axis=0)
    seen = replace(block.source, values=mean)
    return np.sum([seen.at(part).sum(axis=0) for part in seen.parts()], axis=0) / block.positions
