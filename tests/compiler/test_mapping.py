"""Every weight on exactly one pair of cells, every row in exactly one group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.mapping import cell_levels, place, row_groups
from ohmloom.compiler.quantise import QuantisedLayer
from ohmloom.compiler.scales import Scale
from ohmloom.hw.geometry import Geometry

LEVELS = 16
SCALE = Scale(1.0, 0, 8)


def layers_of(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [
        QuantisedLayer(
            f"l{number}",
            rng.integers(1 - LEVELS, LEVELS, (n_out, n_in)).astype(np.int32),
            np.ones(n_out),
            np.zeros(n_out),
            False,
            SCALE,
            SCALE,
        )
        for number, (n_in, n_out) in enumerate(zip(sizes, sizes[1:], strict=False))
    ]


SIZES = st.lists(st.integers(1, 70), min_size=2, max_size=4)
LINES = st.sampled_from([8, 16, 32])


def reconstruct(layers, placements, levels):
    """Weight matrices read back from cells, and how often each weight was found."""
    weights = [np.zeros(layer.weight.shape, np.int64) for layer in layers]
    seen = [np.zeros(layer.weight.shape, np.int64) for layer in layers]
    signed = levels.astype(np.int64)
    for p in placements:
        pairs = signed[p.tile][:, 0::2] - signed[p.tile][:, 1::2]
        for row in range(p.inputs):
            for pair in range(p.outputs):
                where = (p.first_output + pair, p.first_input + row)
                weights[p.layer][where] += pairs[row, pair]
                seen[p.layer][where] += 1
    return weights, seen


@given(SIZES, LINES, LINES, st.integers(0, 99))
def test_every_weight_is_placed_exactly_once(sizes, rows, columns, seed):
    geometry = Geometry(rows=rows, columns=columns, tiles=4096)
    layers = layers_of(sizes, seed)
    placements = place(layers, geometry)
    levels = cell_levels(layers, placements, geometry)
    assert [p.tile for p in placements] == list(range(len(placements)))
    weights, seen = reconstruct(layers, placements, levels)
    for layer, weight, count in zip(layers, weights, seen, strict=True):
        np.testing.assert_array_equal(weight, layer.weight)
        assert (count == 1).all()
    # One cell of a pair is always on level 0, and unused cells are too.
    assert not (levels[..., 0::2] * levels[..., 1::2]).any()
    total = sum(int(np.abs(layer.weight).sum()) for layer in layers)
    assert int(levels.sum()) == total


def test_reconstruction_notices_a_moved_weight():
    geometry = Geometry(rows=8, columns=8)
    layers = layers_of((9, 5))
    placements = place(layers, geometry)
    levels = cell_levels(layers, placements, geometry)
    levels[0, 0, 0] += 1
    weights, _ = reconstruct(layers, placements, levels)
    assert not np.array_equal(weights[0], layers[0].weight)


def test_tiles_of_an_output_block_follow_each_other():
    placements = place(layers_of((70, 40)), Geometry(rows=32, columns=32))
    order = [(p.first_output, p.first_input) for p in placements]
    assert order == [(o, i) for o in (0, 16, 32) for i in (0, 32, 64)]


def test_too_few_tiles():
    with pytest.raises(TargetError, match="needs 9 tiles of 32 x 32 cells, the target has 8"):
        place(layers_of((70, 40)), Geometry(tiles=8))


@given(st.integers(1, 255), st.integers(1, 300))
def test_row_groups_partition_the_rows_evenly(rows, limit):
    groups = row_groups(rows, limit)
    assert [row for first, count in groups for row in range(first, first + count)] == list(
        range(rows)
    )
    counts = [count for _, count in groups]
    assert min(counts) >= 1 and max(counts) <= limit and max(counts) - min(counts) <= 1
    assert len(groups) == -(-rows // limit)
