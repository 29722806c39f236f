"""LSTM, GRU and RNN, unrolled over time: the weights of a gate are on the tiles once.

What the input gives to the gates is one matrix at all steps. What the state gives to them
is a matrix at every step, on the same tiles (``Builder.repeats``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import inf

import numpy as np

from ..lowering import ZERO, Activation, Builder, Handler, Node, Unsupported, Values
from .function import FUNCTIONS

Activate = Callable[[str, Values], Values]
"""Makes what an activation function gives for a gate's sum, in a layer of a name."""

_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_CONSTANTS = {
    "Affine": {"alpha": 1.0, "beta": 0.0},
    "LeakyRelu": {"alpha": 0.01},
    "ThresholdedRelu": {"alpha": 1.0},
    "ScaledTanh": {"alpha": 1.0, "beta": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Elu": {"alpha": 1.0},
}
"""Activation functions that have constants, and what these are where the node does not say."""


@dataclass(frozen=True)
class Direction:
    """Weights of one direction, and how its steps are made.

    Attributes
    ----------
    name :
        For its layers.
    size :
        Values of the state.
    weight, recurrence :
        Shapes (gates * size, inputs) and (gates * size, size).
    bias, state_bias :
        Shape (gates * size,): what is added to the products of either.
    peephole :
        Shape (3, size): factors of an LSTM's cell in its gates i, o and f.
    activations :
        Functions of the gates, in ONNX's order.
    clip :
        Bound of what they are applied to.
    before_reset :
        Whether a GRU resets what its state gives to the new one, not the state.
    coupled :
        Whether an LSTM forgets as much as it does not take in.
    """

    builder: Builder
    name: str
    size: int
    weight: np.ndarray
    recurrence: np.ndarray
    bias: np.ndarray
    state_bias: np.ndarray
    peephole: np.ndarray
    activations: tuple[Activate, ...]
    clip: float
    before_reset: bool
    coupled: bool

    # -- pieces -----------------------------------------------------------------------

    def given(self, x: Values) -> Values:
        """What the input (steps, batch, inputs) gives to the gates, (steps, batch, ...)."""
        bias = self.bias if self.before_reset else self.bias + self.state_bias
        source = x.reshape(-1, x.shape[-1])
        made = self.builder.matrix(f"{self.name}/W", source, self.weight, bias)
        return made.reshape(*x.shape[:-1], -1)

    def recurred(self, name: str, state: Values, gates: slice, bias: np.ndarray) -> Values | None:
        """What a state (batch, size) gives to some gates; None where it gives nothing."""
        rows = slice(gates.start * self.size, gates.stop * self.size)
        if (state == ZERO).all() and not bias[rows].any():
            return None
        name = f"{self.name}/{name}"
        state = self.builder.solid(f"{name}/pad", state)
        return self.builder.matrix(name, state, self.recurrence[rows], bias[rows])

    def activated(self, name: str, which: int, *terms: Values | None) -> Values:
        """An activation function of a sum."""
        there = [term for term in terms if term is not None]
        made = there[0]
        name = f"{self.name}/{name}"
        if len(there) > 1 or self.clip < inf or (made == ZERO).any():
            made = self.builder.weighted_sum(name, there, low=-self.clip, high=self.clip)
        return self.activations[which](f"{name}/f", made)

    def peeped(self, name: str, cell: Values, which: int) -> Values | None:
        """What an LSTM's cell gives to a gate through its peephole."""
        factors = self.peephole[which]
        if (cell == ZERO).all() or not factors.any():
            return None
        return self.builder.weighted_sum(f"{self.name}/{name}", [cell], [factors])

    def product(self, name: str, a: Values, b: Values) -> Values:
        return self.builder.product(f"{self.name}/{name}", a, b)

    def sum(
        self, name: str, terms: list[Values], factors: list[float], offset: float = 0
    ) -> Values:
        """A weighted sum; of nothing that is not 0 it is ``ZERO``."""
        pairs = [pair for pair in zip(terms, factors, strict=True) if (pair[0] != ZERO).any()]
        if not pairs and not offset:
            return terms[0]
        kept, signs = zip(*pairs, strict=True) if pairs else ((terms[0],), (0.0,))
        return self.builder.weighted_sum(f"{self.name}/{name}", kept, signs, offset)

    def gates(self, values: Values, *which: int) -> Values:
        """Some gates of values (batch, gates * size), one after the other."""
        return np.concatenate([values[:, n * self.size : (n + 1) * self.size] for n in which], 1)

    def gates_of(self, values: Values | None, *which: int) -> Values | None:
        """The same where there may be none."""
        return None if values is None else self.gates(values, *which)

    # -- steps ------------------------------------------------------------------------

    def step(self, operator: str, given: Values, state: Values, cell: Values) -> tuple:
        """State and cell (batch, size) after a step, ``given`` what its input gives."""
        step = {"RNN": self._rnn, "GRU": self._gru, "LSTM": self._lstm}[operator]
        return step(given, state, cell)

    def _rnn(self, given: Values, state: Values, cell: Values) -> tuple[Values, Values]:
        """``H' = f(X W + H R)``."""
        back = self.recurred("R", state, slice(0, 1), np.zeros_like(self.bias))
        return self.activated("h", 0, given, back), cell

    def _gru(self, given: Values, state: Values, cell: Values) -> tuple[Values, Values]:
        """``H' = h + z (H - h)``; the gates are z, r, h."""
        bias = self.state_bias if self.before_reset else np.zeros_like(self.bias)
        if self.before_reset:
            back = self.recurred("R", state, slice(0, 3), bias)
            update = self.activated("zr", 0, self.gates(given, 0, 1), self.gates_of(back, 0, 1))
            z, r = self.gates(update, 0), self.gates(update, 1)
            inner = self.gates_of(back, 2)
            last = None if inner is None else self.product("rh", r, inner)
        else:
            back = self.recurred("Rzr", state, slice(0, 2), bias)
            update = self.activated("zr", 0, self.gates(given, 0, 1), back)
            z, r = self.gates(update, 0), self.gates(update, 1)
            last = self.recurred("Rh", self.product("rh", r, state), slice(2, 3), bias)
        new = self.activated("h", 1, self.gates(given, 2), last)
        change = self.sum("-h", [state, new], [1.0, -1.0])
        return self.sum("H", [new, self.product("z", z, change)], [1.0, 1.0]), cell

    def _lstm(self, given: Values, state: Values, cell: Values) -> tuple[Values, Values]:
        """``C' = f C + i c`` and ``H' = o h(C')``; the gates are i, o, f, c."""
        back = self.recurred("R", state, slice(0, 4), np.zeros_like(self.bias))

        def gate(name: str, which: int, peephole: Values | None) -> Values:
            return self.activated(
                name, 0, self.gates(given, which), self.gates_of(back, which), peephole
            )

        take = gate("i", 0, self.peeped("pi", cell, 0))
        if self.coupled:
            forget = self.sum("f", [take], [-1.0], 1.0)
        else:
            forget = gate("f", 2, self.peeped("pf", cell, 2))
        new = self.activated("c", 1, self.gates(given, 3), self.gates_of(back, 3))
        kept, added = self.product("fC", forget, cell), self.product("ic", take, new)
        cell = self.sum("C", [kept, added], [1.0, 1.0])
        show = gate("o", 1, self.peeped("po", cell, 1))
        return self.product("H", show, self.activations[2](f"{self.name}/hC", cell)), cell


def lower(node: Node) -> None:
    """Steps one after the other, in one direction or two."""
    builder, batch_first = node.builder, bool(node.attribute("layout", 0))
    x = node.activation().values
    if x.ndim != 3:
        raise Unsupported(f"input of shape {x.shape}, 3 dimensions are accepted")
    x = x.swapaxes(0, 1) if batch_first else x
    steps, batch, _ = x.shape
    directions = list(_directions(node, x.shape[2]))
    size = directions[0].size
    lengths = node.constant(4, np.full(batch, steps)).reshape(-1).astype(np.int64)
    if lengths.shape != (batch,) or not ((lengths >= 0) & (lengths <= steps)).all():
        raise Unsupported(f"sequence_lens {lengths.tolist()} of {steps} steps")
    shape = (len(directions), batch, size)
    hidden, cells = (_initial(node, at, shape, batch_first) for at in (5, 6))
    whole = np.full((steps, *shape), ZERO)
    names = {"reverse": (True,), "bidirectional": (False, True)}
    backwards = names.get(node.attribute("direction", "forward"), (False,))
    for number, (direction, back) in enumerate(zip(directions, backwards, strict=True)):
        given = direction.given(builder.solid(f"{direction.name}/pad", x))
        builder.repeats = True
        for step in range(steps):
            rows = np.flatnonzero(step < lengths)  # of the batch; the others have ended
            times = lengths[rows] - 1 - step if back else np.full(len(rows), step)
            if rows.size:
                made = direction.step(
                    node.operator, given[times, rows], hidden[number, rows], cells[number, rows]
                )
                hidden[number, rows], cells[number, rows] = made
                whole[times, number, rows] = hidden[number, rows]
        builder.repeats = False
    order = (2, 0, 1, 3) if batch_first else (0, 1, 2, 3)
    # (steps, directions, batch, size), or with the batch first (batch, steps, directions, size)
    outputs = [whole.transpose(order), *(
        each.swapaxes(0, 1) if batch_first else each for each in (hidden, cells)
    )]  # fmt: skip
    for position, values in enumerate(outputs):
        if position < len(node.proto.output) and node.proto.output[position]:
            node.emit(values, position)


def _initial(node: Node, position: int, shape: tuple[int, ...], batch_first: bool) -> Values:
    """Values (directions, batch, size) that a state begins with."""
    if not node.has(position) or (position == 6 and node.operator != "LSTM"):
        return np.full(shape, ZERO)
    value = node.value(position)
    if isinstance(value, Activation):
        values = value.values
    else:
        values = node.builder.constants(f"{node.name}/state {position}", node.weights(position))
    values = values.swapaxes(0, 1) if batch_first else values
    if values.shape != shape:
        raise Unsupported(f"a state of shape {values.shape}, {shape} is accepted")
    return values.copy()


def _directions(node: Node, inputs: int) -> Iterator[Direction]:
    """The node's weights, direction by direction."""
    gates, kind = _GATES[node.operator], node.attribute("direction", "forward")
    count = 2 if kind == "bidirectional" else 1
    if kind not in ("forward", "reverse", "bidirectional"):
        raise Unsupported(f"direction = {kind} is none of ONNX")
    weight, recurrence = node.weights(1, 3), node.weights(2, 3)
    size = recurrence.shape[2]
    rows = gates * size
    if weight.shape != (count, rows, inputs) or recurrence.shape != (count, rows, size):
        raise Unsupported(f"weights of shapes {weight.shape} and {recurrence.shape}")
    if node.attribute("hidden_size", size) != size:
        raise Unsupported(f"hidden_size is not that of the weights, {size}")
    bias = node.weights(3, 2) if node.has(3) else np.zeros((count, 2 * rows))
    peepholes = np.zeros((count, 3 * size))
    if node.operator == "LSTM" and node.has(7):
        peepholes = node.weights(7, 2)
    if bias.shape != (count, 2 * rows) or peepholes.shape != (count, 3 * size):
        raise Unsupported(f"bias or peepholes of shapes {bias.shape} and {peepholes.shape}")
    clip = float(node.attribute("clip", 0.0))
    functions = _activations(node, count)
    for number in range(count):
        yield Direction(
            builder=node.builder,
            name=f"{node.name}/{'back' if number or kind == 'reverse' else 'forth'}",
            size=size,
            weight=weight[number],
            recurrence=recurrence[number],
            bias=bias[number, :rows],
            state_bias=bias[number, rows:],
            peephole=peepholes[number].reshape(3, size),
            activations=functions[number],
            clip=clip if clip > 0 else inf,
            before_reset=node.operator == "GRU" and bool(node.attribute("linear_before_reset", 0)),
            coupled=bool(node.attribute("input_forget", 0)),
        )


def _activations(node: Node, directions: int) -> list[tuple[Activate, ...]]:
    """Activation functions of each direction."""
    default = _DEFAULTS[node.operator]
    names = [
        name.decode() if isinstance(name, bytes) else name
        for name in node.attribute("activations", default * directions)
    ]
    if len(names) != len(default) * directions:
        raise Unsupported(f"activations {names}, {len(default)} a direction are accepted")
    # Alpha and beta are lists for those functions only that have them, in their order.
    given = {what: list(node.attribute(f"activation_{what}", [])) for what in ("alpha", "beta")}
    made: list[Activate] = []
    for name in names:
        numbers = {
            what: given[what].pop(0) if given[what] else standard
            for what, standard in _CONSTANTS.get(name, {}).items()
        }
        made.append(_activation(node.builder, name, **numbers))
    each = len(default)
    return [tuple(made[n * each : (n + 1) * each]) for n in range(directions)]


def _activation(builder: Builder, name: str, alpha: float = 1.0, beta: float = 0.0) -> Activate:
    """One function of ONNX's list."""

    def line(low: float, high: float, slope: float = 1.0, offset: float = 0.0) -> Activate:
        return lambda layer, values: builder.weighted_sum(
            layer, [values], [slope], offset, low, high
        )

    def scaled_tanh(x: np.ndarray) -> np.ndarray:
        return alpha * np.tanh(beta * x)

    def leaky(x: np.ndarray) -> np.ndarray:
        return np.where(x < 0, alpha * x, x)

    lines = {
        "Relu": line(0.0, inf),
        "Affine": line(-inf, inf, alpha, beta),
        "HardSigmoid": line(0.0, 1.0, alpha, beta),
    }
    if name in lines:
        return lines[name]
    if name == "ThresholdedRelu":
        return lambda layer, values: builder.threshold(layer, values, alpha)
    tables = {
        **{each: FUNCTIONS[each] for each in ("Sigmoid", "Tanh", "Softplus", "Softsign")},
        "Elu": partial(FUNCTIONS["Elu"], alpha=alpha),
        "LeakyRelu": leaky,
        "ScaledTanh": scaled_tanh,
    }
    if name not in tables:
        raise Unsupported(f"activation {name} is none of {', '.join(sorted({*lines, *tables}))}")
    return lambda layer, values: builder.function(layer, values, tables[name])


HANDLERS = (Handler(("LSTM", "GRU", "RNN"), lower, stays=False),)
