"""Smooth functions of one value, from tables in the controller."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from ..lowering import Handler, Node, Unsupported

F = Callable[..., np.ndarray]


def _elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _selu(
    x: np.ndarray,
    alpha: float = 1.67326319217681884765625,
    gamma: float = 1.05070102214813232421875,
) -> np.ndarray:
    return gamma * _elu(x, alpha)


def _celu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


def _gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + special.erf(x / np.sqrt(2)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def _mish(x: np.ndarray) -> np.ndarray:
    return x * np.tanh(_softplus(x))


def _swish(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return x * special.expit(alpha * x)


def _hard_swish(x: np.ndarray) -> np.ndarray:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def _softsign(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.abs(x))


FUNCTIONS: dict[str, F] = {
    "Sigmoid": special.expit,
    "Tanh": np.tanh,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "Gelu": _gelu,
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Mish": _mish,
    "Swish": _swish,
    "HardSwish": _hard_swish,
    "Erf": special.erf,
    "Exp": np.exp,
    "Sin": np.sin,
    "Cos": np.cos,
    "Atan": np.arctan,
    "Sinh": np.sinh,
    "Cosh": np.cosh,
    "Asinh": np.arcsinh,
}
"""Functions that are finite and continuous everywhere; attributes are their other arguments."""


def lower(node: Node) -> None:
    """A table of the function."""
    attributes: dict[str, Any] = {name: node.attribute(name, None) for name in node.attributes}
    if node.operator == "Celu" and not attributes.get("alpha", 1.0):
        raise Unsupported("alpha = 0")
    f = partial(FUNCTIONS[node.operator], **attributes)
    node.emit(node.builder.function(node.name, node.activation().values, f))


HANDLERS = (Handler(tuple(FUNCTIONS), lower),)
