"""Relu and Clip: bounds, which the layer before has for nothing where it has them at all."""

from __future__ import annotations

from math import inf

import numpy as np

from ..lowering import Handler, Node, Unsupported


def lower_relu(node: Node) -> None:
    """Not below 0."""
    node.emit(node.builder.clipped(node.name, node.activation(), 0.0, inf))


def lower_clip(node: Node) -> None:
    """Bounds are attributes, or inputs from operator set 11 on; 0 has to lie between them."""
    low = float(node.constant(1, node.attribute("min", -inf)))
    high = float(node.constant(2, node.attribute("max", inf)))
    if np.isnan([low, high]).any():
        raise Unsupported(f"bounds {low:g} and {high:g} are no numbers")
    # ONNX: where the bounds are the wrong way round, all values are the upper one.
    node.emit(node.builder.clipped(node.name, node.activation(), min(low, high), high))


HANDLERS = (Handler(("Relu",), lower_relu), Handler(("Clip",), lower_clip))
