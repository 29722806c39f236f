"""Biases that make up for what weights on cells change in the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .graph import Network
from .layers import Matrix
from .quantise import QuantisedBlock


def corrected(
    network: Network,
    blocks: Sequence[QuantisedBlock],
    weights: Mapping[tuple[int, int], np.ndarray],
    memory: np.ndarray,
) -> tuple[QuantisedBlock, ...]:
    """The same matrices, each output's bias corrected.

    With weights that are off by ``E`` an output is off by ``E @ x``; its mean over samples
    and positions is taken from the bias.

    Parameters
    ----------
    weights:
        Integer weights as the cells hold them (:class:`~ohmloom.compiler.cells.Cells`).
    memory:
        Every value on calibration samples, of :meth:`Network.memory`.
    """
    mean = memory.mean(axis=0)
    made = []
    for block in blocks:
        layer = network.layers[block.layer]
        assert isinstance(layer, Matrix)
        own = layer.blocks[block.block]
        held = weights[network.holders[block.layer], block.block]
        off = held * block.weight_scale[:, np.newaxis] - own.weight
        parts = [mean[own.source.at(part)].sum(axis=0) for part in own.source.parts()]
        seen = np.sum(parts, axis=0) / own.positions
        made.append(replace(block, bias=block.bias - off @ seen))
    return tuple(made)
