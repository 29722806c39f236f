"""Add of a constant, on either side, to the sum of a layer is its bias."""

from __future__ import annotations

from ..lowering import Activation, Handler, Node, Unsupported


def lower(node: Node) -> None:
    """Fold the constant into the last layer's bias."""
    constant_first = not isinstance(node.inputs[0], Activation)
    shape = node.activation(int(constant_first)).shape
    constant = node.constant(int(not constant_first))
    if not node.chain.layers or node.chain.layers[-1].relu or len(shape) != 1:
        raise Unsupported("only a bias right after MatMul or Gemm is accepted")
    node.add_bias(constant)
    node.emit(Activation(shape))


HANDLER = Handler("Add", lower)
