"""Compiled loops against the shared arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.isa import pack_requant
from ohmloom.sim.engine import fused
from ohmloom.sim.engine.fused import Requant
from ohmloom.sim.numerics import scale

words = st.builds(
    pack_requant, st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, (1 << 24) - 1),
    st.integers(0, 63),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    words=st.lists(words, min_size=1, max_size=5),
    bits=st.integers(1, 62),
    seed=st.integers(0, 1 << 16),
)
def test_requantised_as_the_shared_arithmetic_has_it(
    words: list[int], bits: int, seed: int
) -> None:
    made = Requant.of(words)
    acc = np.random.default_rng(seed).integers(-(1 << bits), 1 << bits, (40, len(words)))
    wanted = np.clip(scale(acc + made.bias, made.mantissa, made.shift), -900, 1000)
    before, fused._FROM = fused._FROM, 0
    try:
        assert made.apply(acc, -900, 1000, np.int64).tolist() == wanted.tolist()
    finally:
        fused._FROM = before
    assert made.apply(acc, -900, 1000, np.int64).tolist() == wanted.tolist()


@pytest.mark.parametrize(("acc", "y"), [(1, 0), (2, 1), (3, 2), (6, 3), (-1, 0), (-3, -2)])
def test_ties_go_to_even(monkeypatch: pytest.MonkeyPatch, acc: int, y: int) -> None:
    monkeypatch.setattr(fused, "_FROM", 0)
    made = Requant.of([pack_requant(0, 1 << 23, 24)])
    assert made.apply(np.array([[acc]]), -9, 9, np.int64).tolist() == [[y]]
