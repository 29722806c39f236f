"""What a matrix reads: equal to the array of all windows that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.compiler.layers import ZERO, Patches, Renumbering
from ohmloom.compiler.layers import patches as module
from ohmloom.compiler.layers.patches import compact, renumbered


@st.composite
def patches(draw: st.DrawFn) -> Patches:
    """Of any values, some of them ``ZERO``; or of a range."""
    count = draw(st.integers(1, 40))
    number = st.integers(0, 99)
    if draw(st.booleans()):
        start = draw(number)
        values = np.arange(start, start + count)
    else:
        values = np.array(draw(st.lists(st.just(ZERO) | number, min_size=count, max_size=count)))
    reach = draw(st.integers(0, count - 1))
    offset = st.lists(st.integers(0, reach), min_size=1, max_size=6)
    begin = st.lists(st.integers(0, count - 1 - reach), min_size=1, max_size=8)
    return Patches.of(values, np.array(draw(begin)), np.array(draw(offset)))


def windows(some: Patches) -> np.ndarray:
    """The array that it stands for, one number after the other."""
    return np.array([[some.values[b + o] for o in some.offset] for b in some.begin])


@given(patches())
def test_at_is_the_array(some):
    whole = windows(some)
    assert np.array_equal(some.at(slice(None)), whole)
    assert np.array_equal(some.at(np.arange(some.positions)[::-1]), whole[::-1])
    assert some.largest == max(some.values)


@given(patches())
def test_rows_of_an_array_are_the_array(some):
    whole = windows(some)
    assert np.array_equal(Patches.rows(whole).at(slice(None)), whole)


@given(patches(), st.integers(1, 50))
def test_parts_are_all_positions_once(some, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        places = np.arange(some.positions)
        assert np.array_equal(np.concatenate([places[part] for part in some.parts()]), places)


@given(patches())
def test_ordered_leaves_out_what_is_always_zero(some):
    ordered, order = some.ordered()
    whole, kept = windows(some), windows(ordered)
    assert np.array_equal(kept, whole[:, order])
    assert (np.diff(kept[0]) >= 0).all()
    left = sorted(set(range(some.inputs)) - set(order.tolist()))
    assert (whole[:, left] == ZERO).all()
    always_zero = (kept == ZERO).all(axis=0)
    assert not always_zero.any() or ordered.inputs == 1


@given(patches(), st.integers(1, 50))
def test_alike_is_where_distances_are_the_same(some, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        runs = some.alike()
    kinds = [
        tuple(None if n == ZERO else n - row[0] for n in row) if row[0] != ZERO else ZERO
        for row in ([int(n) for n in row] for row in windows(some))
    ]
    assert [begin for begin, _ in runs] == [0, *(end for _, end in runs[:-1])]
    assert runs[-1][1] == some.positions
    for begin, end in runs:
        assert len(set(kinds[begin:end])) == 1
    assert all(kinds[end - 1] != kinds[end] for _, end in runs[:-1])


@given(patches(), st.integers(1, 1000))
def test_renumbering_moves_values_and_not_zero(some, by):
    table = Renumbering([0], [by])
    whole = windows(some)
    moved = Patches(renumbered(some.values, table), some.begin, some.offset)
    assert np.array_equal(windows(moved), np.where(whole == ZERO, ZERO, whole + by))


def test_values_that_follow_each_other_are_a_range():
    assert compact(np.arange(3, 9)) == range(3, 9)
    for values in ([3, 5], [4, 3], [ZERO, 0], [2, 2]):
        assert not isinstance(compact(np.array(values)), range)
