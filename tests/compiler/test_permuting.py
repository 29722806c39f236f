"""Channels in another order: the same integers, and less of the weights in stuck cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from ohmloom.compiler.bundle import load_bundle, write_bundle
from ohmloom.compiler.cells import Cells, assign
from ohmloom.compiler.channels import Channels
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.encoding import Encoding
from ohmloom.compiler.errors import BundleError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.graph import Network
from ohmloom.compiler.layers import Matrix
from ohmloom.compiler.mapping import place, tiles_used
from ohmloom.compiler.options import Options
from ohmloom.compiler.permuting import Order, find_order
from ohmloom.compiler.pipeline import Source, calibrated, compile_network
from ohmloom.compiler.quantise import choose_scales, quantise
from ohmloom.compiler.report import predict
from ohmloom.compiler.runner import build_engine, in_order
from ohmloom.compiler.seen import look
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load

from .conftest import Zoo
from .test_packing import EXACT, ROOMY, WHOLE

OGB = load("cspbbr3_ogb")
RNG = np.random.default_rng(7)


def lenet() -> ModelProto:
    """Conv, pool, conv, flatten, two matrices; constants of each channel behind a pool."""
    shapes = {"k": (6, 1, 3, 3), "l": (4, 6, 2, 2), "w": (16, 20), "v": (20, 3), "s": (1, 6, 1, 1)}
    weights = {name: RNG.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    weights["b"] = RNG.normal(0, 0.5, 6).astype(np.float32)
    nodes = [
        Zoo.node("Conv", ["x", "k", "b"], "c", pads=[1, 1, 1, 1]),
        Zoo.node("Relu", ["c"], "r"),
        Zoo.node("MaxPool", ["r"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        Zoo.node("Mul", ["p", "s"], "m"),
        Zoo.node("Conv", ["m", "l"], "d"),
        Zoo.node("Flatten", ["d"], "f"),
        Zoo.node("Gemm", ["f", "w"], "g"),
        Zoo.node("Relu", ["g"], "h"),
        Zoo.node("Gemm", ["h", "v"], "y"),
    ]
    return Zoo.model(nodes, weights, ("N", 1, 6, 6))


def grouped() -> ModelProto:
    shapes = {"k": (6, 1, 3, 3), "l": (4, 3, 2, 2), "m": (4, 1, 2, 2), "v": (2, 4, 1, 1)}
    weights = {name: RNG.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        Zoo.node("Conv", ["x", "k"], "c"),
        Zoo.node("Conv", ["c", "l"], "d", group=2),
        Zoo.node("ConvTranspose", ["d", "m"], "e", strides=[2, 2], group=4),
        Zoo.node("Conv", ["e", "v"], "y"),
    ]
    return Zoo.model(nodes, weights, ("N", 1, 6, 6), rank=4)


MODELS: dict[str, Callable[[], ModelProto]] = {
    "mlp": lambda: Zoo.mlp([36, 20, 9, 3]),
    "residual": lambda: Zoo.cnn(maps=5),
    "lenet": lenet,
    "grouped": grouped,
}
SAMPLES = np.random.default_rng(1).normal(size=(12, 36)).astype(np.float32)


@cache
def source_of(name: str) -> Source:
    with TemporaryDirectory() as folder:
        network = load_model(Zoo.save(MODELS[name](), Path(folder)))
    return calibrated(network, SAMPLES.reshape(12, *network.input_shape))


def any_order(network: Network, seed: int) -> Order:
    channels, rng = Channels(network), np.random.default_rng(seed)
    to = np.arange(channels.count)
    for group in channels.groups:
        to[group] = group[rng.permutation(len(group))]
    return Order(network, channels, to)


def traced(compiled: Compiled, x: np.ndarray, **engine) -> dict[str, np.ndarray]:
    """Integers of every layer, in the model's order."""
    trace = build_engine(compiled, **engine).infer(compiled.input.quantise(x))
    return in_order(compiled, trace.layers)


def same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> bool:
    assert list(found) == list(wanted)
    return all(np.array_equal(found[name], wanted[name]) for name in wanted)


@settings(max_examples=20)
@given(st.sampled_from(sorted(MODELS)), st.integers(0, 999), st.sampled_from([1, 2]))
def test_in_any_order_every_layer_has_the_same_integers(name, seed, slices):
    source, options = source_of(name), Options(slices=slices, golden_samples=0)
    order = any_order(source.network, seed)
    assert order.channels.groups
    moved = Source(order.of_network(), source.x, source.ranges)
    compiled, other = (
        compile_network(name, each, EXACT, ROOMY, options, WHOLE) for each in (source, moved)
    )
    assert len(other.image.code) == len(compiled.image.code)
    assert predict(other) == predict(compiled)
    infos = (replace(info, moved=order.moves.get(info.name, ())) for info in other.layers)
    other = replace(other, layers=tuple(infos))
    wanted = traced(compiled, source.x, read_noise=False)
    found = traced(other, source.x, read_noise=False)
    assert same(found, wanted)
    if order.moves:
        raw = build_engine(other, read_noise=False).infer(other.input.quantise(source.x)).layers
        assert not same(raw, wanted)  # what was compared is not what lies in memory


