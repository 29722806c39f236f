"""Biases apart from their matrix, where they would make its weights coarse."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.biases import apart
from ohmloom.compiler.encoding import Encoding
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.layers import Matrix
from ohmloom.compiler.quantise import calibrate, choose_scales

CODES = 16.0


def held_on(levels, slices=1):
    """The same cells for all layers."""
    return dict.fromkeys(range(9), Encoding(levels, slices))


@pytest.fixture
def network(zoo, tmp_path):
    return load_model(zoo.save(zoo.mlp((6, 5, 3)), tmp_path))


def scales_of(network, bits):
    x = np.random.default_rng(0).normal(size=(20, 6))
    return choose_scales(network, calibrate(network, x), bits, 16)


def test_nothing_changes_with_8_bits(network):
    assert apart(network, scales_of(network, 8), held_on(256), CODES) is network


def test_the_same_numbers_with_16_bits(network):
    other = apart(network, scales_of(network, 16), held_on(256, 2), CODES)
    kinds = [layer.kind for layer in other.layers]
    assert kinds == ["matrix", "sum", "matrix", "sum"]
    for layer in other.layers[::2]:
        assert isinstance(layer, Matrix)
        assert not any(block.bias.any() for block in layer.blocks)
    x = np.random.default_rng(1).normal(size=(4, 6))
    np.testing.assert_allclose(other.forward(x), network.forward(x))
    assert (other.outputs, other.output_shape) == (network.outputs, network.output_shape)
    assert apart(other, scales_of(other, 16), held_on(256, 2), CODES) is other
