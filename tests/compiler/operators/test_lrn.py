"""LRN by squares, means, a power and a product."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(size=st.sampled_from([1, 3, 5]), channels=st.integers(1, 6), side=st.integers(1, 3))
def test_against_onnx(held, size, channels, side):
    node = held.node("LRN", ["x"], size=size, alpha=0.5, beta=0.6, bias=1.5)
    held.agrees(node, [2, channels, side, 2])


def test_on_the_engine(held):
    node = held.node("LRN", ["x"], size=3, alpha=0.5, beta=0.75, bias=1.0)
    held.runs(node, [1, 5, 3, 2], tolerance=2.0**-9)


@pytest.mark.parametrize("attributes", [{"bias": 0.0}, {"alpha": -1.0}])
def test_powers_of_what_may_be_0_are_refused(held, attributes):
    node = held.node("LRN", ["x"], size=3, **attributes)
    held.refused(node, [1, 3, 2, 2], None, "its power may be of 0")
