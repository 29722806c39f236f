"""How weights lie in cells: digits add up, cells hold them, also beside stuck ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ohmloom.compiler.encoding import Encoding
from ohmloom.hw.isa import Scheme

SCHEMES = ("differential", "offset", "twos-complement")
ENCODINGS = st.builds(
    Encoding, st.integers(2, 64), st.integers(1, 4), st.sampled_from(SCHEMES)
).filter(lambda encoding: encoding.top > 0)


def weights(encoding, seed, shape=(7, 9)):
    top = encoding.top
    weight = np.random.default_rng(seed).integers(-top, top + 1, shape)
    weight.flat[:3] = top, -top, 0
    return weight


def held(encoding, cells) -> np.ndarray:
    """What cells (slices, inputs, columns) hold, by the definition of each scheme."""
    total = np.zeros(())
    for number, levels in enumerate(np.asarray(cells, np.float64)):
        unit = 2.0 ** (number * (encoding.levels.bit_length() - 1))
        if encoding.scheme == "differential":
            total = total + unit * (levels[:, 0::2] - levels[:, 1::2])
        elif encoding.scheme == "twos-complement" and number == encoding.slices - 1:
            total = total - unit * (levels[:, 1:] - levels[:, :1])
        else:
            total = total + unit * (levels[:, 1:] - levels[:, :1])
    return total


def laid(encoding, weight):
    return np.stack([encoding.cells(weight, number) for number in range(encoding.slices)])


@given(ENCODINGS, st.integers(0, 99))
def test_digits_add_up_to_the_weight(encoding, seed):
    weight = weights(encoding, seed)
    digits = encoding.digits(weight)
    assert digits.shape == (encoding.slices, *weight.shape)
    assert np.abs(digits).max() <= encoding.levels - 1
    units = np.array([encoding.unit(number) for number in range(encoding.slices)])
    assert np.array_equal(np.tensordot(units, digits, 1), weight)
    if encoding.scheme == "differential":  # cells of both signs would partly cancel each other
        assert not (digits * weight < 0).any()


@given(ENCODINGS, st.integers(0, 99))
def test_cells_hold_the_weights(encoding, seed):
    weight = weights(encoding, seed)
    cells = laid(encoding, weight)
    assert cells.shape == (encoding.slices, 7, encoding.columns(9))
    assert cells.min() >= 0 and cells.max() <= encoding.levels - 1
    assert np.array_equal(held(encoding, cells), weight)
    for number, levels in enumerate(cells):
        digits = encoding.digits(weight)[number]
        assert np.array_equal(encoding.differences(levels), digits)
        high, low = encoding.sides(digits, number)
        assert np.array_equal(high - low, digits)
    if encoding.scheme == "twos-complement":
        assert cells[:-1].max() < 1 << encoding.bits and cells[-1].max() <= 1
        assert not cells[..., 0].any()
    if encoding.scheme == "offset":
        assert (cells[..., 0] == cells[:, :1, 0]).all()


def test_a_weight_more_does_not_fit():
    """The planted fault: beyond the top the cells hold something else."""
    for scheme in SCHEMES:
        encoding = Encoding(16, 2, scheme)
        for beyond in (encoding.top + 2, -encoding.top - 2):
            cells = np.clip(laid(encoding, np.array([[beyond]])), 0, 15)
            assert held(encoding, cells) != beyond


@given(ENCODINGS, st.integers(2, 99).map(lambda n: 2 * n))
def test_columns_hold_as_many_outputs_as_fit(encoding, columns):
    outputs = encoding.outputs(columns)
    assert encoding.columns(outputs) <= columns < encoding.columns(outputs + 1)


@settings(deadline=None)
@given(ENCODINGS, st.integers(0, 99))
def test_without_stuck_cells_there_is_nothing_to_make_up_for(encoding, seed):
    weight = weights(encoding, seed)
    left, whole = weight.astype(np.float64), laid(encoding, weight)
    for number in reversed(range(encoding.slices)):
        stuck = np.full(whole[number].shape, np.nan)
        cells, real = encoding.around(left, stuck, number)
        assert np.array_equal(cells, whole[number])
        left = left - real * encoding.unit(number)
    assert not left.any()


def some_stuck(encoding, seed, shape, share=0.2):
    rng, top = np.random.default_rng(seed), encoding.levels - 1
    at = rng.choice([0.0, top, 1.3 * top, 0.5 * top], shape)
    return np.where(rng.random(shape) < share, at, np.nan)


@settings(deadline=None)
@given(ENCODINGS, st.integers(0, 99))
def test_what_is_said_of_stuck_cells_is_what_they_hold(encoding, seed):
    weight = weights(encoding, seed)
    left, cells = weight.astype(np.float64), []
    for number in reversed(range(encoding.slices)):
        stuck = some_stuck(encoding, seed + number, (7, encoding.columns(9)))
        levels, real = encoding.around(left, stuck, number)
        assert levels.min() >= 0 and levels.max() <= encoding.levels - 1
        assert np.array_equal(levels, np.rint(levels)) and not levels[~np.isnan(stuck)].any()
        cells.insert(0, np.where(np.isnan(stuck), levels, stuck))
        left = left - real * encoding.unit(number)
    np.testing.assert_allclose(held(encoding, cells), weight - left, atol=1e-6)


@settings(deadline=None)
@given(st.integers(3, 32), st.sampled_from(SCHEMES[:2]), st.integers(0, 99))
def test_beside_a_stuck_cell_no_level_is_better(levels, scheme, seed):
    """In one slice: of all levels that the other cell may be on."""
    encoding = Encoding(levels, 1, scheme)
    weight = weights(encoding, seed, (20, 1))
    stuck = some_stuck(encoding, seed, (20, 2), 0.5)
    _, real = encoding.around(weight.astype(np.float64), stuck, 0)
    every = np.arange(levels)
    for wanted, cells, found in zip(weight[:, 0], stuck, real[:, 0], strict=True):
        low, high = cells[::-1] if scheme == "differential" else cells
        highs = every if np.isnan(high) else np.array([high])
        lows = every if scheme == "differential" else np.array([encoding.offset])
        lows = lows if np.isnan(low) else np.array([low])
        best = np.abs(np.subtract.outer(highs, lows) - wanted).min()
        assert abs(found - wanted) == pytest.approx(best, abs=1e-9)


@settings(deadline=None)
@given(ENCODINGS, st.integers(0, 99), st.booleans())
def test_slices_below_make_up_for_a_stuck_cell(encoding, seed, reference):
    """Exactly, where they reach so far; a cell for a reference that is stuck on its own."""
    assume(encoding.slices > 1)
    weight, last = weights(encoding, seed), encoding.slices - 1
    stuck = np.full((encoding.slices, 7, encoding.columns(9)), np.nan)
    top = 1 if encoding.scheme == "twos-complement" else encoding.levels - 1
    columns = 0 if reference else slice(encoding.single, None)
    at = np.random.default_rng(seed).integers(0, top + 1, stuck[last][:, columns].shape)
    stuck[last][:, columns] = at
    left = weight.astype(np.float64)
    _, real = encoding.around(left, stuck[last], last)
    left = left - real * encoding.unit(last)
    size = sum((encoding.levels - 1) << encoding.shift(n) for n in range(last))
    low = sum(encoding.reference(n) << encoding.shift(n) for n in range(last))
    least, most = (-low, size - low) if encoding.single else (-size, size)
    reached = (left >= least) & (left <= most)
    for number in reversed(range(last)):
        _, real = encoding.around(left, stuck[number], number)
        left = left - real * encoding.unit(number)
    assert not left[reached].any()
    if encoding.scheme == "twos-complement" and reference and encoding.levels > 2:
        assert reached.all()  # a sign is one level above its reference, wherever that is


def test_the_range_grows_with_every_slice():
    assert [Encoding(2, n).top for n in (1, 4, 8)] == [1, 15, 255]
    assert [Encoding(32, n).top for n in (1, 2, 3)] == [31, 1023, 32767]
    # Twenty levels tell four bits apart, and have some to spare.
    assert [Encoding(20, n).top for n in (1, 2)] == [19, 323]
    assert [Encoding(32, n, "offset").top for n in (1, 2)] == [15, 511]
    assert [Encoding(20, n, "offset").top for n in (1, 2)] == [9, 161]
    assert [Encoding(2, n, "offset").top for n in (1, 2, 8)] == [0, 1, 127]
    assert [Encoding(32, n, "twos-complement").top for n in (1, 2, 3)] == [0, 31, 1023]
    assert [Encoding(2, n, "twos-complement").top for n in (2, 8)] == [1, 127]


def test_what_the_controller_subtracts():
    pairs, offset, complement = (Encoding(16, 3, scheme) for scheme in SCHEMES)
    assert [pairs.register(n) for n in range(3)] == [Scheme.DIFFERENTIAL] * 3
    assert [offset.register(n) for n in range(3)] == [Scheme.SINGLE] * 3
    assert [complement.register(n) for n in range(3)] == [Scheme.SINGLE] * 2 + [Scheme.SUBTRACTED]
    assert [complement.unit(n) for n in range(3)] == [1, 16, -256]
    assert [offset.unit(n) for n in range(3)] == [1, 16, 256]
