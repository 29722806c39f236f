"""Estimates lie within their bound, and the bound says something."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.sim.array.lines import Network, Wires, estimate


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 48), st.integers(1, 48)),
    row_ohms=st.floats(0.01, 20.0),
    column_ohms=st.floats(0.01, 20.0),
    both=st.booleans(),
    seed=st.integers(0, 1 << 16),
)
def test_no_input_is_farther_off_than_the_bound(
    shape: tuple[int, int], row_ohms: float, column_ohms: float, both: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    g = rng.uniform(0, 1e-3, shape) * (rng.random(shape) < 0.8)
    wires = Wires(row_ohms, column_ohms, 1.0, 1.0, drive_both=both, sense_both=not both)
    exact, found = Network(g, wires, keep=False).transfer(), estimate(g, wires)
    off = exact - found.transfer
    # The worst inputs are those that take all of one sign.
    worst = np.maximum(np.maximum(off, 0).sum(axis=0), np.maximum(-off, 0).sum(axis=0))
    assert (worst <= found.bound + 1e-12 * exact.sum(axis=0)).all()


def test_it_is_much_nearer_than_no_lines() -> None:
    g = np.random.default_rng(2).uniform(1e-6, 1e-4, (64, 64))
    wires = Wires(1.0, 1.0)
    exact, found = Network(g, wires, keep=False).transfer(), estimate(g, wires)
    without = np.abs(g - exact).sum(axis=0)
    assert np.abs(found.transfer - exact).sum(axis=0).max() < without.max() / 40
    assert found.bound.max() < without.max() / 20
    # Of all rows at 1 V the total is known much better.
    totals = exact.sum(axis=0)
    assert np.abs(found.transfer.sum(axis=0) - totals).max() < 1e-4 * totals.max()


def test_a_planted_fault_is_out_of_bounds() -> None:
    g = np.random.default_rng(2).uniform(1e-6, 1e-4, (32, 32))
    found = estimate(g, Wires(1.0, 1.0))
    exact = Network(g, Wires(1.2, 1.2), keep=False).transfer()
    assert (np.abs(exact - found.transfer).sum(axis=0) > found.bound).any()


def test_cells_that_conduct_nothing_give_nothing() -> None:
    found = estimate(np.zeros((4, 3)), Wires(1.0, 1.0))
    assert not found.transfer.any()
    assert found.bound == pytest.approx(np.zeros(3))
