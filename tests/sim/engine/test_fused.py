"""Compiled loops against the shared arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.hw.isa import pack_requant
from ohmloom.sim.compiled import FROM, compiled
from ohmloom.sim.engine import fused
from ohmloom.sim.engine.fused import Requant
from ohmloom.sim.numerics import scale

KERNEL = ".engine.fused_kernel"

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
    assert compiled(KERNEL, FROM) is not None
    assert made.apply(acc, -900, 1000, np.int64).tolist() == wanted.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "compiled", lambda *_: None)
        assert made.apply(acc, -900, 1000, np.int64).tolist() == wanted.tolist()


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize(("acc", "y"), [(1, 0), (2, 1), (3, 2), (6, 3), (-1, 0), (-3, -2)])
def test_ties_go_to_even(monkeypatch: pytest.MonkeyPatch, loops: bool, acc: int, y: int) -> None:
    if not loops:
        monkeypatch.setattr(fused, "compiled", lambda *_: None)
    made = Requant.of([pack_requant(0, 1 << 23, 24)])
    assert made.apply(np.array([[acc]]), -9, 9, np.int64).tolist() == [[y]]
