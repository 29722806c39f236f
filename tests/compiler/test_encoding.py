"""Digits of weights: they add up, and each fits a cell."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.compiler.encoding import Encoding


@given(st.integers(2, 64), st.integers(1, 4), st.integers(0, 99))
def test_digits_add_up_to_the_weight(levels, count, seed):
    encoding = Encoding(levels, count)
    top = encoding.top
    weight = np.append(np.random.default_rng(seed).integers(-top, top + 1, 50), [top, -top, 0])
    digits = encoding.digits(weight)
    assert digits.shape == (count, 53) and np.abs(digits).max() <= levels - 1
    shifts = [[encoding.shift(n)] for n in range(count)]
    assert (digits << shifts).sum(axis=0).tolist() == weight.tolist()
    # Cells of both signs would partly cancel each other.
    assert not (digits * weight < 0).any()


def test_the_range_grows_with_every_slice():
    assert [Encoding(2, n).top for n in (1, 4, 8)] == [1, 15, 255]
    assert [Encoding(32, n).top for n in (1, 2, 3)] == [31, 1023, 32767]
    # Twenty levels tell four bits apart, and have some to spare.
    assert [Encoding(20, n).top for n in (1, 2)] == [19, 323]
