"""The arithmetic in functions of the array API against the shared one."""

from __future__ import annotations

from typing import Any

import array_api_strict as xp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.sim.engine.accelerator_kernel import deviates, words
from ohmloom.sim.numerics import normal_from_word, normal_table, threefry2x32

WORD = (1 << 32) - 1
word = st.integers(0, WORD)
EDGES = sorted(
    {
        (sign | (1 << bit) + offset) & WORD
        for sign in (0, 1 << 31)
        for bit in range(32)
        for offset in (-1, 0, 1)
    }
)


def put(values: object) -> Any:
    return xp.asarray(np.asarray(values, np.int64))


@settings(max_examples=200, deadline=None)
@given(key0=word, key1=st.lists(word, min_size=1, max_size=4), counters=st.tuples(word, word))
def test_words_are_those_of_threefry(key0: int, key1: list[int], counters: tuple[int, int]) -> None:
    made = words(xp, key0, put(key1), *(put([[counter]]) for counter in counters))
    known, _ = threefry2x32(key0, key1, *([[counter]] for counter in counters))
    assert np.asarray(made).tolist() == known.tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(word, st.sampled_from(EDGES)), min_size=2, max_size=20))
def test_deviates_are_those_of_the_table(found: list[int]) -> None:
    table, powers = put(normal_table()), put(1 << np.arange(32))
    assert np.asarray(deviates(xp, put([found]), table, powers)).tolist() == [
        normal_from_word(found).tolist()
    ]


def test_deviates_at_the_edges_of_octaves() -> None:
    table, powers = put(normal_table()), put(1 << np.arange(32))
    made = np.asarray(deviates(xp, put(EDGES), table, powers))
    assert np.array_equal(made, normal_from_word(EDGES))
    wrong = np.asarray(deviates(xp, put(EDGES), table, put((1 << np.arange(32)) + 2)))
    assert not np.array_equal(made, wrong)