@given(st.sampled_from(sorted(MODELS)), st.integers(0, 999))
def test_floats_are_the_same_too(name, seed):
    source = source_of(name)
    order = any_order(source.network, seed)
    wanted = source.network.forward(source.x.astype(np.float64))
    found = order.of_network().forward(source.x.astype(np.float64))
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@given(st.sampled_from(sorted(MODELS)), st.integers(0, 999))
def test_integers_in_an_order_are_those_of_the_network_in_that_order(name, seed):
    source = source_of(name)
    scales = choose_scales(source.network, source.ranges, 8, 16)
    order = any_order(source.network, seed)
    encodings = dict.fromkeys(range(len(source.network.layers)), Encoding(16))
    found = order.of_blocks(quantise(source.network, scales, encodings, 4.0))
    for a, b in zip(found, quantise(order.of_network(), scales, encodings, 4.0), strict=True):
        assert np.array_equal(a.weight, b.weight)
        assert np.array_equal(a.weight_scale, b.weight_scale) and np.array_equal(a.bias, b.bias)
    seen, again = (
        look(each, source.x.astype(np.float64), means=True)
        for each in (source.network, order.of_network())
    )
    for which, draws in order.of_seen(seen).draws.items():
        np.testing.assert_allclose(draws, again.draws[which], atol=1e-9)


# -- errors -------------------------------------------------------------------------------


def error(cells: Cells, blocks, seen) -> float:
    """What is lost, of what cells hold."""
    total = 0.0
    for block in blocks:
        which = block.layer, block.block
        square = np.square(seen.draws[which]).mean(axis=0)
        square += square.mean() / 16
        own = np.square(block.weight_scale)[:, np.newaxis] * square
        off = np.square(block.weight - cells.weights[which])
        total += float((own * off).sum() / (own * np.square(block.weight.astype(float))).sum())
    return total


@settings(max_examples=25)
@given(
    st.sampled_from(sorted(MODELS)),
    st.integers(0, 999),
    st.sampled_from([0.02, 0.2]),
    st.booleans(),
    st.sampled_from(
        [
            Encoding(16),
            Encoding(4, 2),
            Encoding(16, 1, "offset"),
            Encoding(4, 3, "offset"),
            Encoding(4, 3, "twos-complement"),
        ]
    ),
)
def test_never_more_is_lost_than_without(name, seed, share, spare, encoding):
    source = source_of(name)
    network, rng = source.network, np.random.default_rng(seed)
    scales = choose_scales(network, source.ranges, 8, 16)
    encodings = {number: encoding for number in range(len(network.layers))}
    blocks = quantise(network, scales, encodings, 4.0)
    placements = place(network, ROOMY, encodings, spare=spare)
    shape = tiles_used(placements), ROOMY.rows, ROOMY.columns
    at = rng.choice([0.0, encoding.levels - 1, 1.3 * encoding.levels], shape)
    stuck = np.where(rng.random(shape) < share, at, np.nan)
    seen = look(network, source.x.astype(np.float64), means=False)

    def lost(order: Order) -> float:
        own = order.of_blocks(blocks)
        cells = assign(own, placements, ROOMY, encodings, stuck, spare=spare)
        return error(cells, own, order.of_seen(seen))

    def find(steps) -> Order:
        return find_order(
            network, blocks, placements, ROOMY, encodings, stuck, seen, steps, spare=spare
        )

    order = find(lambda *_: 0)
    channels = order.channels
    before = lost(Order(network, channels, np.arange(channels.count)))
    if order.moves:
        assert lost(order) < before
    if share > 0.1 and name == "mlp":
        assert order.moves
    # One that takes more than none is not taken.
    told = iter(range(100))
    assert not find(lambda *_: next(told)).moves


