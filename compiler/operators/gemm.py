"""Gemm: ``alpha * A' @ B' + beta * C`` with a constant B (and C) is one dense layer."""

from __future__ import annotations

import numpy as np

from ..graph import Dense
from ..lowering import Activation, Handler, Node, Unsupported


def lower(node: Node) -> None:
    """Append the layer; ``transA`` would mix the samples of a batch and is not lowered."""
    if node.attribute("transA", 0):
        raise Unsupported("transA = 1 transposes the batch, transA = 0 is accepted")
    features = node.features(0)
    matrix = node.weights(1)
    matrix = matrix if node.attribute("transB", 0) else matrix.T
    if matrix.shape[1] != features:
        raise Unsupported(f"weight takes {matrix.shape[1]} inputs, the activation has {features}")
    weight = node.attribute("alpha", 1.0) * matrix
    outputs = weight.shape[0]
    node.chain.append(Dense(node.name, weight, np.zeros(outputs), relu=False))
    if len(node.inputs) > 2:
        node.add_bias(node.attribute("beta", 1.0) * node.constant(2).astype(np.float64))
    node.emit(Activation((outputs,)))


HANDLER = Handler("Gemm", lower)
