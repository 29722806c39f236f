"""Biases that make up for what weights on cells change in the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .graph import Network
from .layers import Matrix
from .quantise import QuantisedBlock
from .seen import Seen


def corrected(
    network: Network,
    blocks: Sequence[QuantisedBlock],
    weights: Mapping[tuple[int, int], np.ndarray],
    seen: Seen,
) -> tuple[QuantisedBlock, ...]:
    """The same matrices, each output's bias corrected.

    With weights that are off by ``E`` an output is off by ``E @ x``; its mean over samples
    and positions is taken from the bias.

    Parameters
    ----------
    weights:
        Integer weights as the cells hold them (:class:`~ohmloom.compiler.cells.Cells`).
    seen:
        On calibration samples, with means.
    """
    made = []
    for block in blocks:
        layer = network.layers[block.layer]
        assert isinstance(layer, Matrix)
        own = layer.blocks[block.block]
        held = weights[network.holders[block.layer], block.block]
        off = held * block.weight_scale[:, np.newaxis] - own.weight
        mean = seen.means[block.layer, block.block]
        made.append(replace(block, bias=block.bias - off @ mean))
    return tuple(made)
