"""What an operator handler works on: the values of a graph and the layers made so far.

A handler turns one ONNX node into layers of a :class:`Builder`. It reads its inputs as
:class:`Activation` or as constants, and raises :class:`Unsupported` with a reason where a
node has no lowering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf, prod
from typing import Any

import numpy as np
import onnx

from .host import Segment
from .layers import (
    ZERO,
    Block,
    Bounded,
    Copy,
    Function,
    Host,
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
from .scales import MAX_BITS, WHOLE, Scale

_NOWHERE = -2
"""In place of a layer: of a value that is always 0."""


class Unsupported(Exception):
    """The reason why a node has no lowering."""


@dataclass(frozen=True)
class Coding:
    """Integers ``q`` from ``low`` to ``high`` that stand for values ``scale * (q - zero)``."""

    scale: float
    zero: int
    low: int
    high: int

    @classmethod
    def whole(cls, dtype: np.dtype) -> Coding:
        """Integers of a type that stand for themselves."""
        limits = np.iinfo(dtype)
        return cls(1.0, 0, int(limits.min), int(limits.max))

    @property
    def pin(self) -> Scale | None:
        """The scale of the values; none where they have more bits than words ever have."""
        bits = (self.high - self.low).bit_length()
        if bits <= MAX_BITS:
            return Scale(self.scale, self.zero - self.low, bits)
        return WHOLE if (self.scale, self.zero) == (1.0, 0) else None

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value; none where words have fewer bits."""
        if (self.high - self.low).bit_length() > MAX_BITS:
            return -inf, inf
        return self.scale * (self.low - self.zero), self.scale * (self.high - self.zero)

    @property
    def narrow(self) -> bool:
        """Whether fewer integers are taken than their bits make."""
        span = self.high - self.low
        return span + 1 != 1 << span.bit_length()


@dataclass(frozen=True, eq=False)
class Activation:
    """A tensor that depends on the network's input.

    Attributes
    ----------
    values:
        Numbers of its values, of its shape, the batch of one included.
    alone:
        Nothing else reads these values: what makes them may be changed.
    coding:
        How the integers of a tensor of integers follow from the values; None of floats.
    """

    values: Values
    alone: bool = False
    coding: Coding | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


