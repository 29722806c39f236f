"""LSTM, GRU and RNN: gates, directions, states, and the tiles that steps share."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.mapping import encodings_of, place
from ohmloom.compiler.options import Options
from ohmloom.hw.geometry import Geometry

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, INPUTS, SIZE = 3, 2, 4, 5


def weights(operator: str, directions: int = 1, *, bias: bool = True, seed: int = 2):
    """W, R and B of a node, in its order."""
    rng, rows = np.random.default_rng(seed), GATES[operator] * SIZE
    found = {
        "W": rng.normal(0, 0.5, (directions, rows, INPUTS)),
        "R": rng.normal(0, 0.5, (directions, rows, SIZE)),
    }
    if bias:
        found["B"] = rng.normal(0, 0.5, (directions, 2 * rows))
    return {name: array.astype(np.float32) for name, array in found.items()}


def node(held, operator, inputs, outputs="y", **attributes):
    return held.node(operator, ["x", *inputs], outputs, hidden_size=SIZE, **attributes)


SHAPE = [STEPS, BATCH, INPUTS]


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("bias", [False, True])
def test_directions(held, operator, direction, bias):
    given = weights(operator, 1 + (direction == "bidirectional"), bias=bias)
    held.agrees(node(held, operator, given, direction=direction), SHAPE, given)


@pytest.mark.parametrize("operator", GATES)
def test_last_state(held, operator):
    given = weights(operator, 2)
    states = node(held, operator, given, "whole y", direction="bidirectional")
    held.agrees(states, SHAPE, given)


def test_last_cell(held):
    given = weights("LSTM")
    held.agrees(node(held, "LSTM", given, "whole last y"), SHAPE, given)


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("zero", [False, True])
def test_initial_states(held, operator, zero):
    given = weights(operator)
    state = np.random.default_rng(0).normal(size=(1, BATCH, SIZE)).astype("f") * (not zero)
    names = [*given, "", "h"]
    given["h"] = state
    if operator == "LSTM":
        given["c"] = state[..., ::-1].copy()
        names.append("c")
    held.agrees(node(held, operator, names), SHAPE, given)


def test_a_state_that_is_computed(held):
    given = weights("GRU") | {"axis": np.array([0], np.int64), "p": np.array([0, 0, 0, 0, 0, 1])}
    nodes = [
        held.node("ReduceSum", ["x", "axis"], "s"),
        held.node("Pad", ["s", "p"], "h"),
        node(held, "GRU", ["W", "R", "B", "", "h"]),
    ]
    held.agrees(nodes, SHAPE, given)


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_sequences_of_other_lengths(held, operator, direction):
    given: dict[str, np.ndarray] = dict(weights(operator))
    names = [*given, "lengths"]
    given = {**given, "lengths": np.array([3, 1], np.int32)}
    held.agrees(node(held, operator, names, direction=direction), SHAPE, given)
    held.agrees(node(held, operator, names, "whole y", direction=direction), SHAPE, given)


@pytest.mark.parametrize("before", [0, 1])
def test_gru_resets_before_or_after_its_matrix(held, before):
    given = weights("GRU")
    network = held.agrees(node(held, "GRU", given, linear_before_reset=before), SHAPE, given)
    other = held.agrees(node(held, "GRU", given, linear_before_reset=1 - before), SHAPE, given)
    x = np.random.default_rng(0).normal(size=(1, network.inputs))
    assert np.abs(network.forward(x) - other.forward(x)).max() > 1e-3


def test_lstm_peepholes_are_those_of_i_o_and_f(held):
    given = weights("LSTM")
    names = [*given, "", "", "", "P"]
    given["P"] = np.random.default_rng(4).normal(size=(1, 3 * SIZE)).astype("f")
    held.agrees(node(held, "LSTM", names), SHAPE, given)


def test_lstm_gates_are_i_o_f_and_c(held):
    """Only the bias of the last gate is not 0: the cell is half of its tanh, then so is more."""
    given = {name: np.zeros_like(array) for name, array in weights("LSTM").items()}
    given["B"][0, 3 * SIZE : 4 * SIZE] = 1.0
    network = held.agrees(node(held, "LSTM", given, "whole last y"), [1, 1, INPUTS], given)
    cell = network.forward(np.zeros((1, INPUTS)))
    np.testing.assert_allclose(cell, np.full((1, SIZE), np.tanh(1.0) / 2))


@pytest.mark.parametrize("operator", GATES)
def test_clip(held, operator):
    given = weights(operator)
    held.agrees(node(held, operator, given, clip=0.25), SHAPE, given)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("RNN", {"activations": ["Relu"]}),
        ("RNN", {"activations": ["LeakyRelu"], "activation_alpha": [0.2]}),
        ("RNN", {"activations": ["ThresholdedRelu"], "activation_alpha": [0.3]}),
        ("RNN", {"activations": ["Elu"], "activation_alpha": [0.5]}),
        ("GRU", {"activations": ["HardSigmoid", "Softsign"], "activation_alpha": [0.3],
                 "activation_beta": [0.4]}),
        ("LSTM", {"activations": ["Sigmoid", "ScaledTanh", "Affine"],
                  "activation_alpha": [0.5, 0.7], "activation_beta": [1.5, 0.1]}),
        ("LSTM", {"activations": ["Sigmoid", "Softplus", "Tanh"]}),
    ],
)  # fmt: skip
def test_activation_functions(held, operator, attributes):
    given = weights(operator)
    held.agrees(node(held, operator, given, **attributes), SHAPE, given)


def test_an_lstm_may_forget_what_it_does_not_take(held):
    given = weights("LSTM")
    held.agrees(node(held, "LSTM", given, input_forget=1), SHAPE, given)


@pytest.mark.parametrize("operator", GATES)
def test_batch_first(held, operator):
    """Only the reference of ONNX has it: the same numbers, their axes swapped."""
    given = weights(operator)
    plain = held.agrees(node(held, operator, given), SHAPE, given)
    held.save(node(held, operator, given, layout=1), [BATCH, STEPS, INPUTS], given)
    swapped = held.load()
    x = np.random.default_rng(0).normal(size=(1, *SHAPE))
    found = swapped.forward(x.swapaxes(1, 2).reshape(1, -1)).reshape(BATCH, STEPS, 1, SIZE)
    expected = plain.forward(x.reshape(1, -1)).reshape(STEPS, 1, BATCH, SIZE)
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1, 3))


@pytest.mark.parametrize("operator", GATES)
def test_on_the_engine(held, operator):
    given = weights(operator)
    held.runs(node(held, operator, given), SHAPE, given)


@pytest.mark.parametrize("operator", GATES)
def test_weights_are_on_the_tiles_once(held, operator):
    given = weights(operator)
    placed = []
    for steps in (2, 5):
        network = held.agrees(node(held, operator, given), [steps, 1, INPUTS], given)
        encodings = encodings_of(network, Options(), 32)
        placed.append(len(place(network, Geometry(tiles=4096), encodings)))
    assert placed[0] == placed[1]


def test_refused(held):
    given = weights("LSTM")
    held.refused(
        node(held, "LSTM", given, activations=["Sigmoid", "Tanh", "Cube"]), SHAPE, given, "Cube"
    )
