"""Every weight on exactly one pair of cells, every row in exactly one group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.compiler.cells import assign
from ohmloom.compiler.encoding import Encoding
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.graph import Network
from ohmloom.compiler.layers import Block, Matrix, Patches
from ohmloom.compiler.mapping import check_encoding, place, row_groups, spare_rows, tiles_used
from ohmloom.compiler.quantise import QuantisedBlock
from ohmloom.compiler.scales import Scale
from ohmloom.hw.geometry import Geometry

ENCODINGS = [Encoding(16), Encoding(2, 8), Encoding(32, 3), Encoding(20, 2)]
ENCODINGS += [
    Encoding(16, 1, "offset"),
    Encoding(20, 2, "offset"),
    Encoding(4, 3, "twos-complement"),
]
SCALE = Scale(1.0, 0, 8)


def alike(encoding=ENCODINGS[0]):
    """The same for all layers."""
    return dict.fromkeys(range(9), encoding)


def network_of(sizes):
    """A chain of layers; the first one has two matrices for one position each."""
    layers, first = [], sizes[0]
    for number, (n_in, n_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
        source = np.arange(first - n_in, first)[np.newaxis]
        blocks = tuple(
            Block(
                Patches.rows(source),
                np.zeros((n_out, n_in)),
                np.zeros(n_out),
                np.array([first + which * n_out]),
            )
            for which in range(2 if number == 0 else 1)
        )
        layers.append(Matrix(name=f"l{number}", first=first, blocks=blocks))
        first += layers[-1].count
    return Network("x", (sizes[0],), tuple(layers), (sizes[-1],))


def blocks_of(network, seed=0, top=15):
    rng = np.random.default_rng(seed)
    return [
        QuantisedBlock(
            number,
            which,
            rng.integers(-top, top + 1, block.weight.shape).astype(np.int32),
            np.ones(block.outputs),
            np.zeros(block.outputs),
            SCALE,
            SCALE,
        )
        for number, layer in enumerate(network.layers)
        for which, block in enumerate(layer.blocks)
    ]


SIZES = st.lists(st.integers(1, 70), min_size=2, max_size=4)
LINES = st.sampled_from([8, 16, 32])


def reconstruct(blocks, placements, levels, encoding):
    """Weight matrices read back from cells, and how often each weight was found."""
    weights = {(b.layer, b.block): np.zeros(b.weight.shape, np.int64) for b in blocks}
    seen = {key: np.zeros(weight.shape, np.int64) for key, weight in weights.items()}
    signed = levels.astype(np.int64)
    for p in placements:
        rows = signed[p.tile, p.rows.start : p.rows.stop]
        pairs = encoding.differences(rows) * encoding.unit(p.slice)
        for row in range(p.inputs):
            for pair in range(p.outputs):
                where = (p.first_output + pair, p.first_input + row)
                weights[p.layer, p.block][where] += pairs[row, pair]
                seen[p.layer, p.block][where] += 1
    return list(weights.values()), list(seen.values())


@settings(deadline=None)
@given(SIZES, LINES, LINES, st.sampled_from(ENCODINGS), st.integers(0, 99))
def test_every_weight_is_placed_exactly_once(sizes, rows, columns, encoding, seed):
    geometry = Geometry(rows=rows, columns=columns, tiles=1 << 13, banks=True)
    network = network_of(sizes)
    blocks = blocks_of(network, seed, encoding.top)
    placements = place(network, geometry, alike(encoding))
    levels = assign(blocks, placements, geometry, alike(encoding)).levels
    assert {p.tile for p in placements} == set(range(tiles_used(placements)))
    weights, seen = reconstruct(blocks, placements, levels, encoding)
    for block, weight, count in zip(blocks, weights, seen, strict=True):
        np.testing.assert_array_equal(weight, block.weight)
        assert (count == encoding.slices).all()
    if encoding.single:
        return
    # One cell of a pair is always on level 0, and unused cells are too.
    assert not (levels[..., 0::2] * levels[..., 1::2]).any()
    total = sum(int(np.abs(encoding.digits(block.weight)).sum()) for block in blocks)
    assert int(levels.sum()) == total


def test_reconstruction_notices_a_moved_weight():
    geometry = Geometry(rows=8, columns=8)
    network = network_of((9, 5))
    encoding = ENCODINGS[0]
    blocks, placements = blocks_of(network), place(network, geometry, alike(encoding))
    levels = assign(blocks, placements, geometry, alike(encoding)).levels
    levels[0, 0, 0] += 1
    weights, _ = reconstruct(blocks, placements, levels, encoding)
    assert not np.array_equal(weights[0], blocks[0].weight)


def test_tiles_of_an_output_block_follow_each_other():
    placements = place(network_of((70, 40)), Geometry(rows=32, columns=32), alike())
    order = [(p.block, p.first_output, p.first_input) for p in placements]
    assert order == [(b, o, i) for b in (0, 1) for o in (0, 16, 32) for i in (0, 32, 64)]


@settings(deadline=None)
@given(SIZES, LINES, st.integers(1, 3), st.booleans())
def test_parts_lie_below_each_other_on_the_first_tile_with_room(sizes, rows, slices, spare):
    geometry = Geometry(rows=rows, columns=16, tiles=1 << 13, banks=True)
    placements = place(network_of(sizes), geometry, alike(Encoding(16, slices)), spare=spare)
    left: list[int] = []  # of each tile, the rows that are
    for p in placements:
        wanted = min(rows, p.inputs + spare * spare_rows(p.inputs))
        tile = next((n for n, count in enumerate(left) if count >= wanted), len(left))
        if tile == len(left):
            left.append(rows)
        assert (p.tile, p.first_row) == (tile, rows - left[tile])
        left[tile] -= wanted
    assert tiles_used(placements) == len(left)


def test_single_columns_hold_nearly_twice_as_many_outputs():
    geometry = Geometry(rows=32, columns=32)
    mixed = {0: Encoding(16, 1, "offset"), 1: Encoding(16), 2: Encoding(16, 2, "twos-complement")}
    placements = place(network_of((9, 40, 40, 40)), geometry, mixed)
    found = {n: [(p.first_output, p.outputs, p.slice) for p in placements
                 if (p.layer, p.block, p.first_input) == (n, 0, 0)] for n in mixed}  # fmt: skip
    assert found[0] == [(0, 31, 0), (31, 9, 0)]
    assert found[1] == [(0, 16, 0), (16, 16, 0), (32, 8, 0)]
    assert found[2] == [(0, 31, 0), (0, 31, 1), (31, 9, 0), (31, 9, 1)]


def test_columns_and_slices_that_the_controller_has_not():
    for encoding in (Encoding(16, 1, "offset"), Encoding(16, 2, "twos-complement")):
        check_encoding(encoding, Geometry())
        with pytest.raises(TargetError, match=f"{encoding.scheme} weights are in single columns"):
            check_encoding(encoding, Geometry(compact=True))
    with pytest.raises(TargetError, match="6 slices of 4 bits are 4 bits apart"):
        check_encoding(Encoding(16, 6), Geometry())


def test_small_matrices_share_a_tile():
    network = network_of((9, 5, 9, 5))
    placements = place(network, Geometry(rows=32, columns=32), alike())
    places = [(p.layer, p.block, p.tile, p.first_row) for p in placements]
    # The last one finds room beside the first ones.
    assert places == [(0, 0, 0, 0), (0, 1, 0, 9), (1, 0, 0, 18), (2, 0, 0, 23)]
    kept = place(network, Geometry(rows=32, columns=32), alike(), spare=True)
    assert [(p.tile, p.first_row) for p in kept] == [(0, 0), (0, 10), (0, 20), (1, 0)]


def test_too_few_tiles():
    with pytest.raises(TargetError, match="needs 14 tiles of 32 x 32 cells, the target has 13"):
        place(network_of((70, 40)), Geometry(tiles=13), alike())


@given(st.integers(1, 255), st.integers(1, 300))
def test_row_groups_partition_the_rows_evenly(rows, limit):
    groups = row_groups(rows, limit)
    assert [row for first, count in groups for row in range(first, first + count)] == list(
        range(rows)
    )
    counts = [count for _, count in groups]
    assert min(counts) >= 1 and max(counts) <= limit and max(counts) - min(counts) <= 1
    assert len(groups) == -(-rows // limit)
