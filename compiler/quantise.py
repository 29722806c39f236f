"""Float network to integers, calibrated on samples.

Activations get one scale per tensor from the range that the float network shows
on the calibration samples. Weights are symmetric per output
channel on the device's own levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.isa import BIAS_BITS
from .errors import CalibrationError
from .graph import Dense, Network
from .samples import flat_samples
from .scales import Scale, fit

CHANNEL_RANGE_BITS = 16
"""Weights of a channel this far below the largest ones change no activation: they may round to 0,
so that their scale stays inside what a requantisation factor can express."""
BIAS_LIMIT = (1 << (BIAS_BITS - 1)) * (1 - 2.0**-20)
"""Largest bias in accumulator units, with room for the rounding of its scale to float32."""
OUTPUT_HEADROOM = 2.0
"""Scores of new samples may exceed those of the calibration; their words have bits to spare."""
Range = tuple[float, float]
"""Smallest and largest value of a tensor."""


@dataclass(frozen=True)
class QuantisedLayer:
    """A dense layer in integers: ``y ~ (weight @ drive) * input.scale * weight_scale + bias``.

    Attributes
    ----------
    weight:
        int32, shape (outputs, inputs), in ``-(levels - 1) .. levels - 1``.
    weight_scale:
        float32 values as float64, shape (outputs,).
    bias:
        float64, shape (outputs,), in units of the float model.
    input, output:
        Scales of the activations at both ends.
    """

    name: str
    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    relu: bool
    input: Scale
    output: Scale

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]

    @property
    def clamp(self) -> tuple[int, int]:
        """Bounds of the output's drive; ReLU is the lower one."""
        return (0 if self.relu else self.output.low), self.output.high


def quantise_weight(
    weight: np.ndarray, levels: int, least: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """``(integers, scales)`` of a float matrix (outputs, inputs), symmetric per output.

    A channel's scale is at least ``least`` and ``2**-CHANNEL_RANGE_BITS`` of the
    largest one; that of a matrix of zeros (or as good as) is 1.
    """
    top = levels - 1
    peak = np.abs(weight).max(axis=1)
    floor = peak.max() / (1 << CHANNEL_RANGE_BITS)
    if floor < np.finfo(np.float32).tiny * top:
        floor = float(top)
    scale = np.maximum(np.maximum(peak, floor) / top, least)
    scale = scale.astype(np.float32).astype(np.float64)
    integers = np.clip(np.rint(weight / scale[:, None]), -top, top).astype(np.int32)
    return integers, scale


def calibrate(network: Network, samples: np.ndarray) -> list[Range]:
    """Ranges of the input and of every layer's output on samples (n, *sample shape).

    Raises
    ------
    CalibrationError
        If the samples do not fit the network or drive a layer out of float32.
    """
    x = flat_samples(samples, network.input_shape, "calibration samples", CalibrationError)
    tensors = {f"input '{network.input_name}'": x.astype(np.float64)}
    for layer in network.layers:
        tensors[f"layer '{layer.name}'"] = layer.forward(list(tensors.values())[-1])
    ranges = []
    for name, tensor in tensors.items():
        low, high = float(tensor.min()), float(tensor.max())
        if max(-low, high) > float(np.finfo(np.float32).max):
            raise CalibrationError(f"calibration samples drive {name} to {low:.3g} .. {high:.3g}")
        ranges.append((low, high))
    return ranges


def quantise(
    network: Network,
    ranges: Sequence[Range],
    levels: int,
    codes_per_weight: float,
    act_bits: int,
    word_bits: int,
) -> tuple[QuantisedLayer, ...]:
    """Quantise a network with the ranges of :func:`calibrate`.

    ``codes_per_weight`` is the accumulator's unit, in which biases must fit
    their word: a channel whose bias is huge against its weights gets a coarser
    weight scale.

    Hidden activations have ``act_bits``; the last layer keeps ``word_bits``, so
    that its scores are as fine as the controller's words allow, over
    ``OUTPUT_HEADROOM`` times its range.
    """
    layers = network.layers
    ranges = [*ranges[:-1], (ranges[-1][0] * OUTPUT_HEADROOM, ranges[-1][1] * OUTPUT_HEADROOM)]
    bits = [act_bits] * len(layers) + [word_bits]
    scales = [
        fit(low, high, width, word_bits) for (low, high), width in zip(ranges, bits, strict=True)
    ]
    return tuple(
        _layer(layer, levels, codes_per_weight, *ends)
        for layer, ends in zip(layers, zip(scales, scales[1:], strict=False), strict=True)
    )


def _layer(
    layer: Dense, levels: int, codes_per_weight: float, source: Scale, result: Scale
) -> QuantisedLayer:
    least = np.abs(layer.bias) * codes_per_weight / (source.scale * BIAS_LIMIT)
    weight, weight_scale = quantise_weight(layer.weight, levels, least)
    return QuantisedLayer(layer.name, weight, weight_scale, layer.bias, layer.relu, source, result)
