"""Calibration and integer weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ohmloom.compiler.encoding import Encoding
from ohmloom.compiler.errors import CalibrationError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.layers import Matrix
from ohmloom.compiler.quantise import (
    CHANNEL_RANGE_BITS,
    calibrate,
    choose_scales,
    quantise,
    quantise_weight,
    widened,
)

MATRIX = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-1e3, 1e3)
)


def held_on(levels):
    """The same cells for all layers."""
    return dict.fromkeys(range(9), Encoding(levels))


@given(MATRIX, st.integers(2, 256))
def test_weights_are_within_half_a_step(weight, levels):
    integers, scale = quantise_weight(weight, levels - 1)
    assert np.abs(integers).max() <= levels - 1
    assert (scale > 0).all() and np.array_equal(scale, scale.astype(np.float32))
    error = np.abs(integers * scale[:, None] - weight)
    assert (error <= scale[:, None] * 0.5001).all()


@given(MATRIX)
def test_the_largest_weight_of_a_channel_is_on_the_top_level(weight):
    peak = np.abs(weight).max(axis=1)
    integers, _ = quantise_weight(weight, 31)
    used = (peak > 1e-30) & (peak > 2.0 ** (1 - CHANNEL_RANGE_BITS) * peak.max())
    assert (np.abs(integers).max(axis=1)[used] == 31).all()


def test_zero_channels_and_dead_channels_have_a_scale():
    integers, scale = quantise_weight(np.array([[1.0, -0.6], [0.0, 0.0], [1e-30, 0.0]]), 15)
    assert integers.tolist() == [[15, -9], [0, 0], [0, 0]]
    assert (scale > 0).all()
    assert quantise_weight(np.zeros((2, 3)), 15)[1].tolist() == [1.0, 1.0]


@pytest.fixture
def network(zoo, tmp_path):
    return load_model(zoo.save(zoo.mlp((6, 5, 3)), tmp_path))


def test_ranges_are_those_of_the_samples(network):
    samples = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    tensors = list(network.run(samples.astype(np.float64)))
    np.testing.assert_array_equal(tensors[0], samples)
    np.testing.assert_array_equal(tensors[-1], network.forward(samples.astype(np.float64)))
    np.testing.assert_allclose(calibrate(network, samples), [(t.min(), t.max()) for t in tensors])


@settings(max_examples=25)
@given(st.integers(4, 12), st.integers(0, 1000))
def test_integer_network_approximates_the_float_one(zoo, tmp_path_factory, bits, seed):
    network = load_model(zoo.save(zoo.mlp((6, 7, 4), seed), tmp_path_factory.mktemp("mlp")))
    samples = np.random.default_rng(seed).normal(size=(30, 6)).astype(np.float32)
    scales = choose_scales(network, calibrate(network, samples), bits, 16)
    drive = scales[0].quantise(samples).astype(np.float64)
    for block, layer in zip(
        quantise(network, scales, held_on(256), 1.6), network.layers, strict=True
    ):
        y = drive @ block.weight.T * (block.input.scale * block.weight_scale) + block.bias
        assert isinstance(layer, Matrix)
        low, high = block.output.between(layer.low, layer.high)
        drive = np.clip(np.rint(y / block.output.scale), low, high)
    found = scales[-1].dequantise(drive)
    expected = network.forward(samples.astype(float))
    # Each input may be off by half a step, so may each hidden value; weights add about 1/510.
    step = scales[0].scale * 2.5 + scales[1].scale * 2.5
    assert np.abs(found - expected).max() < 0.75 * step * np.sqrt(7) + 0.05


def test_hidden_and_output_scales(network):
    samples = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    scales = choose_scales(network, calibrate(network, samples), 8, 16)
    first, last = quantise(network, scales, held_on(32), 13.2)
    assert (first.input, first.output, last.input, last.output) == (*scales[:2], *scales[1:])
    assert (first.layer, first.block, last.layer, last.block) == (0, 0, 1, 0)
    assert first.output.zero_point == 0 and first.output.between(0, np.inf) == (0, 255)
    assert last.output.bits == 16 and last.output.between(-np.inf, np.inf) == (-32768, 32767)


def test_what_is_read_together_has_one_scale(zoo, tmp_path):
    nodes = [
        zoo.node("MatMul", ["x", "w"], "a"),
        zoo.node("MatMul", ["x", "v"], "b"),
        zoo.node("Concat", ["a", "b"], "c", axis=1),
        zoo.node("MatMul", ["c", "u"], "y"),
    ]
    weights = {
        "w": np.eye(6, dtype="f"),
        "v": 100 * np.eye(6, dtype="f"),
        "u": np.ones((12, 2), "f"),
    }
    network = load_model(zoo.save(zoo.model(nodes, weights), tmp_path))
    assert network.same_scale() == [0, 1, 1, 3]
    ranges = calibrate(network, np.eye(6, dtype="f"))
    _, first, second, _ = choose_scales(network, ranges, 8, 16)
    assert first == second and first.high * first.scale == pytest.approx(100)


def test_places_of_maxima_are_whole_numbers(zoo, tmp_path):
    nodes = [zoo.node("MatMul", ["x", "w"], "h"), zoo.node("ArgMax", ["h"], "y", axis=1)]
    proto = zoo.model(nodes, {"w": np.eye(6, dtype="f")})
    proto.graph.output[0].type.tensor_type.elem_type = 7
    network = load_model(zoo.save(proto, tmp_path))
    scales = choose_scales(network, calibrate(network, np.eye(6, dtype="f")), 8, 16)
    assert scales[-1].scale == 1.0


@pytest.mark.parametrize(
    "samples,words",
    [
        (np.zeros((0, 6), "f"), "at least one sample"),
        (np.zeros((4, 5), "f"), r"\(4, 5\), \(N, 6\) is accepted"),
        (np.zeros(6, "f"), r"\(6,\), \(N, 6\) is accepted"),
        (np.full((2, 6), np.nan), "12 values that are not finite"),
        (np.full((2, 6), 1e300), "not finite"),
        (np.zeros((2, 6), complex), "complex128, real numbers"),
        (np.full((2, 6), "a"), "<U1, real numbers"),
        (np.full((2, 6), 1e38), "drive layer 'MatMul_m0'"),
    ],
)
def test_samples_that_do_not_fit(network, samples, words):
    network.layers[0].blocks[0].weight[:] = 100.0
    with pytest.raises(CalibrationError, match=words):
        calibrate(network, samples)


def test_integers_of_a_model_are_widened_by_powers_of_two():
    integers = np.array([[100, -3], [0, 0], [1, -64], [255, 2]], np.int32)
    scale = np.array([0.1, 0.2, 0.3, 0.4])
    made, scales = widened(integers, scale, 255, np.zeros(4))
    assert np.array_equal(made, [[200, -6], [0, 0], [2, -128], [255, 2]])
    assert np.array_equal(made * scales[:, np.newaxis], integers * scale[:, np.newaxis])
    # A bias that would not fit keeps the scale as coarse as it has to be.
    made, scales = widened(integers, scale, 1023, np.array([0.04, 0.0, 0.3, 0.5]))
    assert np.array_equal(made[:, 0], [200, 0, 1, 255])
    assert np.array_equal(scales, [0.05, 0.2 / 512, 0.3, 0.4])
