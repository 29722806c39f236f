"""What an operator handler works on: the values of a graph and the layers made so far.

A handler turns one ONNX node into layers of a :class:`Builder`. It reads its inputs as
:class:`Activation` or as constants, and raises :class:`Unsupported` with a reason where a
node has no lowering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
import onnx

from .layers import (
    ZERO,
    Block,
    Bounded,
    Copy,
    Function,
    Largest,
    Layer,
    Matrix,
    Maximum,
    Mean,
    Patches,
    Product,
    Threshold,
    Values,
    WeightedSum,
)
from .layers.weighted_sum import TERMS


class Unsupported(Exception):
    """The reason why a node has no lowering."""


@dataclass(frozen=True, eq=False)
class Activation:
    """A tensor that depends on the network's input.

    Attributes
    ----------
    values:
        Numbers of its values, of its shape, the batch of one included.
    alone:
        Nothing else reads these values: what makes them may be changed.
    """

    values: Values
    alone: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


Value = Activation | np.ndarray


@dataclass
class Builder:
    """Values known so far, by tensor name, and the layers in order.

    Attributes
    ----------
    consumers:
        Uses of every tensor, the graph output included.
    next:
        Number of the next value that a layer makes.
    repeats:
        Layers that are added under one name are one step that is repeated.
    """

    consumers: Mapping[str, int]
    opset: int
    next: int
    repeats: bool = False
    values: dict[str, Value] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    _gathered: dict[tuple[str, tuple[int, ...]], Values] = field(default_factory=dict)

    def _unique(self, name: str) -> str:
        taken = {layer.name for layer in self.layers}
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name}/{number}"
        return found

    def _add(self, layer: Layer) -> Values:
        """Add a layer; the values that it makes, shape (count,)."""
        self.layers.append(layer)
        self.next += layer.count
        return layer.made

    def _head(self, name: str) -> dict[str, Any]:
        alike = name if self.repeats else ""
        return {"name": self._unique(name), "first": self.next, "alike": alike}

    # -- layers -----------------------------------------------------------------------

    def matrix(
        self, name: str, source: Values, weight: np.ndarray, bias: np.ndarray | None = None
    ) -> Values:
        """``weight @ source[n] + bias`` at every position.

        Parameters
        ----------
        source:
            Shape (positions, inputs).
        weight, bias:
            Shapes (outputs, inputs) and (outputs,).

        Returns
        -------
        Values, shape (positions, outputs).
        """
        made = np.arange(len(source) * len(weight)).reshape(len(source), len(weight))
        return self.matrices(name, [(source, weight, bias, made)]) + made

    def matrices(
        self,
        name: str,
        parts: Sequence[tuple[Values | Patches, np.ndarray, np.ndarray | None, Values]],
    ) -> int:
        """Several matrices in one layer, as :meth:`matrix`; the number of its first value.

        The last of each is where its outputs are among the layer's values, from 0 on, shape
        (positions, outputs), those of a position one after the other.
        """
        blocks = tuple(
            Block.of(
                source if isinstance(source, Patches) else Patches.rows(source),
                weight,
                np.zeros(len(weight)) if bias is None else bias.astype(np.float64),
                self.next + made[:, 0],
            )
            for source, weight, bias, made in parts
        )
        return int(self._add(Matrix(blocks=blocks, **self._head(name)))[0])

    def copy(self, name: str, values: Values) -> Values:
        """The values one after the other, row-major."""
        made = self._add(Copy(source=values.reshape(-1).astype(np.int32), **self._head(name)))
        return made.reshape(values.shape)

    def solid(self, name: str, values: Values, axes: Sequence[int] | None = None) -> Values:
        """The same values with a place for every zero; a copy if there are zeros.

        ``axes`` is the order of the axes in memory.
        """
        if (values >= 0).all():
            return values
        order = list(range(values.ndim)) if axes is None else list(axes)
        return self.copy(name, values.transpose(order)).transpose(np.argsort(order))

    def gathered(self, name: str, tensor: str, values: Values) -> Values:
        """A copy of a tensor's values in their order; there is one, whoever asks for it."""
        key = (tensor, values.shape)
        if key not in self._gathered:
            self._gathered[key] = self.copy(name, values)
        return self._gathered[key]

    def maximum(self, name: str, windows: Values) -> Values:
        """The largest of each window, shape (windows, values); ``ZERO`` is no value."""
        return self._add(Maximum(source=windows.astype(np.int32), **self._head(name)))

    def mean(self, name: str, windows: Values, divisor: np.ndarray) -> Values:
        """The sum of each window by its divisor, shape (windows,)."""
        return self._add(Mean(source=windows.astype(np.int32), divisor=divisor, **self._head(name)))

    def weighted_sum(
        self,
        name: str,
        terms: Sequence[Values],
        factors: Sequence[float | np.ndarray] = (),
        offset: float | np.ndarray = 0.0,
        low: float = -inf,
        high: float = inf,
    ) -> Values:
        """Sums of values times factors, and an offset, between bounds.

        Parameters
        ----------
        terms:
            Broadcast against each other.
        factors:
            One for each term, 1 where there are none; they and the offset broadcast to
            the sum's shape.
        """
        *most, last = np.broadcast_arrays(*terms)
        shape = last.shape
        scales = [np.broadcast_to(f, shape) for f in (factors or [1.0] * len(terms))]
        while len(most) >= TERMS:
            begun = self.weighted_sum(name, most[:TERMS], scales[:TERMS])
            most, scales = [begun, *most[TERMS:]], [np.ones(shape), *scales[TERMS:]]
        terms = [*most, last]
        # In the order in which one of them lies in memory, so that it can be read in a row.
        order = _order(_orderly(terms).reshape(-1))
        factors = [_ordered(scale, order) for scale in scales]
        if all(not any(factor.strides) for factor in factors):
            each = np.array([factor[:1] for factor in factors])
            stacked = np.broadcast_to(each, (len(factors), len(order)))
        else:
            stacked = np.stack(factors)
        layer = WeightedSum(
            terms=np.stack([term.reshape(-1)[order].astype(np.int32) for term in terms]),
            factors=stacked,
            offset=_ordered(np.broadcast_to(offset, shape), order),
            low=low,
            high=high,
            **self._head(name),
        )
        made = np.empty(len(order), np.int64)
        made[order] = self._add(layer)
        return made.reshape(shape)

    def function(self, name: str, values: Values, f: Callable[[np.ndarray], np.ndarray]) -> Values:
        """A function of every value."""
        order = np.argsort(values.reshape(-1), kind="stable")
        made = np.empty(len(order), np.int64)
        source = values.reshape(-1)[order]
        made[order] = self._add(Function(source=source, f=f, **self._head(name)))
        return made.reshape(values.shape)

    def product(self, name: str, a: Values, b: Values) -> Values:
        """Values times values of the same shape; ``ZERO`` where one of them is."""
        made = np.full(a.shape, ZERO)
        here = (a >= 0) & (b >= 0)
        if here.any():
            made[here] = self._add(Product(a=a[here], b=b[here], **self._head(name)))
        return made

    def threshold(self, name: str, values: Values, threshold: float) -> Values:
        """Values above a threshold, and 0 in place of the others."""
        source = values.reshape(-1)
        made = self._add(Threshold(source=source, threshold=threshold, **self._head(name)))
        return made.reshape(values.shape)

    def constants(self, name: str, numbers: np.ndarray) -> Values:
        """Values that are constant; equal ones are there once, and 0 is ``ZERO``."""
        different, which = np.unique(numbers.astype(np.float64), return_inverse=True)
        made = np.full(len(different), ZERO)
        here = different != 0
        if here.any():
            # A value of the input, 0 times.
            first = np.zeros(int(here.sum()), np.int64)
            made[here] = self.weighted_sum(name, [first], [0.0], different[here])
        return made[which].reshape(numbers.shape)

    def largest(self, name: str, windows: Values, *, last: bool) -> Values:
        """Places of the largest values of rows, shape (rows, values)."""
        return self._add(Largest(source=windows, last=last, **self._head(name)))

    # -- changes of what is there -----------------------------------------------------

    def clipped(self, name: str, tensor: Activation, low: float, high: float) -> Values:
        """A tensor between bounds: at no cost where the layer that makes it can do it."""
        maker = self._maker(tensor)
        if maker is None or not isinstance(self.layers[maker], Bounded):
            return self.weighted_sum(name, [tensor.values], low=low, high=high)
        layer = self.layers[maker]
        assert isinstance(layer, Bounded)
        self.layers[maker] = layer.bounded(low, high)
        return tensor.values

    def scaled(
        self, name: str, tensor: Activation, factor: np.ndarray, offset: np.ndarray
    ) -> Values:
        """A tensor times a factor, plus an offset, both of shapes that broadcast to a result.

        In the weights of the layer that makes it where that is a matrix with one factor
        and one offset for each output.
        """
        shape = np.broadcast_shapes(tensor.shape, factor.shape, offset.shape)
        factor, offset = (np.broadcast_to(n, shape).astype(np.float64) for n in (factor, offset))
        maker = self._maker(tensor) if shape == tensor.shape else None
        layer = None if maker is None else self.layers[maker]
        if (
            maker is not None
            and isinstance(layer, Matrix | WeightedSum)
            and not (layer.is_bounded or layer.alike)
        ):
            order = np.argsort(tensor.values.reshape(-1))
            changes = [n.reshape(-1)[order] for n in (factor, offset)]
            changed = _scaled(layer, *changes)
            if changed is not None:
                self.layers[maker] = changed
                return tensor.values
        return self.weighted_sum(name, [np.broadcast_to(tensor.values, shape)], [factor], offset)

    def _maker(self, tensor: Activation) -> int | None:
        """The layer that makes these values, all of them and no others, for nobody else."""
        first = int(tensor.values.min())
        for place in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[place]
            if layer.first <= first:
                whole = tensor.values.size == layer.count and first == layer.first
                whole = whole and tensor.values.max() - first < layer.count
                return place if tensor.alone and whole and _different(tensor.values) else None
        return None


