"""Relu after a layer is the lower bound of its requantisation."""

from __future__ import annotations

from ..lowering import Handler, Node, Unsupported


def lower(node: Node) -> None:
    """Mark the last layer."""
    activation = node.activation(0)
    if not node.chain.layers:
        raise Unsupported("only a ReLU after MatMul, Gemm or Add is accepted")
    node.chain.amend(relu=True)
    node.emit(activation)


HANDLER = Handler("Relu", lower)
