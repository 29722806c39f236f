"""LRN: each value over a power of the squares of its neighbours among the channels."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..lowering import Handler, Node, Unsupported
from ..windows import gather


def lower(node: Node) -> None:
    """``x * (bias + alpha * mean)^-beta``, of squares ``mean`` over ``size`` channels."""
    size = int(node.attribute("size", 0))
    alpha, beta = float(node.attribute("alpha", 1e-4)), float(node.attribute("beta", 0.75))
    bias = float(node.attribute("bias", 1.0))
    values = node.builder.solid(f"{node.name}/pad", node.activation().values)
    if values.ndim < 2 or size < 1:
        raise Unsupported(f"values of shape {values.shape} and size = {size}")
    if bias <= 0 or alpha < 0:
        raise Unsupported(f"bias = {bias} and alpha = {alpha}: its power may be of 0")
    squares = node.builder.function(f"{node.name}/square", values, np.square)
    # Windows over the channels alone, of squares that are 0 outside.
    before, channels = (size - 1) // 2, values.shape[1]
    width = [(0, 0)] * values.ndim
    width[1] = (before, size - 1 - before)
    flat = np.moveaxis(np.pad(squares, width, constant_values=-1), 1, -1)
    places = np.arange(channels)[:, np.newaxis] + np.arange(size)
    found = gather(flat.reshape(-1, flat.shape[-1], 1), [places])[..., 0].reshape(-1, size)
    mean = node.builder.mean(f"{node.name}/mean", found, np.full(len(found), float(size)))
    share = node.builder.function(f"{node.name}/share", mean, partial(_share, alpha, beta, bias))
    shares = np.moveaxis(share.reshape(*flat.shape[:-1], channels), -1, 1)
    node.emit(node.builder.product(node.name, values, shares))


def _share(alpha: float, beta: float, bias: float, mean: np.ndarray) -> np.ndarray:
    return (bias + alpha * np.maximum(mean, 0.0)) ** -beta


HANDLERS = (Handler(("LRN",), lower),)
