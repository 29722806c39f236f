"""Functions of straight pieces: sums of bounded values, exact where a table would round."""

from __future__ import annotations

from math import inf

import numpy as np

from ..lowering import Handler, Node, Values


def lower_leaky(node: Node) -> None:
    """LeakyRelu and PRelu: ``x + (slope - 1) * min(x, 0)``."""
    values = node.activation().values
    if node.operator == "PRelu":
        slope = np.broadcast_to(node.weights(1), values.shape)
    else:
        slope = np.full(values.shape, float(node.attribute("alpha", 0.01)))
    below = _below(node, values)
    node.emit(node.builder.weighted_sum(node.name, [values, below], [1.0, slope - 1.0]))


def lower_hard_sigmoid(node: Node) -> None:
    """``alpha * x + beta`` between 0 and 1."""
    alpha, beta = node.attribute("alpha", 0.2), node.attribute("beta", 0.5)
    values = node.activation().values
    made = node.builder.weighted_sum(node.name, [values], [alpha], beta, low=0.0, high=1.0)
    node.emit(made)


def lower_thresholded(node: Node) -> None:
    """ThresholdedRelu: 0 up to alpha."""
    alpha = float(node.attribute("alpha", 1.0))
    node.emit(node.builder.threshold(node.name, node.activation().values, alpha))


def lower_absolute(node: Node) -> None:
    """``x - 2 * min(x, 0)``."""
    values = node.activation().values
    below = _below(node, values)
    node.emit(node.builder.weighted_sum(node.name, [values, below], [1.0, -2.0]))


def _below(node: Node, values: Values) -> Values:
    """Not above 0."""
    return node.builder.weighted_sum(f"{node.name}/below", [values], low=-inf, high=0.0)


HANDLERS = (
    Handler(("LeakyRelu", "PRelu"), lower_leaky),
    Handler(("HardSigmoid",), lower_hard_sigmoid),
    Handler(("ThresholdedRelu",), lower_thresholded),
    Handler(("Abs",), lower_absolute),
)
