"""Calibration and integer weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ohmloom.compiler.errors import CalibrationError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.quantise import CHANNEL_RANGE_BITS, calibrate, quantise, quantise_weight

MATRIX = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-1e3, 1e3)
)


@given(MATRIX, st.integers(2, 256))
def test_weights_are_within_half_a_step(weight, levels):
    integers, scale = quantise_weight(weight, levels)
    assert np.abs(integers).max() <= levels - 1
    assert (scale > 0).all() and np.array_equal(scale, scale.astype(np.float32))
    error = np.abs(integers * scale[:, None] - weight)
    assert (error <= scale[:, None] * 0.5001).all()


@given(MATRIX)
def test_the_largest_weight_of_a_channel_is_on_the_top_level(weight):
    peak = np.abs(weight).max(axis=1)
    integers, _ = quantise_weight(weight, 32)
    used = (peak > 1e-30) & (peak > 2.0 ** (1 - CHANNEL_RANGE_BITS) * peak.max())
    assert (np.abs(integers).max(axis=1)[used] == 31).all()


def test_zero_channels_and_dead_channels_have_a_scale():
    integers, scale = quantise_weight(np.array([[1.0, -0.6], [0.0, 0.0], [1e-30, 0.0]]), 16)
    assert integers.tolist() == [[15, -9], [0, 0], [0, 0]]
    assert (scale > 0).all()
    assert quantise_weight(np.zeros((2, 3)), 16)[1].tolist() == [1.0, 1.0]


@pytest.fixture
def network(zoo, tmp_path):
    return load_model(zoo.save(zoo.mlp((6, 5, 3)), tmp_path))


def test_ranges_are_those_of_the_samples(network):
    samples = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    ranges = calibrate(network, samples)
    hidden = network.layers[0].forward(samples.astype(float))
    output = network.layers[1].forward(hidden)
    expected = [(t.min(), t.max()) for t in (samples, hidden, output)]
    np.testing.assert_allclose(ranges, expected)


@settings(max_examples=25)
@given(st.integers(4, 12), st.integers(0, 1000))
def test_integer_network_approximates_the_float_one(zoo, tmp_path_factory, bits, seed):
    network = load_model(zoo.save(zoo.mlp((6, 7, 4), seed), tmp_path_factory.mktemp("mlp")))
    samples = np.random.default_rng(seed).normal(size=(30, 6)).astype(np.float32)
    layers = quantise(network, calibrate(network, samples), 256, 1.6, bits, 16)
    drive = layers[0].input.quantise(samples).astype(np.float64)
    for layer in layers:
        y = drive @ layer.weight.T * (layer.input.scale * layer.weight_scale) + layer.bias
        drive = np.clip(np.rint(y / layer.output.scale), *layer.clamp)
    found = layers[-1].output.dequantise(drive)
    expected = network.forward(samples.astype(float))
    # Each input may be off by half a step, so may each hidden value; weights add about 1/510.
    step = layers[0].input.scale * 2.5 + layers[1].input.scale * 2.5
    assert np.abs(found - expected).max() < 0.75 * step * np.sqrt(7) + 0.05


def test_hidden_and_output_scales(network):
    samples = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    first, last = quantise(network, calibrate(network, samples), 32, 13.2, 8, 16)
    assert first.output == last.input
    assert first.output.zero_point == 0 and first.clamp == (0, 255)
    assert last.output.bits == 16 and last.clamp == (-32768, 32767)


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
    network.layers[0].weight[:] = 100.0
    with pytest.raises(CalibrationError, match=words):
        calibrate(network, samples)
