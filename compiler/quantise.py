"""Float network to integers, calibrated on samples.

Activations get one scale per tensor, or for those that have to share one, from the range
that the float network shows on the calibration samples. Weights are symmetric per output
channel on the device's own levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.isa import BIAS_BITS
from .errors import CalibrationError
from .graph import Network
from .layers import Largest, Matrix
from .samples import flat_samples
from .scales import Scale, fit

CHANNEL_RANGE_BITS = 16
"""Weights of a channel this far below the largest ones change no activation: they may round to 0,
so that their scale stays inside what a requantisation factor can express."""
BIAS_LIMIT = (1 << (BIAS_BITS - 1)) * (1 - 2.0**-20)
"""Largest bias in accumulator units, with room for the rounding of its scale to float32."""
OUTPUT_HEADROOM = 2.0
"""Scores of new samples may exceed those of the calibration; their words have bits to spare."""
CALIBRATION_BLOCK, CALIBRATION_VALUES = 16, 1 << 23
"""Samples that are calibrated at once, and values of all of them: bounds memory, changes no
range."""
_PART = 1 << 20
"""Weights that are quantised at once: bounds memory, changes nothing."""
Range = tuple[float, float]
"""Smallest and largest value of a tensor."""


@dataclass(frozen=True)
class QuantisedBlock:
    """A matrix in integers: ``y ~ (weight @ drive) * input.scale * weight_scale + bias``.

    Attributes
    ----------
    layer, block:
        Which matrix of which layer it is, both counted from 0.
    weight:
        Signed integers, shape (outputs, inputs), from minus to plus the largest that its
        slices make.
    weight_scale:
        float32 values as float64, shape (outputs,).
    bias:
        float64, shape (outputs,), in units of the float model.
    input, output:
        Scales of the activations at both ends.
    """

    layer: int
    block: int
    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    input: Scale
    output: Scale

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]


def quantise_weight(
    weight: np.ndarray, top: int, least: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """``(integers, scales)`` of a float matrix (outputs, inputs), symmetric per output.

    Integers are -top to top, in the smallest type that holds them.

    A channel's scale is at least ``least`` and ``2**-CHANNEL_RANGE_BITS`` of the
    largest one; that of a matrix of zeros (or as good as) is 1.
    """
    # A part at a time: in float64 a large matrix takes much more than what is made of it.
    step = max(_PART // weight.shape[1], 1)
    parts = [slice(first, first + step) for first in range(0, len(weight), step)]
    peak = np.concatenate([np.abs(weight[part]).max(axis=1) for part in parts]).astype(np.float64)
    floor = peak.max() / (1 << CHANNEL_RANGE_BITS)
    if floor < np.finfo(np.float32).tiny * top:
        floor = float(top)
    scale = np.maximum(np.maximum(peak, floor) / top, least)
    scale = scale.astype(np.float32).astype(np.float64)
    integers = np.empty(weight.shape, np.min_scalar_type(-top - 1))
    for part in parts:
        integers[part] = np.clip(np.rint(weight[part] / scale[part, None]), -top, top)
    return integers, scale


def calibrate(network: Network, samples: np.ndarray) -> list[Range]:
    """Ranges of the input and of every layer's values on samples (n, *sample shape).

    Raises
    ------
    CalibrationError
        If the samples do not fit the network or drive a layer out of float32.
    """
    x = flat_samples(samples, network.input_shape, "calibration samples", CalibrationError)
    names = [f"input '{network.input_name}'", *(f"layer '{n.name}'" for n in network.layers)]
    ranges: list[Range] = [(0.0, 0.0)] * len(names)
    step = max(1, min(CALIBRATION_BLOCK, CALIBRATION_VALUES // network.values))
    for begin in range(0, len(x), step):
        tensors = network.run(x[begin : begin + step].astype(network.precision))
        for number, tensor in enumerate(tensors):
            low, high = float(tensor.min()), float(tensor.max())
            if not max(-low, high) <= float(np.finfo(np.float32).max):
                raise CalibrationError(
                    f"calibration samples drive {names[number]} to {low:.3g} .. {high:.3g}"
                )
            before = ranges[number] if begin else (low, high)
            ranges[number] = (min(before[0], low), max(before[1], high))
    return ranges


def choose_scales(
    network: Network, ranges: Sequence[Range], act_bits: int, word_bits: int
) -> tuple[Scale, ...]:
    """Scales of the input and of every layer's values, with the ranges of :func:`calibrate`.

    Those that have to be alike cover the ranges of all of them. Hidden activations have
    ``act_bits``; what no layer reads keeps ``word_bits``, so that scores are as fine as
    the controller's words allow, over ``OUTPUT_HEADROOM`` times their range. Places of
    largest values are whole numbers.
    """
    group = network.same_scale()
    chosen: dict[int, Scale] = {}
    for first in sorted(set(group)):
        members = [number for number, root in enumerate(group) if root == first]
        low = min(ranges[number][0] for number in members)
        high = max(ranges[number][1] for number in members)
        if any(isinstance(_maker(network, number), Largest) for number in members):
            chosen[first] = Scale(1.0, 1 << word_bits - 1, word_bits)
        elif any(network.readers[number] for number in members):
            chosen[first] = fit(low, high, act_bits, word_bits)
        else:
            chosen[first] = fit(low * OUTPUT_HEADROOM, high * OUTPUT_HEADROOM, word_bits, word_bits)
    return tuple(chosen[root] for root in group)


def _maker(network: Network, tensor: int) -> object:
    return network.layers[tensor - 1] if tensor else None


def quantise(
    network: Network, scales: Sequence[Scale], top: int, codes_per_weight: float
) -> tuple[QuantisedBlock, ...]:
    """Quantise the matrices of a network, block after block in its order.

    ``top`` is the largest integer weight. ``codes_per_weight`` is the accumulator's unit,
    the finest that there may be, in which biases must fit their word: a channel whose bias
    is huge against its weights gets a coarser weight scale. Layers of one step that is
    repeated have the same integers.
    """
    blocks = [
        (number, which, block, scales[network.tensor_of(block.source.largest)])
        for number, layer in enumerate(network.layers)
        if isinstance(layer, Matrix)
        for which, block in enumerate(layer.blocks)
    ]
    holders = network.holders
    least: dict[tuple[int, int], np.ndarray] = {}
    for number, which, block, source in blocks:
        own = np.abs(block.bias) * codes_per_weight / (source.scale * BIAS_LIMIT)
        held = (holders[number], which)
        least[held] = np.maximum(least[held], own) if held in least else own
    made = []
    for number, which, block, source in blocks:
        weight, weight_scale = quantise_weight(block.weight, top, least[holders[number], which])
        made.append(
            QuantisedBlock(
                number, which, weight, weight_scale, block.bias, source, scales[number + 1]
            )
        )
    return tuple(made)
