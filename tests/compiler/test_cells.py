"""Levels of cells, around those that are stuck."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.compiler.cells import assign, check_faults, in_levels
from ohmloom.compiler.correction import corrected
from ohmloom.compiler.encoding import Encoding
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.graph import Network
from ohmloom.compiler.layers import Block, Matrix, Patches
from ohmloom.compiler.mapping import place, tiles_used
from ohmloom.compiler.quantise import QuantisedBlock
from ohmloom.compiler.scales import Scale
from ohmloom.compiler.seen import Seen
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.devices import load

GEOMETRY = Geometry(rows=8, columns=8, tiles=64)
SCALE = Scale(1.0, 0, 8)


def network_of(inputs, outputs):
    source, target = Patches.rows(np.arange(inputs)[np.newaxis]), np.array([inputs])
    block = Block(source, np.zeros((outputs, inputs)), np.zeros(outputs), target)
    layer = Matrix(name="m", first=inputs, blocks=(block,))
    return Network("x", (inputs,), (layer,), (outputs,))


def made(inputs, outputs, encoding, seed, stuck=None, *, spare=False):
    """A quantised matrix, and its cells."""
    network = network_of(inputs, outputs)
    rng = np.random.default_rng(seed)
    weight = rng.integers(-encoding.top, encoding.top + 1, (outputs, inputs)).astype(np.int32)
    ones, zeros = np.ones(outputs), np.zeros(outputs)
    block = QuantisedBlock(0, 0, weight, ones, zeros, SCALE, SCALE)
    placements = place(network, GEOMETRY, {0: encoding}, spare=spare or stuck is not None)
    stuck = None if stuck is None else stuck(rng, (tiles_used(placements), 8, 8))
    return block, assign([block], placements, GEOMETRY, {0: encoding}, stuck)


def realised(cells, encoding, shape):
    """The weights that the cells hold, read back from them."""
    levels = cells.levels.astype(np.float64)
    if cells.stuck is not None:
        levels = np.where(np.isnan(cells.stuck), levels, cells.stuck)
    weight = np.zeros(shape)
    for p in cells.placements:
        rows = p.cells(levels, encoding)
        part = np.s_[
            p.first_output : p.first_output + p.outputs, p.first_input : p.first_input + p.inputs
        ]
        weight[part] += encoding.differences(rows).T * encoding.unit(p.slice)
    return weight


def some_stuck(share, values):
    def draw(rng, shape):
        at = rng.choice(values, shape)
        return np.where(rng.random(shape) < share, at, np.nan)

    return draw


ENCODINGS = st.sampled_from(
    [Encoding(16), Encoding(2, 4), Encoding(8, 2), Encoding(16, 1, "offset")]
    + [Encoding(8, 2, scheme) for scheme in ("offset", "twos-complement")]
)


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 9), ENCODINGS, st.integers(0, 99))
def test_without_faults_weights_are_held_exactly(inputs, outputs, encoding, seed):
    block, cells = made(inputs, outputs, encoding, seed)
    assert np.array_equal(cells.weights[0, 0], block.weight)
    assert np.array_equal(realised(cells, encoding, block.weight.shape), block.weight)


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 9), ENCODINGS, st.integers(0, 99))
def test_what_is_said_of_the_weights_is_what_the_cells_hold(inputs, outputs, encoding, seed):
    top = encoding.levels - 1
    stuck = some_stuck(0.2, [0.0, top, 1.3 * top])
    block, cells = made(inputs, outputs, encoding, seed, stuck)
    found = realised(cells, encoding, block.weight.shape)
    np.testing.assert_allclose(cells.weights[0, 0], found, atol=1e-9)
    taken = [(p.tile, row) for p in cells.placements for row in p.rows]
    assert len(set(taken)) == len(taken) and max(row for _, row in taken) < GEOMETRY.rows
    if encoding.slices > 1:
        return
    # In one slice no choice is better; in several, one slice after the other is chosen.
    ignored = made(inputs, outputs, encoding, seed, spare=True)[1]
    same = ignored.__class__(ignored.levels, ignored.placements, {}, cells.stuck)
    before = np.square(realised(same, encoding, block.weight.shape) - block.weight).sum()
    assert np.square(found - block.weight).sum() <= before + 1e-9


def test_the_other_cell_of_a_pair_makes_up_for_one_that_is_stuck_on():
    def on(rng, shape):
        stuck = np.full(shape, np.nan)
        stuck[0, :, 0] = 15.0  # G+ of output 0
        return stuck

    block, cells = made(8, 4, Encoding(16), 3, on)
    held, wanted = cells.weights[0, 0], block.weight
    assert np.array_equal(held[1:], wanted[1:])
    assert np.array_equal(held[0], np.maximum(wanted[0], 0))


def test_all_outputs_make_up_for_a_reference_that_is_stuck():
    def low(rng, shape):
        stuck = np.full(shape, np.nan)
        stuck[0, :, 0] = 4.0  # of 7 that it holds
        return stuck

    encoding = Encoding(16, 1, "offset")
    block, cells = made(8, 7, encoding, 3, low)
    assert [p.outputs for p in cells.placements] == [7]
    assert np.array_equal(cells.weights[0, 0], np.maximum(block.weight, -4))
    assert np.array_equal(realised(cells, encoding, block.weight.shape), cells.weights[0, 0])


def test_rows_to_spare_are_those_with_most_to_lose():
    def first_row(rng, shape):
        stuck = np.full(shape, np.nan)
        stuck[0, 0, :] = np.tile([15.0, 0.0], 4)
        return stuck

    block, cells = made(7, 4, Encoding(16), 5, first_row)
    assert [p.first_row for p in cells.placements] == [1]
    assert np.array_equal(cells.weights[0, 0], block.weight)


def test_each_of_several_matrices_on_a_tile_has_rows_to_spare():
    def two_rows(rng, shape):
        stuck = np.full(shape, np.nan)
        stuck[0, [0, 4], :] = np.tile([15.0, 0.0], 4)
        return stuck

    # 3 inputs take 4 rows: the second part begins in row 4, and leaves it out.
    block, cells = made(3, 8, Encoding(16), 5, two_rows)
    assert [(p.tile, p.first_row) for p in cells.placements] == [(0, 1), (0, 5)]
    assert np.array_equal(cells.weights[0, 0], block.weight)
    assert np.array_equal(realised(cells, Encoding(16), block.weight.shape), block.weight)


def test_maps_that_are_none():
    good = np.full((2, 8, 8), np.nan)
    assert check_faults(good, 1, GEOMETRY).shape == (1, 8, 8)
    for bad, words in (
        (good, "3, 8, 8"),
        (good[:, :4], "shape"),
        (np.zeros((3, 8, 8), int), "int64, floats"),
        (np.full((3, 8, 8), -1.0), "below 0"),
        (np.full((3, 8, 8), np.inf), "not finite"),
    ):
        with pytest.raises(TargetError, match=words):
            check_faults(bad, 3, GEOMETRY)


def test_conductances_in_levels():
    device = load("cspbbr3_ogb")
    np.testing.assert_allclose(in_levels(device.levels, device), np.arange(32))


def test_biases_make_up_for_the_mean_of_what_is_off():
    network = network_of(3, 2)
    (layer,) = network.layers
    assert isinstance(layer, Matrix)
    layer.blocks[0].weight[:] = [[1, 2, 3], [4, 5, 6]]
    block = QuantisedBlock(
        0, 0, np.zeros((2, 3), np.int32), np.full(2, 0.5), np.array([1.0, -1.0]), SCALE, SCALE
    )
    held = {(0, 0): np.array([[2.0, 4.0, 8.0], [8.0, 10.0, 12.0]])}
    memory = np.array([[1.0, 1.0, 2.0, 0, 0, 0], [3.0, 1.0, 4.0, 0, 0, 0]])
    means = {(0, 0): memory.mean(axis=0)[:3]}
    (found,) = corrected(network, [block], held, Seen({}, means))
    # Only the third weight of the first output is off, by 1; its input is 3 in the mean.
    assert found.bias.tolist() == [-2.0, -1.0]
