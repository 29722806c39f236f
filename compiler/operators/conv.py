"""Conv and ConvTranspose of any number of spatial axes, as matrices at every position."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from ..layers import Patches, compact
from ..lowering import Handler, Node, Unsupported, Values, scale_of_outputs
from ..windows import MAX_WINDOW_VALUES, Windows, numbers

Part = tuple[list[np.ndarray], list[np.ndarray], np.ndarray]
"""For each spatial axis the places that are read, (positions, taps), and the positions of
the output that are made; the matrices (outputs, channels, *taps)."""


def lower(node: Node) -> None:
    """Conv."""
    bias = node.weights(2) if node.has(2) else None
    values, weight = node.activation().values, node.matrix(1)
    node.emit(convolution(node, values, weight, bias, node.scale(1)))


def convolution(
    node: Node,
    values: Values,
    weight: np.ndarray,
    bias: np.ndarray | None,
    scale: np.ndarray | None,
) -> Values:
    """Values of a Conv: at every position one matrix for each group.

    Parameters
    ----------
    weight, bias:
        float64; the bias may be missing.
    scale:
        Of each weight of a quantised model, of their shape.
    """
    groups = _groups(node, values, weight)
    channels, kernel = values.shape[1], weight.shape[2:]
    if weight.shape[1] * groups != channels or weight.shape[0] % groups:
        raise Unsupported(
            f"weight of shape {weight.shape} in {groups} groups is not for {channels} channels"
        )
    if numbers(node, "kernel_shape", len(kernel), 0) not in (kernel, (0,) * len(kernel)):
        raise Unsupported(f"kernel_shape is not that of the weight, {kernel}")
    windows = Windows.of(node, values.shape[2:], kernel)
    padded = windows.padded(values)
    reads = windows.places(padded.shape[2:])
    shape = tuple(len(places) for places in reads)
    part = (reads, [np.arange(size) for size in shape], weight)
    return _convolve(node, padded, [part], shape, groups, bias, scale_of_outputs(scale))


def lower_transposed(node: Node) -> None:
    """Each phase of the strides is a Conv with the taps that fall on values there."""
    values, weight = node.activation().values, node.matrix(1)
    groups = _groups(node, values, weight)
    channels, kernel, spatial = values.shape[1], weight.shape[2:], values.shape[2:]
    if weight.shape[0] != channels or channels % groups:
        raise Unsupported(
            f"weight of shape {weight.shape} in {groups} groups is not for {channels} channels"
        )
    strides = numbers(node, "strides", len(kernel), 1)
    dilations = numbers(node, "dilations", len(kernel), 1)
    if min(*strides, *dilations) < 1:
        raise Unsupported(f"strides {strides} or dilations {dilations} below 1")
    shape, before = _transposed_shape(node, spatial, kernel, strides, dilations)
    if prod(shape) * prod(kernel) * channels > MAX_WINDOW_VALUES:
        raise Unsupported(f"its output of {shape} is too large")
    # (C, M / groups, ...) to (M, C / groups, ...): what every output takes.
    matrix = weight.reshape(groups, channels // groups, *weight.shape[1:])
    matrix = matrix.swapaxes(1, 2).reshape(-1, channels // groups, *kernel)

    # Output o takes the values at (o + before - tap * dilation) / stride, where that is whole.
    places, whole = [], []
    for size, kernel_size, stride, dilation, border in zip(
        shape, kernel, strides, dilations, before, strict=True
    ):
        place = np.arange(size)[:, np.newaxis] + border - np.arange(kernel_size) * dilation
        places.append(place // stride)
        whole.append(place % stride == 0)
    borders = [
        (max(-int(place[at].min(initial=0)), 0), max(int(place[at].max(initial=0)) - size + 1, 0))
        for place, at, size in zip(places, whole, spatial, strict=True)
    ]
    padded = np.pad(values, [(0, 0), (0, 0), *borders], constant_values=-1)
    parts: list[Part] = []
    for phase in product(*(range(min(pair)) for pair in zip(strides, shape, strict=True))):
        at = [np.arange(p, size, s) for p, size, s in zip(phase, shape, strides, strict=True)]
        taps = [np.flatnonzero(some[p]) for some, p in zip(whole, phase, strict=True)]
        reads = [
            place[np.ix_(here, tap)] + border
            for place, here, tap, (border, _) in zip(places, at, taps, borders, strict=True)
        ]
        part = matrix
        for axis, tap in enumerate(taps):
            part = part.take(tap, axis=2 + axis)
        if part.size:
            parts.append((reads, at, part))
    bias = node.weights(2) if node.has(2) else None
    scale = node.scale(1)
    if scale is not None:
        scale = scale.reshape(groups, channels // groups, *weight.shape[1:]).swapaxes(1, 2)
        scale = scale.reshape(matrix.shape)
    node.emit(_convolve(node, padded, parts, shape, groups, bias, scale_of_outputs(scale)))


def _groups(node: Node, values: Values, weight: np.ndarray) -> int:
    """Groups of values (N, C, *spatial) and a weight."""
    groups = node.attribute("group", 1)
    if values.ndim < 3 or weight.ndim != values.ndim:
        raise Unsupported(f"values of shape {values.shape} and weight of shape {weight.shape}")
    if groups < 1:
        raise Unsupported(f"group = {groups}")
    return groups


def _convolve(
    node: Node,
    padded: Values,
    parts: Sequence[Part],
    shape: tuple[int, ...],
    groups: int,
    bias: np.ndarray | None,
    scale: np.ndarray | None,
) -> Values:
    """Values (N, outputs, *shape) of padded ones (N, C, *spatial), channels last in memory."""
    axes = [0, *range(2, padded.ndim), 1]
    solid = node.builder.solid(f"{node.name}/pad", padded, axes).transpose(axes)
    if not _alike(solid):
        solid = node.builder.gathered(f"{node.name}/gather", node.proto.input[0], solid)
    samples, outputs = len(solid), len(parts[0][2])
    bias = np.zeros(outputs) if bias is None else bias
    if bias.shape != (outputs,):
        raise Unsupported(f"bias of shape {bias.shape} is not for {outputs} outputs")
    # What no part makes, because no tap falls on a value there, is the bias alone.
    there = np.zeros(shape, bool)
    for _, at, _ in parts:
        there[np.ix_(*at)] = True
    made = np.full((samples, *shape, outputs), -1, np.int64)
    made[:, there] = np.arange(made[:, there].size).reshape(samples, -1, outputs)
    channels, each = solid.shape[-1] // groups, outputs // groups
    of_group = [
        compact(solid[..., n * channels : (n + 1) * channels].reshape(-1)) for n in range(groups)
    ]
    jobs, scales = [], []
    for reads, at, matrix in parts:
        begin, offset = _windows(solid.shape[:-1], reads)
        target = made
        for axis, places in enumerate(at):
            target = target.take(places, axis=1 + axis)
        positions = target.size // outputs
        offset = np.add.outer(channels * offset, np.arange(channels)).reshape(-1)
        for group in range(groups):
            own = slice(group * each, (group + 1) * each)
            source = Patches(of_group[group], channels * begin, offset)
            weight = np.moveaxis(matrix[own], 1, -1).reshape(each, -1)
            scales.append(None if scale is None else scale[own])
            jobs.append((source, weight, bias[own], target[..., own].reshape(positions, each)))
    first = node.builder.matrices(node.name, jobs, scales)
    values = first + made
    if not there.all():
        values[:, ~there] = node.builder.constants(f"{node.name}/bias", bias)
    return np.moveaxis(values, -1, 1)


def _alike(values: Values) -> bool:
    """Whether the channels (..., C) lie in the same way at every place."""
    rows = values.reshape(-1, values.shape[-1])
    return bool((rows - rows[:, :1] == rows[0] - rows[0, 0]).all())


def _windows(shape: tuple[int, ...], reads: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Windows over places (N, *spatial): the first place of each, and those of one from there.

    ``reads`` has for each spatial axis the places of every window, (positions, taps), which
    are as far apart in each of them.
    """
    begin, offset = np.arange(shape[0]), np.zeros(1, np.int64)
    for size, read in zip(shape[1:], reads, strict=True):
        begin = np.add.outer(begin * size, read[:, 0]).reshape(-1)
        offset = np.add.outer(offset * size, read[0] - read[0, 0]).reshape(-1)
    return begin, offset


