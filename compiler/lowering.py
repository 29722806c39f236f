"""What an operator handler works on: the values of a graph and the layers made so far.

A handler turns one ONNX node into changes of a :class:`Chain`. It reads its
inputs as :class:`Activation` or as constants, and raises :class:`Unsupported`
with a reason where a node has no lowering.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from .graph import Dense


class Unsupported(Exception):
    """The reason why a node has no lowering."""


@dataclass(frozen=True)
class Activation:
    """A tensor that depends on the network's input: shape of one sample, without the batch."""

    shape: tuple[int, ...]


Value = Activation | np.ndarray


@dataclass
class Chain:
    """Values known so far, by tensor name, and the dense layers in order.

    ``consumers`` counts the uses of every tensor, the graph output included.
    """

    consumers: dict[str, int]
    batch: int | None
    values: dict[str, Value] = field(default_factory=dict)
    layers: list[Dense] = field(default_factory=list)

    def append(self, layer: Dense) -> None:
        """Add a layer at the end of the chain."""
        self.layers.append(layer)

    def amend(self, **changes: Any) -> None:
        """Change fields of the last layer, the one that made the present activation."""
        self.layers[-1] = replace(self.layers[-1], **changes)


@dataclass(frozen=True)
class Node:
    """One ONNX node in its chain; ``name`` is unique and meant for messages."""

    proto: onnx.NodeProto
    name: str
    chain: Chain

    @property
    def inputs(self) -> list[Value]:
        """Values of the inputs that are there (an omitted optional one is skipped)."""
        return [self.chain.values[name] for name in self.proto.input if name]

    @property
    def output(self) -> str:
        return self.proto.output[0]

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute's Python value, or ``default``."""
        for attribute in self.proto.attribute:
            if attribute.name == name:
                return onnx.helper.get_attribute_value(attribute)
        return default

    def activation(self, position: int) -> Activation:
        """The input at ``position``, which must be an activation that nothing else uses."""
        name = self.proto.input[position]
        value = self.chain.values[name]
        if not isinstance(value, Activation):
            raise Unsupported(f"input '{name}' is a constant, the network's activation is accepted")
        if self.chain.consumers[name] > 1:
            raise Unsupported(f"input '{name}' is used more than once, only chains are accepted")
        return value

    def constant(self, position: int) -> np.ndarray:
        """The input at ``position``, which must be an initialiser or a Constant."""
        name = self.proto.input[position]
        value = self.chain.values[name]
        if isinstance(value, Activation):
            raise Unsupported(f"input '{name}' is computed, a constant is accepted")
        return value

    def weights(self, position: int) -> np.ndarray:
        """A constant matrix as float64."""
        value = self.constant(position).astype(np.float64)
        if value.ndim != 2:
            raise Unsupported(f"weight has {value.ndim} dimensions, a matrix is accepted")
        return value

    def features(self, position: int) -> int:
        """Length of the activation at ``position``, which must be flat."""
        shape = self.activation(position).shape
        if len(shape) != 1:
            raise Unsupported(f"input of shape (N, {', '.join(map(str, shape))}) is not flat")
        return shape[0]

    def add_bias(self, value: np.ndarray) -> None:
        """Add a constant to the last layer's output; it must be one value per output or one."""
        layer = self.chain.layers[-1]
        one_row = value.ndim <= 2 and value.shape[-1:] in ((), (value.size,))
        if value.size not in (1, layer.outputs) or not one_row:
            raise Unsupported(
                f"bias of shape {value.shape} is neither one value nor {layer.outputs} of them"
            )
        bias = np.broadcast_to(value.astype(np.float64).reshape(-1), layer.bias.shape)
        self.chain.amend(bias=layer.bias + bias)

    def emit(self, value: Value) -> None:
        """Give the node's output its value."""
        self.chain.values[self.output] = value


@dataclass(frozen=True)
class Handler:
    """The lowering of one ONNX operator."""

    operator: str
    lower: Callable[[Node], None]
