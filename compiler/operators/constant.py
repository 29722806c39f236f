"""Constant nodes give values that other handlers read."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, numpy_helper

from ..lowering import Handler, Node, Unsupported


def lower(node: Node) -> None:
    """Read the value, whichever attribute holds it."""
    (name,) = node.attributes
    value = node.attribute(name, None)
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
    elif name not in {"value_float", "value_floats", "value_int", "value_ints"}:
        raise Unsupported(f"attribute {name} is not a dense number")
    node.builder.values[node.proto.output[0]] = np.asarray(value)


HANDLERS = (Handler(("Constant",), lower),)