Value = Activation | np.ndarray
STANDARD_DOMAINS = ("", "ai.onnx")


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
    scales:
        For constants of a quantised model the scale of each number, of the constant's shape.
    inputs:
        Values of the input.
    input_pin:
        Scale that the model says the input has.
    """

    consumers: Mapping[str, int]
    opset: int
    next: int
    repeats: bool = False
    values: dict[str, Value] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    scales: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: int = field(init=False)
    input_pin: Scale | None = None
    _gathered: dict[tuple[str, tuple[int, ...]], Values] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs = self.next

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

    def snapshot(self) -> Builder:
        """What :meth:`restore` goes back to."""
        return replace(
            self,
            values=dict(self.values),
            layers=list(self.layers),
            scales=dict(self.scales),
            _gathered=dict(self._gathered),
        )

    def restore(self, before: Builder) -> None:
        """As if nothing had been lowered since."""
        self.next, self.repeats, self.input_pin = before.next, before.repeats, before.input_pin
        self.values, self.layers, self.scales = before.values, before.layers, before.scales
        self._gathered = before._gathered

    # -- layers -----------------------------------------------------------------------

    def matrix(
        self,
        name: str,
        source: Values,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        scale: np.ndarray | None = None,
    ) -> Values:
        """``weight @ source[n] + bias`` at every position.

        Parameters
        ----------
        source:
            Shape (positions, inputs).
        weight, bias:
            Shapes (outputs, inputs) and (outputs,).
        scale:
            Of each weight of a quantised model, of their shape.

        Returns
        -------
        Values, shape (positions, outputs).
        """
        made = np.arange(len(source) * len(weight)).reshape(len(source), len(weight))
        part = source, weight, bias, made
        return self.matrices(name, [part], [scale_of_outputs(scale)]) + made

    def matrices(
        self,
        name: str,
        parts: Sequence[tuple[Values | Patches, np.ndarray, np.ndarray | None, Values]],
        scales: Sequence[np.ndarray | None] = (),
    ) -> int:
        """Several matrices in one layer, as :meth:`matrix`; the number of its first value.

        The last of each is where its outputs are among the layer's values, from 0 on, shape
        (positions, outputs), those of a position one after the other. ``scales`` has for
        each matrix of a quantised model the scale of each output, shape (outputs,).
        """
        blocks = tuple(
            Block.of(
                source if isinstance(source, Patches) else Patches.rows(source),
                weight if weight.dtype == np.float32 else weight.astype(np.float64),
                np.zeros(len(weight)) if bias is None else bias.astype(np.float64),
                self.next + made[:, 0],
                scale,
            )
            for (source, weight, bias, made), scale in zip(
                parts, scales or [None] * len(parts), strict=True
            )
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
        pin: Scale | None = None,
    ) -> Values:
        """Sums of values times factors, and an offset, between bounds.

        Parameters
        ----------
        terms:
            Broadcast against each other.
        factors:
            One for each term, 1 where there are none; they and the offset broadcast to
            the sum's shape.
        pin:
            The scale that they have.
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
            pin=pin,
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

    def host(
        self, name: str, segment: Segment, shape: Sequence[int], *, result: bool = False
    ) -> Values:
        """A tensor of a shape that the host makes."""
        head = {**self._head(name), "alike": ""}
        layer = Host(segment=segment, values=prod(shape), result=result, **head)
        return self._add(layer).reshape(shape)

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
            and not (layer.is_bounded or layer.alike or layer.pin)
        ):
            order = np.argsort(tensor.values.reshape(-1))
            changes = [n.reshape(-1)[order] for n in (factor, offset)]
            changed = _scaled(layer, *changes)
            if changed is not None:
                self.layers[maker] = changed
                return tensor.values
        return self.weighted_sum(name, [np.broadcast_to(tensor.values, shape)], [factor], offset)

    def pinned(self, name: str, tensor: Activation, coding: Coding) -> Values:
        """A tensor rounded to the values that integers stand for, with their scale.

        At no cost where the values have it already, where only this reads the input, or
        where the layer that makes them can do it.
        """
        pin, (low, high) = coding.pin, coding.limits
        numbers = np.sort(tensor.values.reshape(-1))
        whole = tensor.alone and np.array_equal(numbers, range(self.inputs))
        if whole and self.input_pin is None:
            self.input_pin = pin
        maker = self._maker(tensor)
        if maker is not None:
            layer = self.layers[maker]
            free = not (layer.passes or layer.alike or layer.pin or isinstance(layer, Largest))
            if free and isinstance(layer, Bounded):
                self.layers[maker] = replace(layer.bounded(low, high), pin=pin)
                return tensor.values
            if free:
                self.layers[maker] = replace(layer, pin=pin)
        # Values of different layers, which may have different scales, one after the other.
        makers = self.makers(tensor.values)
        made = np.full(tensor.shape, ZERO)
        for each in np.unique(makers):
            here = makers == each
            source = tensor.values[here]
            known = None if each == _NOWHERE else self._pin_of(int(each))
            if each == _NOWHERE or (known == pin and not coding.narrow):
                made[here] = source
            else:
                made[here] = self.weighted_sum(name, [source], low=low, high=high, pin=pin)
        return made

    def recoded(self, name: str, tensor: Activation, coding: Coding) -> Values:
        """The values for which the same integers stand in another coding."""
        own = tensor.coding
        assert own is not None
        if (own.scale, own.zero) == (coding.scale, coding.zero):
            return tensor.values
        factor = coding.scale / own.scale
        offset = coding.scale * (own.zero - coding.zero)
        # The type of the integers is still that of the tensor.
        pin = replace(coding, low=own.low, high=own.high).pin
        return self.weighted_sum(name, [tensor.values], [factor], offset, pin=pin)

    def integers(self, name: str, tensor: Activation) -> Values:
        """The integers of a tensor of integers as values."""
        own = tensor.coding
        assert own is not None
        if (own.scale, own.zero) == (1.0, 0):
            return tensor.values
        return self.weighted_sum(name, [tensor.values], [1 / own.scale], own.zero, pin=WHOLE)

    def makers(self, values: Values) -> np.ndarray:
        """For each value the layer that makes it, -1 of the input, ``_NOWHERE`` of ``ZERO``."""
        firsts = np.array([layer.first for layer in self.layers], np.int64)
        found = np.searchsorted(firsts, values, side="right") - 1
        return np.where(values < 0, _NOWHERE, found)

    def _pin_of(self, maker: int) -> Scale | None:
        """The scale that what a layer makes is known to have; -1 is the input."""
        if maker < 0:
            return self.input_pin
        layer = self.layers[maker]
        if not layer.passes:
            return layer.pin
        sources = {
            int(m) for values in layer.reads for m in np.unique(self.makers(np.asarray(values)))
        }
        pins = {self._pin_of(source) for source in sources - {_NOWHERE}}
        return pins.pop() if len(pins) == 1 else None

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