def _orderly(terms: Sequence[Values]) -> Values:
    """The term that is best read in the order of its numbers: one whose values are all its own."""
    for term in terms:
        if (term >= 0).all() and _different(term):
            return term
    return np.arange(terms[0].size)


def _different(values: Values) -> bool:
    """Whether no value is there twice."""
    if np.ptp(values) >= 4 * values.size:
        return len(np.unique(values)) == values.size
    return not values.size or int(np.bincount(values.reshape(-1) - values.min()).max()) == 1


def _order(values: Values) -> np.ndarray:
    """The order in which values (n,) are those of their numbers."""
    low, size = int(values.min()), values.size
    if int(values.max()) - low + 1 == size and _different(values):
        order = np.empty(size, np.int64)
        order[values - low] = np.arange(size)
        return order
    return np.argsort(values, kind="stable")


def _ordered(numbers: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Numbers in an order, float64, shape (n,); one for all takes no memory."""
    if not any(numbers.strides) or numbers.size == 1:
        return np.broadcast_to(numbers.reshape(-1)[:1].astype(np.float64), (len(order),))
    return numbers.reshape(-1)[order].astype(np.float64)


def _scaled(
    layer: Matrix | WeightedSum, factor: np.ndarray, offset: np.ndarray
) -> Matrix | WeightedSum | None:
    """A layer's values times a factor, plus an offset, each of shape (count,), if it can."""
    if isinstance(layer, WeightedSum):
        return layer.scaled(factor, offset)
    blocks = []
    for block in layer.blocks:
        changes = [n[block.made() - layer.first] for n in (factor, offset)]
        if any((n != n[:1]).any() for n in changes):
            return None
        blocks.append(block.scaled(changes[0][0], changes[1][0]))
    return replace(layer, blocks=tuple(blocks))


@dataclass(frozen=True)
class Node:
    """One ONNX node in its graph; ``name`` is unique and meant for messages."""

    proto: onnx.NodeProto
    name: str
    builder: Builder

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Python values of the attributes that are there."""
        return {a.name: onnx.helper.get_attribute_value(a) for a in self.proto.attribute}

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute's Python value, or ``default``; text is ``str``."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def refuse_other(self, **accepted: Any) -> None:
        """Refuse attributes with another value than the only one accepted."""
        for name, value in accepted.items():
            found = self.attribute(name, value)
            if found != value:
                raise Unsupported(f"{name} = {found}, {value} is accepted")

    @property
    def operator(self) -> str:
        return self.proto.op_type

    @property
    def count(self) -> int:
        """Inputs, those that are left out at the end not counted."""
        return len(self.proto.input)

    def has(self, position: int) -> bool:
        """Whether there is an input at ``position``."""
        return position < len(self.proto.input) and bool(self.proto.input[position])

    def value(self, position: int) -> Value:
        """The input at ``position``."""
        return self.builder.values[self.proto.input[position]]

    def activation(self, position: int = 0) -> Activation:
        """The input at ``position``, which must be computed from the network's input."""
        value = self.value(position)
        if not isinstance(value, Activation):
            name = self.proto.input[position]
            raise Unsupported(f"input '{name}' is a constant, the network's activation is accepted")
        return value

    def constant(self, position: int, default: Any = None) -> np.ndarray:
        """The input at ``position``, which must be an initialiser or a Constant.

        ``default`` is what it is where it is left out.
        """
        if default is not None and not self.has(position):
            return np.asarray(default)
        value = self.value(position)
        if isinstance(value, Activation):
            name = self.proto.input[position]
            raise Unsupported(f"input '{name}' is computed, a constant is accepted")
        return value

    def weights(self, position: int, rank: int | None = None) -> np.ndarray:
        """A constant of real numbers as float64, of as many dimensions as ``rank`` says."""
        value = self.constant(position)
        if value.dtype.kind not in "fiu":
            raise Unsupported(f"weight is {value.dtype}, real numbers are accepted")
        if rank is not None and value.ndim != rank:
            raise Unsupported(f"weight has {value.ndim} dimensions, {rank} are accepted")
        return value.astype(np.float64)

    def matrix(self, position: int, rank: int | None = None) -> np.ndarray:
        """As :meth:`weights`, but single precision is not made double."""
        value = self.constant(position)
        return (
            value
            if value.dtype == np.float32 and rank in (None, value.ndim)
            else (self.weights(position, rank))
        )

    def emit(self, values: Values, position: int = 0, *, of: Sequence[Activation] = ()) -> None:
        """Give an output its values; ``of`` are the tensors that it has them from, unchanged."""
        name = self.proto.output[position]
        alone = self.builder.consumers.get(name, 0) == 1 and all(each.alone for each in of)
        self.builder.values[name] = Activation(values, alone)


@dataclass(frozen=True)
class Handler:
    """The lowering of some ONNX operators."""

    operators: tuple[str, ...]
    lower: Callable[[Node], None]


__all__ = ["ZERO", "Activation", "Builder", "Handler", "Node", "Unsupported", "Value", "Values"]
