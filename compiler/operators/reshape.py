"""Reshape that keeps the batch changes no integer."""

from __future__ import annotations

from math import prod

from ..lowering import Activation, Handler, Node, Unsupported


def lower(node: Node) -> None:
    """Give each sample its new shape."""
    shape = node.activation(0).shape
    target = [int(size) for size in node.constant(1).reshape(-1)]
    if node.attribute("allowzero", 0) and 0 in target:
        raise Unsupported("allowzero = 1 makes an empty tensor")
    sizes = [
        shape[i - 1] if size == 0 and 0 < i <= len(shape) else size for i, size in enumerate(target)
    ]
    values = prod(shape)
    if sizes.count(-1) == 1 and -1 in sizes[1:]:
        known = -prod(sizes[1:])
        sizes = [values // known if size == -1 and known > 0 else size for size in sizes]
    keeps_batch = bool(sizes) and sizes[0] in {-1, 0, node.chain.batch}
    if not keeps_batch or min(sizes[1:], default=0) < 1 or prod(sizes[1:]) != values:
        raise Unsupported(
            f"shape {target} does not keep the batch and the {values} values of a sample"
        )
    node.emit(Activation(tuple(sizes[1:])))


HANDLER = Handler("Reshape", lower)
