"""MaxPool, AveragePool and the global ones, and maxima and means along axes."""

from __future__ import annotations

from math import prod

import numpy as np

from ..lowering import ZERO, Handler, Node, Unsupported, Values
from ..windows import Windows, gather, numbers

PADDING = -2
"""A place that counts as one of the window's though no value is there."""


def lower_max(node: Node) -> None:
    """Padding is never the largest."""
    if len(node.proto.output) > 1 and node.builder.consumers.get(node.proto.output[1]):
        raise Unsupported("its second output, the places of the maxima, is used")
    values = _values(node)
    windows = _windows(node, values)
    found, shape = _slide(windows, windows.padded(values))
    made = node.builder.maximum(node.name, _used(found))
    node.emit(_channels_first(made, shape), coding=node.activation().coding)


def lower_average(node: Node) -> None:
    """With ``count_include_pad`` padding counts, but not what ``ceil_mode`` adds."""
    values = _values(node)
    windows = _windows(node, values)
    fill = PADDING if node.attribute("count_include_pad", 0) else ZERO
    inner = windows.padded(values, fill, extra=False)
    after = [(0, 0), (0, 0), *((0, extra) for extra in windows.extra)]
    found, shape = _slide(windows, np.pad(inner, after, constant_values=ZERO))
    divisor = (found != ZERO).sum(axis=1).astype(np.float64)
    made = node.builder.mean(node.name, _used(np.maximum(found, ZERO)), divisor)
    node.emit(_channels_first(made, shape))


def lower_global(node: Node) -> None:
    """One window over all of a channel."""
    values = _values(node)
    found = values.reshape(values.shape[0] * values.shape[1], -1)
    if node.operator == "GlobalMaxPool":
        made = node.builder.maximum(node.name, found)
    else:
        made = node.builder.mean(node.name, found, np.full(len(found), float(found.shape[1])))
    node.emit(made.reshape(*values.shape[:2], *(1,) * (values.ndim - 2)))


def lower_reduce(node: Node) -> None:
    """ReduceMax, ReduceMin, ReduceMean and ReduceSum over axes, attribute or input."""
    values = node.builder.solid(f"{node.name}/pad", node.activation().values)
    default = node.attribute("axes", [])
    axes = [int(axis) for axis in np.asarray(node.constant(1, default)).reshape(-1)]
    if any(not -values.ndim <= axis < values.ndim for axis in axes):
        raise Unsupported(f"axes {axes} of a tensor of {values.ndim}")
    chosen = sorted({axis % values.ndim for axis in axes})
    if not chosen:
        if node.attribute("noop_with_empty_axes", 0):
            node.emit(values, of=[node.activation()])
            return
        chosen = list(range(values.ndim))
    kept = [axis for axis in range(values.ndim) if axis not in chosen]
    moved = values.transpose(*kept, *chosen)
    found = moved.reshape(prod(values.shape[axis] for axis in kept), -1)
    if node.operator == "ReduceMin":  # the largest of the negated ones, negated
        below = node.builder.weighted_sum(f"{node.name}/-", [found], [-1.0])
        made = node.builder.maximum(f"{node.name}/largest", below)
        made = node.builder.weighted_sum(node.name, [made], [-1.0])
    elif node.operator == "ReduceMax":
        made = node.builder.maximum(node.name, found)
    else:
        divisor = found.shape[1] if node.operator == "ReduceMean" else 1
        made = node.builder.mean(node.name, found, np.full(len(found), float(divisor)))
    keeps = node.attribute("keepdims", 1)
    shape = [1 if axis in chosen else size for axis, size in enumerate(values.shape)]
    node.emit(made.reshape(shape if keeps else [values.shape[axis] for axis in kept]))


def _values(node: Node) -> Values:
    """Values (N, C, *spatial), none of them only 0."""
    values = node.activation().values
    if values.ndim < 3:
        raise Unsupported(f"values of shape {values.shape} have no spatial axis")
    return node.builder.solid(f"{node.name}/pad", values)


def _windows(node: Node, values: Values) -> Windows:
    rank = values.ndim - 2
    kernel = numbers(node, "kernel_shape", rank, 0)
    if not any(kernel):
        raise Unsupported("kernel_shape is missing")
    return Windows.of(node, values.shape[2:], kernel)


def _slide(windows: Windows, padded: Values) -> tuple[Values, tuple[int, ...]]:
    """Windows (N * positions * C, values), channels last, and their shape (N, *positions, C)."""
    reads = windows.places(padded.shape[2:])
    rank = len(reads)
    found = np.moveaxis(gather(np.moveaxis(padded, 1, -1), reads), -1, 1 + rank)
    shape = found.shape[: 2 + rank]
    return found.reshape(prod(shape), -1), shape


def _used(found: Values) -> Values:
    """Windows without the places that are empty in all of them."""
    return found[:, (found >= 0).any(axis=0)]


def _channels_first(made: Values, shape: tuple[int, ...]) -> Values:
    return np.moveaxis(made.reshape(shape), -1, 1)


HANDLERS = (
    Handler(("MaxPool",), lower_max, integers=True),
    Handler(("AveragePool",), lower_average),
    Handler(("GlobalMaxPool", "GlobalAveragePool"), lower_global),
    Handler(("ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum"), lower_reduce),
)