def scale_of_outputs(scale: np.ndarray | None) -> np.ndarray | None:
    """The scale of each output, shape (outputs,), of those of its weights, (outputs, ...).

    Raises
    ------
    Unsupported
        If an output has several.
    """
    if scale is None:
        return None
    each = scale.reshape(len(scale), -1)
    if (each != each[:, :1]).any():
        raise Unsupported("the scale of its weight is not one for each output")
    return each[:, 0].copy()


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
        scaled = block.scaled(changes[0][0], changes[1][0])
        if scaled is None:
            return None
        blocks.append(scaled)
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
        if value.dtype == np.float32 and rank in (None, value.ndim):
            return value
        return self.weights(position, rank)

    def scale(self, position: int) -> np.ndarray | None:
        """The scale of each number of a constant that a quantised model has, of its shape."""
        return self.builder.scales.get(self.proto.input[position])

    def emit(
        self,
        values: Values,
        position: int = 0,
        *,
        of: Sequence[Activation] = (),
        coding: Coding | None = None,
    ) -> None:
        """Give an output its values; ``of`` are the tensors that it has them from, unchanged.

        Raises
        ------
        Unsupported
            If these are tensors of integers that stand for values in different ways.
        """
        name = self.proto.output[position]
        alone = self.builder.consumers.get(name, 0) == 1 and all(each.alone for each in of)
        codings = {each.coding for each in of}
        if len(codings) > 1:
            raise Unsupported("its integers have different scales, DequantizeLinear before it")
        self.builder.values[name] = Activation(values, alone, codings.pop() if of else coding)

    def emit_constant(
        self, value: np.ndarray, scale: np.ndarray | None = None, position: int = 0
    ) -> None:
        """Give an output a constant; of a quantised model with the scale of each number."""
        name = self.proto.output[position]
        self.builder.values[name] = value
        if scale is not None:
            self.builder.scales[name] = scale


@dataclass(frozen=True)
class Handler:
    """The lowering of some ONNX operators."""

    operators: tuple[str, ...]
    lower: Callable[[Node], None]
    integers: bool = False
    """Whether tensors of integers are among what they take."""
    domains: tuple[str, ...] = STANDARD_DOMAINS
    """Of the operators."""
    stays: bool = True
    """Whether a node stays on the host where all that it reads is computed there: no tiles and
    no scale of the model's are in it."""


__all__ = [
    "STANDARD_DOMAINS", "ZERO", "Activation", "Builder", "Coding", "Handler", "Node",
    "Unsupported", "Value", "Values", "scale_of_outputs",
]  # fmt: skip
