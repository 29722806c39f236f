"""Knobs of one layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.compiler.bundle import load_bundle, write_bundle
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.options import LayerOptions, Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.report import summarise
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.devices import load

X = np.random.default_rng(0).normal(size=(16, 1, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def path(zoo, tmp_path_factory):
    return zoo.save(zoo.cnn(), tmp_path_factory.mktemp("cnn"))


def made(path, **layers):
    own = {name: LayerOptions(**each) for name, each in layers.items()}
    return compile_model(path, load("ideal"), X, options=Options(layers=own))


def test_bits_of_one_tensor(path):
    compiled = made(path, Conv_c1={"act_bits": 4}, x={"act_bits": 12})
    scales = {layer.name: layer.output.bits for layer in compiled.layers}
    assert scales["Conv_c1"] == 4 and compiled.input.bits == 12
    plain = {layer.name: layer.output.bits for layer in made(path).layers}
    # The layers that only pass values on have the scale of what they pass on.
    different = {name for name in plain if plain[name] != scales[name]}
    assert different == {"Conv_c1", "Conv_c0/pad"}


def test_the_range_of_one_layer(path):
    plain, own = made(path), made(path, Conv_c1={"tia_range": 1})
    names = [layer.name for layer in plain.layers]
    for which, tia_range in own.matrix_ranges.items():
        wanted = 1 if names[which[0]] == "Conv_c1" else plain.matrix_ranges[which]
        assert tia_range == wanted
    (moved,) = (w for w in plain.matrix_ranges if names[w[0]] == "Conv_c1")
    assert plain.matrix_ranges[moved] != 1


def test_coarse_values_of_a_layer_cost_accuracy(digits):
    """The knob is a real one: 4 bits in the hidden layer change what the network says."""
    device, found = load("cspbbr3_ogb"), []
    for layers in ({}, {"hidden": LayerOptions(act_bits=4)}):
        compiled = compile_model(digits.model, device, digits.calib, options=Options(layers=layers))
        output = build_engine(compiled).infer(quantise_input(compiled, digits.x)).output
        found.append(dequantise_output(compiled, output))
    assert accuracy(found[1], digits.y) > 0.9
    assert np.abs(found[0] - found[1]).max() > 0.05 * np.abs(found[0]).max()


def test_slices_of_one_layer(path):
    """Finer weights where they are asked for, on cells of their own, the others as they were."""
    plain, own = made(path), made(path, Conv_c1={"slices": 3})
    names = [layer.name for layer in plain.layers]
    for number, name in enumerate(names):
        slices = {p.slice for p in own.placements if p.layer == number}
        wanted = {0, 1, 2} if name == "Conv_c1" else {0}
        assert slices == (wanted if plain.layers[number].weights else set())
    report = {layer["name"]: layer["slices"] for layer in summarise(own)["layers"]}
    assert report == {
        layer.name: (3 if layer.name == "Conv_c1" else 1) if layer.weights else None
        for layer in plain.layers
    }
    x = plain.input.quantise(X.reshape(16, -1))
    one, three = (build_engine(each).infer(x).layers for each in (plain, own))
    before = names[: names.index("Conv_c1")]
    assert all(np.array_equal(one[name], three[name]) for name in before if name in one)
    assert not np.array_equal(one["Conv_c1"], three["Conv_c1"])


def test_the_choice_of_a_layer_goes_before_that_for_all(digits):
    own = Options(slices=2, layers={"hidden": LayerOptions(slices=1)})
    compiled = compile_model(digits.model, load("vb3"), digits.calib, options=own)
    assert [compiled.encodings[n].slices for n in range(2)] == [1, 2]
    assert {(p.layer, p.slice) for p in compiled.placements} == {(0, 0), (1, 0), (1, 1)}


def test_steps_that_share_cells_have_the_slices_of_the_first(zoo, tmp_path):
    rng = np.random.default_rng(1)
    weights = {"W": rng.normal(size=(1, 5, 4)), "R": rng.normal(size=(1, 5, 5))}
    nodes = [zoo.node("RNN", ["x", "W", "R"], "y", hidden_size=5)]
    weights = {name: each.astype(np.float32) for name, each in weights.items()}
    path = zoo.save(zoo.model(nodes, weights, (3, 1, 4), rank=4), tmp_path)
    x = np.random.default_rng(0).normal(size=(4, 3, 1, 4)).astype(np.float32)
    plain = compile_model(path, load("ideal"), x)
    holder = "RNN_y/forth/R"
    others = [n.name for n in plain.layers if n.name.startswith(f"{holder}/")]
    assert others
    twice = {holder: LayerOptions(slices=2)}
    own = compile_model(path, load("ideal"), x, options=Options(layers=twice))
    assert {p.slice for p in own.placements if own.layers[p.layer].name == holder} == {0, 1}
    for agrees in (LayerOptions(slices=2), LayerOptions(act_bits=9)):
        both = Options(layers=twice | {others[0]: agrees})
        assert (compile_model(path, load("ideal"), x, options=both).levels == own.levels).all()
    for differs in (LayerOptions(slices=3), LayerOptions(scheme="offset")):
        other = Options(layers=twice | {others[0]: differs})
        with pytest.raises(TargetError, match=f"'{others[0]}' is on the cells of layer '{holder}'"):
            compile_model(path, load("ideal"), x, options=other)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"MaxPool_p": {"slices": 2}}, "'MaxPool_p' has no matrix"),
        ({"Conv_c9": {"act_bits": 4}}, "no layer 'Conv_c9', but x, "),
        ({"MaxPool_p": {"tia_range": 1}}, "'MaxPool_p' has no matrix"),
    ],
)
def test_what_does_not_fit_the_network(path, layers, words):
    with pytest.raises(TargetError, match=words):
        made(path, **layers)


def test_more_bits_than_words_have(digits):
    own = Options(layers={"hidden": LayerOptions(act_bits=12)})
    geometry = replace(Geometry(), act_width=9)
    with pytest.raises(TargetError, match="12-bit activations do not fit the target's 9-bit"):
        compile_model(digits.model, load("ideal"), digits.calib, geometry, own)


def test_they_are_in_the_bundle(path, tmp_path):
    compiled = made(path, Conv_c1={"act_bits": 4, "tia_range": 0, "slices": 2})
    again = load_bundle(write_bundle(compiled, tmp_path / "own.ohm"))
    assert again.options == compiled.options
    assert again.options.layers["Conv_c1"] == LayerOptions(act_bits=4, tia_range=0, slices=2)
