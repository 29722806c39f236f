"""Products of bytes against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.sim import integer_matmul
from ohmloom.sim.integer_matmul import limb_bits, limbs, matmul


@given(
    values=st.lists(st.integers(-(1 << 40), 1 << 40), min_size=1, max_size=6),
    bits=st.sampled_from([7, 8]),
)
def test_limbs_come_to_the_values(values: list[int], bits: int) -> None:
    parts = limbs(np.array([values, values[::-1]]), bits).astype(np.int64)
    digits = parts.reshape(2, len(values), -1)
    assert (digits * (1 << bits) ** np.arange(digits.shape[2])).sum(axis=2).tolist() == [
        values,
        values[::-1],
    ]
    assert parts.min() >= -(1 << bits - 1) and parts.max() < 1 << bits - 1


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 130), st.integers(1, 40)),
    zero=st.integers(0, 255),
    seed=st.integers(0, 1 << 16),
)
def test_products_are_exact(shape: tuple[int, int, int], zero: int, seed: int) -> None:
    """Of the largest bytes too, which two by two no 16 bits hold."""
    n, k, m = shape
    rng, half = np.random.default_rng(seed), 1 << limb_bits() - 1
    a = rng.choice(np.array([0, 1, 254, 255], np.uint8), (n, k))
    b = rng.choice(np.array([-half, half - 1], np.int8), (k, m))
    wanted = (a.astype(np.int64) - zero) @ b.astype(np.int64)
    assert np.array_equal(matmul(a, zero, b), wanted)
    several = matmul(np.stack([a, a[::-1]])[:, np.newaxis], zero, np.stack([b, b[:, ::-1]]))
    assert several.shape == (2, 2, n, m) and np.array_equal(several[0, 0], wanted)
    assert np.array_equal(several[1, 1], wanted[::-1, ::-1])


def test_a_processor_that_saturates_gets_smaller_limbs(monkeypatch: pytest.MonkeyPatch) -> None:
    def saturating(a: np.ndarray, zero: int, b: np.ndarray) -> np.ndarray:
        products = (a[..., np.newaxis].astype(np.int64) - zero) * b
        pairs = products.reshape(len(a), -1, 2, b.shape[1]).sum(axis=2)
        return np.clip(pairs, -(1 << 15), (1 << 15) - 1).sum(axis=1)

    monkeypatch.setattr(integer_matmul, "matmul", saturating)
    assert limb_bits.__wrapped__() == 7
    a, b = np.full((1, 64), 255, np.uint8), np.full((64, 1), -64, np.int8)
    assert np.array_equal(saturating(a, 0, b), a.astype(np.int64) @ b)
