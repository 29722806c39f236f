"""Address patterns: what the copies do on the engine's own POOL, and how few they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.compiler.address import copies
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op, instruction, pack_pool
from ohmloom.sim.engine.post import PostProcessor

WORDS = 4096
ZERO, FROM, TO = 4095, 0, 2048
GEOMETRY = Geometry(act_depth=WORDS, param_depth=64)


def copied(source: np.ndarray, target: np.ndarray, most: int | None = None) -> np.ndarray:
    """Activation memory after the copies; word a holds a + 1, the zero word 0."""
    act = np.arange(1, WORDS + 1, dtype=np.int64)[np.newaxis].copy()
    act[0, ZERO] = 0
    made = copies(source, target, ZERO)
    assert most is None or len(made) <= most, [(c.words, c.grid.loops) for c in made]
    assert sum(copy.words for copy in made) >= source.size
    for copy in made:
        params = np.array(pack_pool(copy.grid), np.uint64)
        unit = PostProcessor(GEOMETRY, params, (-(1 << 15), (1 << 15) - 1))
        unit.execute(instruction(Op.POOL, act=copy.act, out=copy.out, param=0, average=0), act)
    return act[0]


def check(source: np.ndarray, most: int | None = None) -> None:
    """A copy to consecutive words."""
    target = TO + np.arange(source.size).reshape(source.shape)
    act = copied(source, target, most)
    wanted = np.where(source < 0, 0, source + 1)
    assert np.array_equal(act[target], wanted)


IMAGE = FROM + np.arange(3 * 8 * 8).reshape(3, 8, 8)


@pytest.mark.parametrize(
    ("source", "most"),
    [
        (IMAGE, 1),
        (IMAGE.transpose(1, 2, 0), 1),
        (IMAGE.transpose(2, 0, 1), 1),
        (IMAGE[0, 0, ::-1], 8),
        (np.array([5, 6, 7, -1]), 2),
        (IMAGE[:, 1:6:2, 2:8:3], 1),
        (IMAGE[1, 2:5, 3:6], 1),
        (np.pad(IMAGE, ((0, 0), (1, 1), (1, 1)), constant_values=-1), 2),
        (np.pad(IMAGE.transpose(1, 2, 0), ((2, 2), (2, 2), (0, 0)), constant_values=-1), 2),
        (np.concatenate([IMAGE[:1], IMAGE[2:]]), 2),
        (np.full((5, 7), -1), 1),
        (np.broadcast_to(IMAGE[0, 0, 0], (4, 4)), 1),
    ],
)
def test_usual_patterns_take_few_copies(source, most):
    check(np.asarray(source), most)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.data(),
)
def test_any_view_of_an_array_is_copied(shape, data):
    size = int(np.prod(shape))
    view = np.arange(size).reshape(shape)
    view = view.transpose(data.draw(st.permutations(range(len(shape)))))
    for axis, length in enumerate(view.shape):
        begin = data.draw(st.integers(0, length - 1))
        step = data.draw(st.sampled_from([1, 2, -1]))
        index = [slice(None)] * view.ndim
        index[axis] = slice(begin, None, step)
        view = view[tuple(index)]
    check(view, most=2 * max(1, size))


@given(st.lists(st.integers(-1, 2000), min_size=1, max_size=60))
def test_no_pattern_at_all_is_copied_too(addresses):
    check(np.array(addresses, np.int64))


@given(st.permutations(range(24)))
def test_words_may_go_anywhere(places):
    target = TO + 3 * np.array(places)
    act = copied(np.arange(24), target)
    assert np.array_equal(act[target], np.arange(1, 25))


def test_what_is_not_copied_is_not_touched():
    act = copied(IMAGE, TO + np.arange(IMAGE.size).reshape(IMAGE.shape))
    rest = np.setdiff1d(np.arange(WORDS), TO + np.arange(IMAGE.size))
    before = np.arange(1, WORDS + 1)
    before[ZERO] = 0
    assert np.array_equal(act[rest], before[rest])
