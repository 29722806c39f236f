"""Nested dissection against the network as one matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmloom.errors import OhmloomError
from ohmloom.sim.array.lines import Network, Solution, Wires

from .conftest import whole_network

ONE_END = Wires(1.0, 2.0, 3.0, 4.0)
BOTH_ENDS = Wires(0.5, 1.0, 3.0, 0.0, drive_both=True, sense_both=True, series_ohms=300.0)


def agree(found: Solution, wanted: Solution) -> None:
    """To 1e-9 of the largest voltage, and of the largest current."""
    for name in ("cell_volts", "row_amperes", "column_amperes"):
        mine, theirs = getattr(found, name), getattr(wanted, name)
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() <= 1e-9 * max(np.abs(theirs).max(), 1e-6), name


ohms = st.floats(0.01, 100.0)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    wires=st.builds(
        Wires, ohms, ohms, st.just(0.0) | ohms, st.just(0.0) | ohms,
        drive_both=st.booleans(), sense_both=st.booleans(), series_ohms=st.just(0.0) | ohms,
    ),
    beside=st.booleans(),
    seed=st.integers(0, 1 << 16),
)  # fmt: skip
def test_it_is_the_whole_network(
    rows: int, columns: int, wires: Wires, beside: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    g = rng.uniform(0, 1e-3, (rows, columns))
    row_volts = rng.uniform(-0.1, 0.1, rows)
    column_volts = rng.uniform(-0.1, 0.1, columns)
    row_volts[1:][rng.random(rows - 1) < 0.3] = np.nan  # in the air
    column_volts[rng.random(columns) < 0.3] = np.nan
    sources = rng.uniform(-1e-6, 1e-6, g.shape) * beside
    wanted = whole_network(g, wires, row_volts, column_volts, sources)
    found = Network(g, wires).solve(row_volts[:, None], column_volts[:, None], sources[..., None])
    agree(found, wanted)


@pytest.mark.parametrize("wires", [ONE_END, BOTH_ENDS])
def test_the_transfer_gives_the_currents(conductances: np.ndarray, wires: Wires) -> None:
    volts = np.random.default_rng(0).uniform(0, 0.1, len(conductances))
    network = Network(conductances, wires, keep=False)
    none = np.zeros(conductances.shape[1])
    wanted = whole_network(conductances, wires, volts, none).column_amperes[:, 0]
    found = volts @ network.transfer()
    assert np.abs(found - wanted).max() <= 1e-9 * wanted.max()


def test_settings_do_not_know_each_other(conductances: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    rows = rng.uniform(0, 0.1, (70, 20))
    rows[5, 3] = rows[6:9, 18] = np.nan
    network = Network(conductances, ONE_END)
    together = network.solve(rows)
    for n in (0, 3, 17, 18):
        agree(
            Solution(
                together.cell_volts[..., n : n + 1],
                together.row_amperes[:, n : n + 1],
                together.column_amperes[:, n : n + 1],
            ),
            network.solve(rows[:, n : n + 1]),
        )


def test_short_lines_are_none() -> None:
    g = np.random.default_rng(1).uniform(1e-6, 1e-5, (33, 20))
    assert np.allclose(Network(g, Wires(1e-7, 1e-7)).transfer(), g, rtol=1e-9)


def test_threads_change_nothing_that_matters(conductances: np.ndarray) -> None:
    one, two = (Network(conductances, ONE_END, threads=n).transfer() for n in (1, 2))
    assert np.allclose(one, two, rtol=1e-12, atol=0)


def test_a_planted_fault_is_seen(conductances: np.ndarray) -> None:
    volts, none = np.full(70, 0.1), np.zeros(41)
    wanted = whole_network(conductances, ONE_END, volts, none)
    other = conductances.copy()
    other[35, 20] *= 1.0001
    with pytest.raises(AssertionError, match="amperes|volts"):
        agree(Network(other, ONE_END).solve(volts[:, None]), wanted)
    with pytest.raises(AssertionError, match="amperes|volts"):
        agree(Network(conductances, Wires(1.0001, 2.0, 3.0, 4.0)).solve(volts[:, None]), wanted)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Wires(0.0, 1.0), "row_ohms = 0, accepted is a resistance above 0"),
        (lambda: Wires(1.0, float("nan")), "column_ohms = nan"),
        (lambda: Wires(1.0, 1.0, -1.0), "drive_ohms = -1, accepted is a resistance 0 or more"),
        (lambda: Network([[-1e-6]], ONE_END), "below 0"),
        (lambda: Network(np.zeros((0, 3)), ONE_END), r"shape \(0, 3\)"),
        (lambda: Network([[1e-6]], ONE_END).solve(np.nan, np.nan), "in the air"),
        (lambda: Network([[1e-6]], ONE_END, keep=False).solve(0.1), "nothing inside was kept"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(OhmloomError, match=says):
        make()
