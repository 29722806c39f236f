"""The network as the compiler sees it after the front end: a chain of dense layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np


@dataclass(frozen=True)
class Dense:
    """One layer: ``y = x @ weight.T + bias``, then ReLU if ``relu``.

    Attributes
    ----------
    name:
        Name of the node that multiplies; unique in the network.
    weight:
        float64, shape (outputs, inputs).
    bias:
        float64, shape (outputs,).
    """

    name: str
    weight: np.ndarray
    bias: np.ndarray
    relu: bool

    @property
    def inputs(self) -> int:
        return self.weight.shape[1]

    @property
    def outputs(self) -> int:
        return self.weight.shape[0]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Float output (n, outputs) of float input (n, inputs)."""
        y = x @ self.weight.T + self.bias
        return np.maximum(y, 0) if self.relu else y


@dataclass(frozen=True)
class Network:
    """A chain of dense layers.

    Attributes
    ----------
    input_name:
        ONNX tensor that it starts from.
    input_shape:
        Shape of one sample; it is flattened row-major.
    """

    input_name: str
    input_shape: tuple[int, ...]
    layers: tuple[Dense, ...]

    @property
    def inputs(self) -> int:
        """Values of one sample."""
        return prod(self.input_shape)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Float output (n, outputs) of float samples (n, inputs)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x
