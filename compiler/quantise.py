"""Float network to integers, calibrated on samples.

Activations get one scale per tensor, or for those that have to share one, from the range
that the float network shows on the calibration samples. Weights are symmetric per output
channel on the device's own levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..hw.isa import BIAS_BITS
from .encoding import Encoding
from .errors import CalibrationError, TargetError
from .graph import Network
from .layers import Host, Largest, Matrix
from .options import MAX_SLICES, LayerOptions
from .pins import check_words
from .samples import flat_samples
from .scales import WHOLE, Scale, fit, product_step, whole

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
    own:
        Whether weights and scales are a quantised model's own, but for powers of two.
    """

    layer: int
    block: int
    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    input: Scale
    output: Scale
    own: bool = False

    @property
    def unit(self) -> np.ndarray:
        """What 1 of ``weight @ drive`` is, float64 of shape (outputs,).

        In float32 where scales are a quantised model's own, as such models are executed.
        """
        if self.own:
            return np.array([product_step(self.input.scale, s) for s in self.weight_scale])
        return self.input.scale * self.weight_scale

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]


def quantise_weight(
    weight: np.ndarray,
    top: int,
    least: np.ndarray | float = 0.0,
    largest: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """``(integers, scales)`` of a float matrix (outputs, inputs), symmetric per output.

    Integers are -top to top, in the smallest type that holds them.

    A channel's scale is at least ``least`` and ``2**-CHANNEL_RANGE_BITS`` of that of
    ``largest``, the largest weight of its layer, or else of the matrix; where that is 0
    (or as good as), the scale is 1.
    """
    # A part at a time: in float64 a large matrix takes much more than what is made of it.
    step = max(_PART // weight.shape[1], 1)
    parts = [slice(first, first + step) for first in range(0, len(weight), step)]
    peak = np.concatenate([np.abs(weight[part]).max(axis=1) for part in parts]).astype(np.float64)
    floor = (peak.max() if largest is None else largest) / (1 << CHANNEL_RANGE_BITS)
    if floor < np.finfo(np.float32).tiny * top:
        floor = float(top)
    scale = np.maximum(np.maximum(peak, floor) / top, least)
    scale = scale.astype(np.float32).astype(np.float64)
    integers = np.empty(weight.shape, np.min_scalar_type(-top - 1))
    for part in parts:
        integers[part] = np.clip(np.rint(weight[part] / scale[part, None]), -top, top)
    return integers, scale


def widened(
    integers: np.ndarray, scale: np.ndarray, top: int, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Integers of a quantised model (outputs, inputs) over more of the levels, and their scales.

    Each output's times the largest power of two for which they are not above ``top`` and its
    scale not below ``least``: all products are exactly what they were.
    """
    peak = np.maximum(np.abs(integers).max(axis=1), 1)
    room = np.minimum(top / peak, scale / np.maximum(least, np.finfo(np.float64).tiny))
    factor = 2.0 ** np.floor(np.log2(np.maximum(room, 1)))
    return (integers * factor[:, np.newaxis]).astype(np.int32), scale / factor


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
    network: Network,
    ranges: Sequence[Range],
    act_bits: int,
    word_bits: int,
    own: Mapping[str, LayerOptions] | None = None,
) -> tuple[Scale, ...]:
    """Scales of the input and of every layer's values, with the ranges of :func:`calibrate`.

    Those that have to be alike cover the ranges of all of them. Hidden activations have
    ``act_bits``; what no layer reads, or the host alone, keeps ``word_bits``, so that scores
    are as fine as the controller's words allow, over ``OUTPUT_HEADROOM`` times their range.
    Places of largest values are whole numbers. What a quantised model says of a tensor is
    taken as it is.

    Parameters
    ----------
    own:
        By the name of a layer or of the input, the bits of its values; of those that have to
        be alike the most.

    Raises
    ------
    TargetError
        If a quantised model's integers do not fit the words, or a layer with bits of its own
        has none to choose.
    """
    check_words(network, ranges, word_bits)
    group = network.same_scale()
    names = [network.input_name, *(layer.name for layer in network.layers)]
    asked = {name: each.act_bits for name, each in (own or {}).items() if each.act_bits}
    chosen: dict[int, Scale] = {}
    for first in sorted(set(group)):
        members = [number for number, root in enumerate(group) if root == first]
        fixed = False
        low = min(ranges[number][0] for number in members)
        high = max(ranges[number][1] for number in members)
        # All of a group have the same, or none (pins.py).
        pin = network.pins[first]
        wanted = {names[n]: asked[names[n]] for n in members if names[n] in asked}
        if max(wanted.values(), default=0) > word_bits:
            raise TargetError(
                f"{max(wanted.values())}-bit activations do not fit the target's "
                f"{word_bits}-bit words"
            )
        if pin == WHOLE or any(isinstance(_maker(network, n), Largest) for n in members):
            chosen[first], fixed = whole(word_bits), True
        elif pin is not None:
            chosen[first], fixed = pin, True
        elif wanted:
            chosen[first] = fit(low, high, max(wanted.values()), word_bits)
        elif any(_is_driven(network, number) for number in members):
            chosen[first] = fit(low, high, act_bits, word_bits)
        else:
            chosen[first] = fit(low * OUTPUT_HEADROOM, high * OUTPUT_HEADROOM, word_bits, word_bits)
        if fixed and wanted:
            raise TargetError(f"layer '{next(iter(wanted))}' has a scale of its own, no bits")
    return tuple(chosen[root] for root in group)


def _is_driven(network: Network, tensor: int) -> bool:
    """Whether anything but the host reads a tensor."""
    return not all(isinstance(network.layers[n], Host) for n in network.readers[tensor])


def _maker(network: Network, tensor: int) -> object:
    return network.layers[tensor - 1] if tensor else None


def quantise(
    network: Network,
    scales: Sequence[Scale],
    encodings: Mapping[int, Encoding],
    codes_per_weight: float,
) -> tuple[QuantisedBlock, ...]:
    """Quantise the matrices of a network, block after block in its order.

    ``encodings`` say how weights lie in cells, by layer. ``codes_per_weight`` is the
    accumulator's unit, the finest that there may be, in which biases must fit their word: a
    channel whose bias is huge against its weights gets a coarser weight scale. Layers of one
    step that is repeated have the same integers.
    """
    blocks = [
        (number, which, block, scales[network.tensor_of(block.source.largest)])
        for number, layer in enumerate(network.layers)
        if isinstance(layer, Matrix)
        for which, block in enumerate(layer.blocks)
    ]
    holders = network.holders
    least: dict[tuple[int, int], np.ndarray] = {}
    largest: dict[int, float] = {}
    for number, which, block, source in blocks:
        own = np.abs(block.bias) * codes_per_weight / (source.scale * BIAS_LIMIT)
        if block.scale is not None and (own > block.scale).any():
            largest = np.abs(block.bias).max()
            raise TargetError(
                f"layer '{network.layers[number].name}' has a bias of {largest:.3g}, too large "
                f"for {BIAS_BITS} bits in steps of the model's own scales"
            )
        held = (holders[number], which)
        least[held] = np.maximum(least[held], own) if held in least else own
        peak = max(float(block.weight.max()), -float(block.weight.min()))
        largest[number] = max(largest.get(number, 0.0), peak)
    made = []
    for number, which, block, source in blocks:
        least_here, top = least[holders[number], which], encodings[number].top
        if block.scale is not None:
            weight, weight_scale = widened(block.integers, block.scale, top, least_here)
        else:
            weight, weight_scale = quantise_weight(block.weight, top, least_here, largest[number])
        made.append(
            QuantisedBlock(
                number,
                which,
                weight,
                weight_scale,
                block.bias,
                source,
                scales[number + 1],
                block.scale is not None,
            )
        )
    return tuple(made)


def slices_needed(network: Network, encodings: Mapping[int, Encoding]) -> dict[int, int]:
    """The fewest slices with which each layer that has matrices holds its weights.

    With these its scheme has weights at all, and those of a quantised model's integers.

    Raises
    ------
    TargetError
        Naming the layer for which there are not enough.
    """
    needed = {}
    for number, layer in enumerate(network.layers):
        if not isinstance(layer, Matrix):
            continue
        known = [np.abs(b.integers).max() for b in layer.blocks if b.scale is not None]
        peak = int(max(known, default=1))
        most = [replace(encodings[number], slices=n) for n in range(1, MAX_SLICES + 1)]
        enough = [each.slices for each in most if each.top >= max(peak, 1)]
        if not enough:
            raise TargetError(
                f"layer '{layer.name}' has integer weights of up to {peak}, {MAX_SLICES} "
                f"slices of {most[-1].levels} levels hold {most[-1].top}"
            )
        needed[number] = enough[0]
    return needed


def check_weights(network: Network, encodings: Mapping[int, Encoding]) -> None:
    """Refuse weights that the slices do not hold.

    Raises
    ------
    TargetError
        With the number of slices that they need.
    """
    needed = slices_needed(network, encodings)
    lacking = [number for number in needed if needed[number] > encodings[number].slices]
    if lacking:
        number = max(lacking, key=lambda number: needed[number])
        raise TargetError(
            f"layer '{network.layers[number].name}': {encodings[number].scheme} integer weights "
            f"need {needed[number]} slices of {encodings[number].levels} levels, there are "
            f"{encodings[number].slices}"
        )
