"""Operators that only move values: they change where a tensor's values are looked for.

ONNX's own reference implementation moves the numbers of the values in place of the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator

from ..lowering import Activation, Handler, Node, Unsupported

MAX_VALUES = 1 << 24
"""Of a tensor that a node makes."""
MOVES = (
    "Compress", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements",
    "Identity", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
)  # fmt: skip


def lower(node: Node) -> None:
    """Move the numbers; constants among the values are made values."""
    if isinstance(node.value(0), np.ndarray) and node.operator != "Concat":
        _move_constant(node)
        return
    sources, inputs = [], []
    for position in range(node.count):
        if not node.has(position):
            inputs.append(None)
        elif position == 0 or node.operator == "Concat":
            values = _numbers(node, position)
            inputs.append(values.values)
            sources.append(values)
        else:
            inputs.append(node.constant(position))
    _check_size(node, inputs)
    for position, values in enumerate(_evaluate(node, inputs)):
        if position < len(node.proto.output) and node.proto.output[position]:
            node.emit(values, position, of=sources)


def _move_constant(node: Node) -> None:
    """Constants of a quantised model, with the scale of each number."""
    value, scale = node.constant(0), node.scale(0)
    others = [node.constant(n) if node.has(n) else None for n in range(1, node.count)]
    _check_size(node, [value, *others])
    values = _evaluate(node, [value, *others])
    scales = [None] * len(values) if scale is None else _evaluate(node, [scale, *others])
    for position, (each, own) in enumerate(zip(values, scales, strict=True)):
        if position < len(node.proto.output) and node.proto.output[position]:
            node.emit_constant(each, own, position)


def _numbers(node: Node, position: int) -> Activation:
    """An input's values, or values that are those of a constant."""
    if isinstance(value := node.value(position), Activation):
        return value
    return Activation(node.builder.constants(f"{node.name}/constant", node.weights(position)))


def _check_size(node: Node, inputs: list[np.ndarray | None]) -> None:
    size = _size(node, inputs)
    if size > MAX_VALUES:
        raise Unsupported(f"makes {size:.3g} values, up to {MAX_VALUES} are accepted")


def _size(node: Node, inputs: list[np.ndarray | None]) -> float:
    """Values that are made: some bytes of model could ask for any number."""
    data, other = inputs[0], inputs[1] if len(inputs) > 1 else None
    assert data is not None
    if other is None or not data.size:
        return 0.0
    if node.operator == "Tile":
        return data.size * float(np.prod(np.abs(other.astype(np.float64))))
    if node.operator == "Expand":
        return data.size * float(np.prod(np.abs(other.astype(np.float64))))
    if node.operator == "Gather":
        axis = node.attribute("axis", 0)
        return data.size / data.shape[axis if -data.ndim <= axis < data.ndim else 0] * other.size
    return 0.0


def lower_pad(node: Node) -> None:
    """A constant, or values that are there, around a tensor."""
    mode = node.attribute("mode", "constant")
    value = np.asarray(node.attribute("value", 0.0))
    if node.has(2):
        value = node.constant(2)
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise Unsupported(f"pads with {value.dtype} of shape {value.shape}, a number is accepted")
    source = node.activation()
    pads = node.attribute("pads", None) if node.count < 2 else node.constant(1).tolist()
    axes = node.constant(3).tolist() if node.has(3) else list(range(source.values.ndim))
    if pads is None or len(pads) != 2 * len(axes):
        raise Unsupported(f"pads {pads} are not two for each of the axes {axes}")
    width = [(0, 0)] * source.values.ndim
    for place, axis in enumerate(axes):
        width[axis] = (int(pads[place]), int(pads[place + len(axes)]))
    taken = tuple(
        slice(max(-before, 0), size - max(-after, 0))
        for (before, after), size in zip(width, source.shape, strict=True)
    )
    added = [(max(a, 0), max(b, 0)) for a, b in width]
    size = np.prod([n + a + b for n, (a, b) in zip(source.shape, added, strict=True)], dtype=float)
    if size > MAX_VALUES:
        raise Unsupported(f"makes {size:.3g} values, up to {MAX_VALUES} are accepted")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise Unsupported(f"mode = {mode} is none of ONNX")
    options: dict[str, Any] = {}
    if mode == "constant":
        made = node.builder.constants(f"{node.name}/constant", value.reshape(-1))
        options["constant_values"] = int(made[0])
    node.emit(np.pad(source.values[taken], added, mode=mode, **options), of=[source])


def lower_dropout(node: Node) -> None:
    """Nothing is dropped outside of training."""
    if node.has(2) and node.constant(2).any():
        raise Unsupported("training_mode is on")
    if len(node.proto.output) > 1 and node.builder.consumers.get(node.proto.output[1]):
        raise Unsupported("its mask is used")
    source = node.activation()
    node.emit(source.values, of=[source])


def _evaluate(node: Node, inputs: list[np.ndarray | None]) -> list[np.ndarray]:
    """Outputs of the node on arrays."""
    evaluator = ReferenceEvaluator(node.proto, opsets={"": node.builder.opset})
    names = [name for name in node.proto.input if name]
    given = [array for array in inputs if array is not None]
    try:
        made = evaluator.run(None, dict(zip(names, given, strict=True)))
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise Unsupported(f"cannot be done: {' '.join(str(error).split())}") from error
    assert isinstance(made, list)
    return [np.asarray(array) for array in made]


HANDLERS = (
    Handler(MOVES, lower, integers=True),
    Handler(("Pad",), lower_pad),
    Handler(("Dropout",), lower_dropout),
)
