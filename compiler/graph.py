"""The network after the front end: layers that make values out of values.

Every value of a network has a number: those of the input come first, then those of each
layer, in order. A tensor is an array of such numbers, of the tensor's shape, so that what
only moves values (``Transpose``, ``Concat``, ``Pad`` ...) is no layer. :data:`ZERO` stands
for a value that is 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from math import prod

import numpy as np

from .floats import Floats
from .layers import Copy, Host, Layer, Matrix, Renumbering, Values
from .scales import Scale

DOUBLE_VALUES = 1 << 21
"""Values of a sample up to which a network is calibrated in double precision."""


@dataclass(frozen=True)
class Network:
    """Layers, and where the input and the output are.

    Attributes
    ----------
    input_name:
        ONNX tensor that it starts from.
    input_shape:
        Shape of one sample; value ``n`` is its ``n``-th one, row-major.
    layers:
        In order: each reads values of the input and of layers before it.
    output_shape:
        Shape of the output of one sample; its values are those of the last layer.
    input_pin:
        Scale that a quantised model says its input has.
    """

    input_name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    output_shape: tuple[int, ...]
    input_pin: Scale | None = None

    @property
    def inputs(self) -> int:
        """Values of one sample."""
        return prod(self.input_shape)

    @property
    def outputs(self) -> int:
        """Values of its result."""
        return self.layers[-1].count

    @property
    def values(self) -> int:
        """Values of a sample, those of all layers included."""
        return self.tensors[-1].stop

    @property
    def precision(self) -> type[np.floating]:
        """Floats that it is calibrated in: in single ones where it is large."""
        return np.float64 if self.values <= DOUBLE_VALUES else np.float32

    @cached_property
    def tensors(self) -> tuple[range, ...]:
        """Numbers of the input's values, and of those that each layer makes."""
        return (range(self.inputs), *(layer.numbers for layer in self.layers))

    @property
    def nowhere(self) -> frozenset[int]:
        """Which of :attr:`tensors` is in no words: a result that the host makes."""
        last = self.layers[-1]
        made_by_host = isinstance(last, Host) and last.result
        return frozenset({len(self.layers)} if made_by_host else ())

    @cached_property
    def _firsts(self) -> list[int]:
        return [tensor.start for tensor in self.tensors]

    def tensor_of(self, number: int) -> int:
        """Which of :attr:`tensors` a value belongs to."""
        return bisect_right(self._firsts, number) - 1

    def tensors_of(self, values: Values | range) -> set[int]:
        """Those that any of the values belong to."""
        return _holding(values, self._firsts)

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each of :attr:`tensors`, the layers that read of it."""
        found: list[list[int]] = [[] for _ in self.tensors]
        for number, layer in enumerate(self.layers):
            for tensor in sorted(set().union(*map(self.tensors_of, layer.reads))):
                found[tensor].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def holders(self) -> tuple[int, ...]:
        """For each layer the one whose matrices are on the tiles in place of its own."""
        first: dict[str, int] = {}
        return tuple(
            first.setdefault(layer.alike, number) if layer.alike else number
            for number, layer in enumerate(self.layers)
        )

    def without_weights(self) -> Network:
        """The same, but for the values of its matrices, which are 0 and take no memory."""
        layers = tuple(
            layer.without_weights() if isinstance(layer, Matrix) else layer for layer in self.layers
        )
        return replace(self, layers=layers)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Float output (n, outputs) of float samples (n, inputs)."""
        *_, last = self.run(x)
        return last

    def run(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """The float samples (n, inputs), then what each layer makes of them (n, values)."""
        yield x
        for _, _, made in self.steps(x):
            yield made

    def steps(self, x: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Run float samples (n, inputs), layer after layer.

        Yields
        ------
        The layer's number; values by their number, shape (n, values), of which those that the
        layer reads and makes are there; and what it has made, shape (n, count).
        """
        floats = Floats(len(x), self.values + 1, x.dtype)
        memory = floats.array
        memory[:, : self.inputs] = x  # the last word stays 0: it is what ZERO finds
        last = [max(some, default=number - 1) for number, some in enumerate(self.readers)]
        for number, layer in enumerate(self.layers):
            made = layer.forward(memory)
            memory[:, layer.first : layer.first + layer.count] = made
            yield number, memory, made
            for tensor, reader in zip(self.tensors, last, strict=True):
                if reader == number:
                    floats.forget(tensor)

    @cached_property
    def pins(self) -> tuple[Scale | None, ...]:
        """For each of :attr:`tensors` the scale that the model says it has.

        What only passes values on has theirs.
        """
        found: list[Scale | None] = [self.input_pin]
        for layer in self.layers:
            pin = layer.pin
            if layer.passes:
                own = {found[t] for values in layer.reads for t in self.tensors_of(values)}
                pin = own.pop() if len(own) == 1 else None
            found.append(pin)
        return tuple(found)

    def same_scale(self) -> list[int]:
        """For each of :attr:`tensors` the first one that has the same scale.

        What a layer reads together must mean the same, and so must what it passes on.
        """
        parent = list(range(len(self.tensors)))

        def root(tensor: int) -> int:
            while parent[tensor] != tensor:
                tensor = parent[tensor]
            return tensor

        def unite(tensors: Sequence[int]) -> None:
            roots = sorted(map(root, tensors))
            for other in roots[1:]:
                parent[other] = roots[0]

        for number, layer in enumerate(self.layers):
            for values in layer.reads:
                together = self.tensors_of(values) | ({number + 1} if layer.passes else set())
                unite(sorted(together))
        repeated: dict[str, int] = {}
        for number, layer in enumerate(self.layers):
            if layer.alike:
                unite([repeated.setdefault(layer.alike, number + 1), number + 1])
        return [root(tensor) for tensor in parent]


def finished(
    input_name: str,
    input_shape: tuple[int, ...],
    layers: Sequence[Layer],
    output: Values,
    input_pin: Scale | None = None,
) -> Network:
    """A network of the layers that the output depends on, numbered anew.

    The last of them makes the output's values in order; a copy does it where no other does.
    """
    inputs = prod(input_shape)
    starts = [0, *(layer.first for layer in layers)]
    needed: set[int] = set()
    waiting = _makers(output, starts)
    while waiting:
        maker = waiting.pop()
        if maker and maker not in needed:
            needed.add(maker)
            for values in layers[maker - 1].reads:
                waiting |= _makers(values, starts)
    kept = [layers[maker - 1] for maker in sorted(needed)]
    if not kept or not np.array_equal(output.reshape(-1), kept[-1].made):
        first = layers[-1].first + layers[-1].count if layers else inputs
        taken = {layer.name for layer in kept}
        name = next(name for n in count() if (name := f"output{n or ''}") not in taken)
        kept.append(Copy(name=name, first=first, source=output.reshape(-1)))
    # Numbers of what is kept, one after the other.
    begins = np.cumsum([inputs, *(layer.count for layer in kept)])
    table = Renumbering([0, *(layer.first for layer in kept)], [0, *begins[:-1].tolist()])
    renumbered = tuple(layer.renumbered(table) for layer in kept)
    return Network(input_name, input_shape, renumbered, output.shape, input_pin)


def _makers(values: Values | range, starts: Sequence[int]) -> set[int]:
    """0 for the input, ``n + 1`` for layer ``n``: whose values these are."""
    return _holding(values, starts)


def _holding(values: Values | range, starts: Sequence[int]) -> set[int]:
    """Which of the tensors that start at these numbers any of the values belong to."""
    values = values if isinstance(values, range) else np.ravel(values)
    if not len(values):
        return set()
    ends = (values[0], values[-1]) if isinstance(values, range) else (values.min(), values.max())
    first, last = (bisect_right(starts, int(n)) - 1 for n in ends)
    if first == last:
        return {first} - {-1}
    found = np.searchsorted(np.array(starts), values, side="right")
    return {int(n) - 1 for n in np.flatnonzero(np.bincount(found)) if n}
