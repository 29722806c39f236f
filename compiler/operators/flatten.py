"""Flatten changes no integer: activations are stored row-major and flat."""

from __future__ import annotations

from math import prod

from ..lowering import Activation, Handler, Node, Unsupported


def lower(node: Node) -> None:
    """Flatten everything but the batch."""
    shape = node.activation(0).shape
    axis = node.attribute("axis", 1)
    if axis not in (1, -len(shape)):
        raise Unsupported(f"axis = {axis} mixes the samples of a batch, axis = 1 is accepted")
    node.emit(Activation((prod(shape),)))


HANDLER = Handler("Flatten", lower)