def halves(outputs: int, wrong: Sequence[int]) -> tuple[Source, np.ndarray]:
    """A matrix whose outputs have weights of one sign each, and a map for another order.

    Pairs in ``wrong`` have G+ stuck on the lowest level, so that they hold what is negative
    alone; the others have G- there.
    """
    rng = np.random.default_rng(3)
    network = load_model_of([6, outputs, 3])
    first = network.layers[0]
    assert isinstance(first, Matrix)
    first.blocks[0].weight[:] = rng.uniform(0.2, 1, (outputs, 6)).astype(np.float32)
    first.blocks[0].weight[outputs // 2 :] *= -1
    source = calibrated(network, rng.uniform(0, 1, (12, 6)).astype(np.float32))
    faults = np.full((8, 16, 16), np.nan)
    for pair in range(outputs):
        faults[0, :6, 2 * pair + (pair not in wrong)] = EXACT.levels[0]
    return source, faults


def load_model_of(sizes: Sequence[int]) -> Network:
    with TemporaryDirectory() as folder:
        return load_model(Zoo.save(Zoo.mlp(sizes), Path(folder)))


def test_the_order_that_a_map_asks_for_is_found():
    source, faults = halves(8, wrong=(0, 2, 3, 6))
    geometry = replace(ROOMY, tiles=8)

    def compiled(faults: np.ndarray | None, **options) -> Compiled:
        return compile_network(
            "halves", source, EXACT, geometry, Options(spare=False, **options), WHOLE, faults
        )

    ideal, blind, found = compiled(None), compiled(faults, permute=False), compiled(faults)
    moved = found.layers[0].moved
    # The first half is positive.
    assert sorted(moved[:4]) == [1, 4, 5, 7] and sorted(moved[4:]) == [0, 2, 3, 6]
    assert not found.layers[1].moved and not blind.layers[0].moved
    wanted = traced(ideal, source.x, read_noise=False)
    assert same(traced(found, source.x, read_noise=False, faults=faults), wanted)
    assert not same(traced(blind, source.x, read_noise=False, faults=faults), wanted)


def test_a_map_without_stuck_cells_changes_nothing():
    source = source_of("residual")
    without, found = (
        compile_network("r", source, EXACT, ROOMY, Options(spare=False), WHOLE, faults)
        for faults in (None, np.full((50, 16, 16), np.nan))
    )
    assert np.array_equal(without.levels, found.levels) and without.layers == found.layers
    assert without.image.code == found.image.code


@pytest.fixture(scope="module", params=["residual", "lenet"])
def around(request) -> tuple[Source, np.ndarray, Compiled, Compiled]:
    """A network on the real device, 8 % of its cells stuck: compiled without and with."""
    source, rng = source_of(request.param), np.random.default_rng(2)
    shape = 60, 32, 32
    at = rng.choice([OGB.levels[0], OGB.levels[-1]], shape)
    faults = np.where(rng.random(shape) < 0.08, at, np.nan)
    geometry = Geometry(tiles=60)
    made = [
        compile_network(
            "n", source, OGB, geometry, Options(permute=permute, seed=3), Converters(), faults
        )
        for permute in (False, True)
    ]
    return source, faults, made[0], made[1]


def test_it_takes_the_same_cycles_and_gives_better_values(around):
    source, faults, without, found = around
    assert any(layer.moved for layer in found.layers) and not found.layers[-1].moved
    told, wanted = predict(found), predict(without)
    assert told is not None and wanted is not None and told["later"] <= wanted["later"]
    assert len(found.image.code) <= len(without.image.code)
    floats = source.network.forward(source.x.astype(np.float64))

    def off(compiled: Compiled) -> float:
        engine = build_engine(compiled, faults=faults)
        output = engine.infer(compiled.input.quantise(source.x)).output
        return float(np.square(compiled.layers[-1].output.dequantise(output) - floats).mean())

    assert off(found) < off(without)


def test_every_layer_is_compared_in_the_models_order(around):
    source, faults, _, found = around
    values = traced(found, source.x, faults=faults)
    for number, _, floats in source.network.steps(source.x.astype(np.float64)):
        info = found.layers[number]
        have = info.output.dequantise(values[info.name])
        assert np.corrcoef(have.reshape(-1), floats.reshape(-1))[0, 1] > 0.9, info.name


def test_a_bundle_says_where_channels_are(around, tmp_path):
    source, faults, _, found = around
    path = write_bundle(found, tmp_path / "n.ohm")
    loaded = load_bundle(path)
    assert loaded.layers == found.layers and any(layer.moved for layer in loaded.layers)
    wanted = traced(found, source.x, faults=faults)
    assert same(traced(loaded, source.x, faults=faults), wanted)
    manifest = (path / "manifest.json").read_text()
    number = next(n for n, layer in enumerate(found.layers) if layer.moved)
    first, second = found.layers[number].moved[:2]
    begin = manifest.index('"moved": [\n        ')
    assert str(first) in manifest[begin : begin + 40]
    (path / "manifest.json").write_text(
        manifest[:begin] + manifest[begin:].replace(str(first), str(second), 1)
    )
    with pytest.raises(BundleError, match="channels of layer .* in no order"):
        load_bundle(path)


def test_steps_that_are_repeated_are_left_alone(tmp_path):
    shapes = {"w": (1, 4, 3), "r": (1, 4, 4), "v": (4, 5), "u": (5, 2)}
    weights = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        Zoo.node("RNN", ["x", "w", "r"], "h", hidden_size=4),
        Zoo.node("Reshape", ["h", "shape"], "f"),
        Zoo.node("MatMul", ["f", "v"], "g"),
        Zoo.node("MatMul", ["g", "u"], "y"),
    ]
    weights["shape"] = np.array([3, 4])
    network = load_model(Zoo.save(Zoo.model(nodes, weights, (3, 1, 3)), tmp_path))
    x = RNG.normal(size=(9, 3, 1, 3)).astype(np.float32)
    rng = np.random.default_rng(0)
    faults = np.where(rng.random((20, 16, 16)) < 0.2, OGB.levels[0], np.nan)
    found = compile_network(
        "rnn",
        calibrated(network, x),
        OGB,
        replace(ROOMY, tiles=20),
        Options(),
        Converters(),
        faults,
    )
    moved = {layer.name for layer in found.layers if layer.moved}
    assert moved == {"MatMul_g"}