def _transposed_shape(
    node: Node,
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Spatial shape of a ConvTranspose, and the places that each axis loses at its begin."""
    rank = len(spatial)
    extra = numbers(node, "output_padding", rank, 0)
    full = [
        s * (size - 1) + e + (k - 1) * d + 1
        for s, size, e, k, d in zip(strides, spatial, extra, kernel, dilations, strict=True)
    ]
    auto = node.attribute("auto_pad", "NOTSET")
    wanted = numbers(node, "output_shape", rank, 0)
    if auto in ("SAME_UPPER", "SAME_LOWER") and not any(wanted):
        wanted = tuple(size * s for size, s in zip(spatial, strides, strict=True))
    if any(wanted):
        total = [have - want for have, want in zip(full, wanted, strict=True)]
        small = [n // 2 for n in total]
        large = [n - half for n, half in zip(total, small, strict=True)]
        before = small if auto == "SAME_UPPER" else large
        shape = wanted
    else:
        pads = numbers(node, "pads", 2 * rank, 0) if auto == "NOTSET" else (0,) * 2 * rank
        before = list(pads[:rank])
        ends = zip(full, pads[:rank], pads[rank:], strict=True)
        shape = tuple(size - begin - end for size, begin, end in ends)
    if min(shape) < 1:
        raise Unsupported(f"its output would have the shape {shape}")
    return tuple(shape), tuple(before)


HANDLERS = (
    Handler(("Conv",), lower, stays=False),
    Handler(("ConvTranspose",), lower_transposed, stays=False),
)
