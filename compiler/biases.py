"""Biases that are too fine for a matrix: a sum of its own adds them.

A bias is added in the accumulator's unit, in a word of 32 bits. Where activations and
weights are so fine that it would not fit, the weights would have to be coarser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from .encoding import Encoding
from .graph import Network
from .layers import Layer, Matrix, Renumbering, WeightedSum
from .quantise import BIAS_LIMIT
from .scales import Scale

ACCEPTED = 1.0
"""Steps of the output by which one weight at full drive may be off."""


def apart(
    network: Network,
    scales: Sequence[Scale],
    encodings: Mapping[int, Encoding],
    codes_per_weight: float,
) -> Network:
    """The same network, where no bias makes weights so coarse that it shows.

    Parameters
    ----------
    scales, codes_per_weight:
        As of :func:`~ohmloom.compiler.quantise.quantise`.
    encodings:
        How weights lie in cells, by layer.
    """
    holders = network.holders
    chosen = {
        holders[number]
        for number, layer in enumerate(network.layers)
        if isinstance(layer, Matrix)
        and _coarse(network, layer, scales, scales[number + 1], encodings[number], codes_per_weight)
    }
    if not chosen:
        return network
    # Readers of a matrix that was split read what the sum makes.
    old, new = [0], [0]
    following, layers = network.inputs, list[Layer]()
    for number, layer in enumerate(network.layers):
        made = following
        moved = layer.renumbered(Renumbering([*old, layer.first], [*new, made]))
        layers.append(moved)
        following += layer.count
        if isinstance(moved, Matrix) and holders[number] in chosen:
            layers[-1:] = _split(moved, following)
            made = following
            following += layer.count
        old.append(layer.first)
        new.append(made)
    return replace(network, layers=tuple(layers))


def _coarse(
    network: Network,
    layer: Matrix,
    scales: Sequence[Scale],
    result: Scale,
    encoding: Encoding,
    codes_per_weight: float,
) -> bool:
    """Whether a bias makes weights coarser, and by more than what is accepted.

    What a conversion is off counts as a weight of 1 of the most significant slice.
    """
    for block in layer.blocks:
        if block.scale is not None:
            continue
        source = scales[network.tensor_of(block.source.largest)]
        least = np.abs(block.bias) * codes_per_weight / (source.scale * BIAS_LIMIT)
        natural = np.abs(block.weight).max(axis=1) / encoding.top
        step = least * abs(encoding.unit(encoding.slices - 1))
        shown = step * source.scale * max(-source.low, source.high) / 2 / result.scale
        if ((least > natural) & (shown > ACCEPTED)).any():
            return True
    return False


def _split(layer: Matrix, first: int) -> tuple[Matrix, WeightedSum]:
    """A matrix without biases, and the sum that adds them, from a number on."""
    offset = np.empty(layer.count)
    for block in layer.blocks:
        offset[block.made() - layer.first] = block.bias
    blocks = tuple(replace(block, bias=np.zeros_like(block.bias)) for block in layer.blocks)
    added = WeightedSum(
        name=f"{layer.name}/bias",
        first=first,
        alike=layer.alike and f"{layer.alike}/bias",
        terms=layer.made[np.newaxis],
        factors=np.ones((1, layer.count)),
        offset=offset,
        low=layer.low,
        high=layer.high,
        pin=layer.pin,
    )
    return replace(layer, blocks=blocks, low=-inf, high=inf, pin=None), added
