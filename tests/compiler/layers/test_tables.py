"""Tables of functions: how far they are off, wherever a function bends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from ohmloom.compiler.layers.tables import INDEX_TOP, Argument, fitted, simulated, tabulated
from ohmloom.compiler.scales import Scale

WORD = (1 << 15) - 1


def worst(f, take: Argument, give: Scale) -> tuple[float, int]:
    """Largest error in steps of the result, and the number of pieces."""
    drives = np.arange(take.low, take.high + 1)
    pieces = fitted(f, take, give, WORD)
    found = sum(piece.found(drives) for piece in pieces)
    wanted = np.clip(f(drives * take.scale) / give.scale, give.low, give.high)
    return float(np.abs(np.clip(found, give.low, give.high) - wanted).max()), len(pieces)


def softplus(x):
    return np.logaddexp(0, x)


@pytest.mark.parametrize("span", [1.0, 8.0, 60.0])
@pytest.mark.parametrize("f", [np.tanh, special.expit, softplus])
def test_error_of_16_bits(f, span):
    take = Argument(-1 << 15, (1 << 15) - 1, span / (1 << 15))
    x = np.linspace(-span, span, 1001)
    give = Scale(float(np.abs(f(x)).max()) / WORD, 1 << 15, 16)
    error, pieces = worst(f, take, give)
    assert error <= 4.0
    assert pieces <= 16


def test_rises_that_no_entry_holds_are_split():
    take, give = Argument(-1 << 15, (1 << 15) - 1, 8.0 / (1 << 15)), Scale(1 / WORD, 1 << 15, 16)
    assert worst(np.sin, take, give)[0] <= 16.0
    # With room for one table only it has all of it, as well as it can.
    (piece,) = fitted(np.sin, take, give, WORD, 1)
    assert piece.top == INDEX_TOP


@pytest.mark.parametrize("bits", [9, 12, 14, 15])
def test_error_of_other_bits(bits):
    take = Argument(-1 << bits - 1, (1 << bits - 1) - 1, 8.0 / (1 << bits))
    error, _ = worst(np.tanh, take, Scale(1 / 127, 128, 8))
    assert error <= 1.5


def test_a_straight_line_is_one_piece():
    take = Argument(-1 << 15, (1 << 15) - 1, 1.0)
    error, pieces = worst(lambda x: x * 0.5, take, Scale(1.0, 1 << 15, 16))
    assert (error <= 1.0, pieces) == (True, 1)


def test_what_is_flat_has_no_piece():
    take, give = Argument(-1 << 15, (1 << 15) - 1, 1000.0 / (1 << 15)), Scale(1 / WORD, 1 << 15, 16)
    pieces = fitted(np.tanh, take, give, WORD)
    covered = sum(piece.top * 2.0**piece.coarser * take.scale for piece in pieces)
    assert covered < 100.0


def test_pieces_add_nothing_before_they_begin():
    first, *others = fitted(np.square, Argument(0, 60_000, 1e-3), Scale(0.2, 0, 15), WORD)
    assert first.first == 0
    assert others
    for piece in others:
        assert simulated(piece.tables, np.zeros(1, np.int64)) == 0


def test_tables_are_what_is_simulated():
    index = np.arange(INDEX_TOP + 1)
    found = simulated(tabulated(lambda i: i * 1.5 - 300.0, WORD), index)
    assert np.abs(found - (index * 1.5 - 300.0)).max() <= 1.5


def test_a_wrong_entry_shows():
    """The error that other tests bound is that of the tables, not of the test."""
    take, give = Argument(-1 << 15, (1 << 15) - 1, 8.0 / (1 << 15)), Scale(1 / WORD, 1 << 15, 16)
    pieces = fitted(np.tanh, take, give, WORD)
    pieces[0].tables[0][100] += 50
    drives = np.arange(take.low, take.high + 1)
    found = sum(piece.found(drives) for piece in pieces)
    assert np.abs(found - np.tanh(drives * take.scale) / give.scale).max() > 20
