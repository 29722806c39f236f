"""Sums, differences, products and extremes."""

from __future__ import annotations

import numpy as np

from ..lowering import Activation, Handler, Node, Unsupported, Values


def lower_sum(node: Node) -> None:
    """Add, Sub, Sum and Mean: of activations and constants of any shapes that broadcast."""
    terms, signs, constant = [], [], np.zeros(())
    total = node.count
    for position in range(total):
        sign = -1.0 if node.operator == "Sub" and position else 1.0
        sign = sign / total if node.operator == "Mean" else sign
        value = node.value(position)
        if isinstance(value, Activation):
            terms.append(value)
            signs.append(sign)
        else:
            constant = constant + sign * node.weights(position)
    if not terms:
        raise Unsupported("all inputs are constants")
    if len(terms) == 1:
        made = node.builder.scaled(node.name, terms[0], np.array(signs[0]), constant)
    else:
        shape = np.broadcast_shapes(constant.shape, *(term.shape for term in terms))
        values = [np.broadcast_to(term.values, shape) for term in terms]
        made = node.builder.weighted_sum(node.name, values, signs, constant)
    node.emit(made)


def lower_product(node: Node) -> None:
    """Mul, of activations too, and Div by a constant."""
    a, b = node.value(0), node.value(1)
    if isinstance(a, Activation) and isinstance(b, Activation) and node.operator == "Mul":
        node.emit(node.builder.product(node.name, *np.broadcast_arrays(a.values, b.values)))
        return
    if isinstance(a, Activation) and not isinstance(b, Activation):
        tensor, factor = a, node.weights(1)
        if node.operator == "Div":
            if not factor.all():
                raise Unsupported("divides by 0")
            factor = 1.0 / factor
    elif isinstance(b, Activation) and not isinstance(a, Activation) and node.operator == "Mul":
        tensor, factor = b, node.weights(0)
    else:
        raise Unsupported("a quotient by an activation")
    node.emit(node.builder.scaled(node.name, tensor, factor, np.zeros(())))


def lower_negate(node: Node) -> None:
    """Neg."""
    tensor = node.activation()
    node.emit(node.builder.scaled(node.name, tensor, np.array(-1.0), np.zeros(())))


def lower_normalise(node: Node) -> None:
    """BatchNormalization with what it has learnt: a factor and an offset for each channel."""
    if node.attribute("training_mode", 0) or len([name for name in node.proto.output if name]) > 1:
        raise Unsupported("training_mode is on")
    tensor = node.activation()
    gain, shift, mean, variance = (node.weights(n, 1) for n in (1, 2, 3, 4))
    channels = tensor.shape[1] if tensor.values.ndim > 1 else 1
    if any(len(each) != channels for each in (gain, shift, mean, variance)):
        raise Unsupported(f"its statistics are not for {channels} channels")
    if (variance < 0).any():
        raise Unsupported("a variance is below 0")
    factor = gain / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    form = (-1, *(1,) * max(tensor.values.ndim - 2, 0))
    node.emit(
        node.builder.scaled(
            node.name, tensor, factor.reshape(form), (shift - mean * factor).reshape(form)
        )
    )


def lower_extreme(node: Node) -> None:
    """Max and Min of activations and constants; a constant number is a bound."""
    tensors, numbers = [], []
    for position in range(node.count):
        value = node.value(position)
        if isinstance(value, Activation):
            tensors.append(value)
        elif value.size == 1 and value.ndim <= 1:
            numbers.append(node.weights(position))
        else:
            made = node.builder.constants(f"{node.name}/constant", node.weights(position))
            tensors.append(Activation(made))
    if not tensors:
        raise Unsupported("all inputs are constants")
    sign = 1.0 if node.operator == "Max" else -1.0
    made = tensors[0]
    if len(tensors) > 1:
        terms = list(np.broadcast_arrays(*(t.values for t in tensors)))
        if sign < 0:
            terms = [node.builder.weighted_sum(f"{node.name}/-", [t], [-1.0]) for t in terms]
        made = Activation(_largest(node, terms), alone=True)
        if sign < 0:
            made = Activation(node.builder.weighted_sum(node.name, [made.values], [-1.0]), True)
    for number in numbers:
        bound = float(number.reshape(-1)[0])
        low, high = (bound, np.inf) if sign > 0 else (-np.inf, bound)
        made = Activation(node.builder.clipped(node.name, made, low, high), alone=True)
    node.emit(made.values)


def _largest(node: Node, terms: list[Values]) -> Values:
    """The largest of several values at every place."""
    solid = [node.builder.solid(f"{node.name}/pad", term) for term in terms]
    windows = np.stack([term.reshape(-1) for term in solid], axis=1)
    return node.builder.maximum(node.name, windows).reshape(terms[0].shape)


HANDLERS = (
    Handler(("Add", "Sub", "Sum", "Mean"), lower_sum),
    Handler(("Mul", "Div"), lower_product),
    Handler(("Neg",), lower_negate),
    Handler(("BatchNormalization",), lower_normalise),
    Handler(("Max", "Min"), lower_extreme),
)
