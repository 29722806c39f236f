"""Weights as cells hold them: the same as an array that is really written."""

from __future__ import annotations

import numpy as np
import pytest

import ohmloom
from ohmloom.compiler.encoding import Encoding
from ohmloom.compiler.options import LayerOptions, Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine
from ohmloom.compiler.weight_noise import WeightNoise, weight_noise
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.devices import load

DEVICE = "cspbbr3_ogb"


@pytest.fixture(scope="module")
def noise():
    return weight_noise(DEVICE)


def drawn(shape=(8, 4, 3, 3)):
    return np.random.default_rng(0).normal(size=shape)


def test_an_ideal_device_holds_what_it_is_written():
    ideal = weight_noise("ideal:16")
    np.testing.assert_allclose(ideal.mean, np.arange(16), atol=1e-9)
    np.testing.assert_allclose(ideal.spread, 0, atol=1e-9)
    weight = drawn()
    held = ideal.sample(weight, np.random.default_rng(1))
    step = np.abs(weight).reshape(8, -1).max(axis=1) / 15
    assert held.shape == weight.shape
    assert (np.abs(held - weight).reshape(8, -1).max(axis=1) <= 0.5001 * step).all()


def test_levels_are_where_cells_of_a_network_are(noise, zoo, tmp_path):
    """Another network, another array: the same spread about the same levels."""
    path = zoo.save(zoo.mlp((32, 32, 32)), tmp_path)
    x = np.random.default_rng(2).normal(size=(8, 32)).astype(np.float32)
    device = load(DEVICE)
    compiled = compile_model(path, device, x, Geometry(), Options(seed=5))
    steps = (build_engine(compiled).array.g - device.levels[0]) / (device.level_step * device.g_lsb)
    off = (steps - noise.mean[compiled.levels]) / noise.spread[compiled.levels]
    assert abs(off.mean()) < 0.1
    assert off.std() == pytest.approx(1, abs=0.1)


def test_one_shot_scatters_more(noise):
    once = weight_noise(DEVICE, Options(verify=False))
    assert once.spread.mean() > 1.2 * noise.spread.mean()


def test_slices_make_weights_finer():
    levels = np.arange(4.0)
    weight = drawn((4, 50))
    errors = []
    for count in (1, 2, 3):
        exact = WeightNoise(levels, np.zeros(4), Encoding(4, count))
        held = exact.sample(weight, np.random.default_rng(0))
        errors.append(np.abs(held - weight).max())
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_each_cell_of_each_slice_scatters():
    """Two cells a slice, and the second slice counts 4 times as much."""
    noise = WeightNoise(np.arange(4.0), np.full(4, 0.1), Encoding(4, 2))
    weight = np.resize([15.0, 0.0, 7.0], (1, 30_000))
    held = noise.sample(weight, np.random.default_rng(3))
    assert (held - weight).std() == pytest.approx(0.1 * np.sqrt(2 * (1 + 16)), rel=0.05)


@pytest.mark.parametrize("scheme", ["offset", "twos-complement"])
def test_single_columns_scatter_with_their_reference(scheme):
    """A cell and a reference a slice, the reference that of all outputs on a tile."""
    encoding = Encoding(8, 2, scheme)
    exact = WeightNoise(np.arange(8.0), np.zeros(8), encoding, columns=4)
    weight = np.random.default_rng(0).integers(-7, 8, (4, 30_000)).astype(float)
    weight[:, 0] = encoding.top
    np.testing.assert_allclose(exact.sample(weight, np.random.default_rng(3)), weight)
    noise = WeightNoise(np.arange(8.0), np.full(8, 0.1), encoding, columns=4)
    off = noise.sample(weight, np.random.default_rng(3)) - weight
    assert off.std() == pytest.approx(0.1 * np.sqrt(2 * (1 + 64)), rel=0.05)
    # Three outputs are on the first tile, one on the next.
    together = np.corrcoef(off)
    np.testing.assert_allclose(together[:3, :3], 0.5 + 0.5 * np.eye(3), atol=0.03)
    assert np.abs(together[3, :3]).max() < 0.03


@pytest.mark.parametrize("scheme", ["offset", "twos-complement"])
def test_weights_scatter_as_those_of_a_written_array(scheme, zoo, tmp_path):
    options = Options(slices=2, layers={"MatMul_m0": LayerOptions(scheme=scheme)}, seed=5)
    path = zoo.save(zoo.mlp((64, 31)), tmp_path)
    x = np.random.default_rng(2).normal(size=(8, 64)).astype(np.float32)
    device = load(DEVICE)
    compiled = compile_model(path, device, x, Geometry(), options)
    steps = (build_engine(compiled).array.g - device.levels[0]) / (device.level_step * device.g_lsb)
    off, encoding = np.zeros((64, 31)), compiled.encodings[0]
    for p in compiled.placements:
        here = p.cells(steps, encoding) - p.cells(compiled.levels, encoding)
        off[p.weights] += encoding.unit(p.slice) * encoding.differences(here)
    drawn_weights = np.resize(np.arange(-encoding.top, encoding.top + 1.0), (31, 64 * 20))
    noise = weight_noise(DEVICE, options, "MatMul_m0")
    held = noise.sample(drawn_weights, np.random.default_rng(1)) - drawn_weights
    assert held.std() == pytest.approx(off.std(), rel=0.15)


def test_draws_are_the_generators(noise):
    weight = drawn()
    one, same, other = (noise.sample(weight, np.random.default_rng(n)) for n in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_it_is_public():
    assert ohmloom.weight_noise is weight_noise
