"""ArgMax and ArgMin along an axis."""

from __future__ import annotations

import numpy as np

from ..lowering import Handler, Node, Unsupported


def lower(node: Node) -> None:
    """The place of the largest value; the smallest is the largest of the negated ones."""
    values = node.builder.solid(f"{node.name}/pad", node.activation().values)
    axis = node.attribute("axis", 0)
    if not -values.ndim <= axis < values.ndim:
        raise Unsupported(f"axis = {axis} of a tensor of {values.ndim}")
    if node.operator == "ArgMin":
        values = node.builder.weighted_sum(f"{node.name}/-", [values], [-1.0])
    moved = np.moveaxis(values, axis, -1)
    last = bool(node.attribute("select_last_index", 0))
    found = node.builder.largest(node.name, moved.reshape(-1, moved.shape[-1]), last=last)
    found = found.reshape(moved.shape[:-1])
    node.emit(np.expand_dims(found, axis) if node.attribute("keepdims", 1) else found)


HANDLERS = (Handler(("ArgMax", "ArgMin"), lower),)
