"""MatMul of the activation with a constant matrix is one dense layer without bias."""

from __future__ import annotations

import numpy as np

from ..graph import Dense
from ..lowering import Activation, Handler, Node, Unsupported


def lower(node: Node) -> None:
    """Append the layer."""
    features = node.features(0)
    weight = node.weights(1).T
    if weight.shape[1] != features:
        raise Unsupported(f"weight takes {weight.shape[1]} inputs, the activation has {features}")
    outputs = weight.shape[0]
    node.chain.append(Dense(node.name, weight, np.zeros(outputs), relu=False))
    node.emit(Activation((outputs,)))


HANDLER = Handler("MatMul", lower)
