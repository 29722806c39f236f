"""One draw for a conversion has the distribution of one for each of its cells.

Noise of every cell is independent and normal, and drawn anew at each conversion. What the engine
adds up of it is compared with draws for each cell by numpy's generator: codes are fine beside the
noise, so that rounding does not show.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ohmloom.hw.isa import Scheme
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters, Sensing
from ohmloom.sim.numerics import FloatArray

from .conftest import CARD, SOURCE, array, mvm, outcome

PLANES, TIA_RANGE = 8, 1
SAMPLES = 20_000
X = np.array([-75, 101, 127, -31, 64, 3, -128, 90])
"""Activations of all samples, one for each row."""
CARDS = [
    replace(CARD, input_bits=bits, sensing=sensing)
    for bits in (1, 4, 8)
    for sensing in ("columns", "differential")
]
cards = pytest.mark.parametrize("card", CARDS, ids=lambda c: f"{c.input_bits} bits, {c.sensing}")


def cells() -> SimulatedArray:
    """Cells that bring no conversion to a rail, with noise of about 60 G codes each."""
    made, rng = array(), np.random.default_rng(8)
    shape = made.g_code.shape
    made.set_codes(..., rng.integers(0, 2000, shape), rng.integers(2000, 6000, shape))
    return made


def drawn_once(card: Converters, made: SimulatedArray) -> FloatArray:
    """What the engine adds to its accumulators, shape (samples, pairs)."""
    act = np.zeros((SAMPLES, 80), np.int64)
    act[:, SOURCE : SOURCE + len(X)] = X
    left = outcome(
        [mvm(SOURCE, len(X), planes=PLANES)],
        by_round=False, samples=SAMPLES, act=act, tia_range=TIA_RANGE, cells=made, card=card,
        scheme=Scheme.DIFFERENTIAL,
    )  # fmt: skip
    assert not left.refusal and not left.counted[0]
    return left.acc.astype(np.float64)


def drawn_by_cell(card: Converters, made: SimulatedArray) -> FloatArray:
    """The same in floats, with a draw for each cell at each conversion."""
    device, rng, bits = made.device, np.random.default_rng(9), card.input_bits
    deviation = np.sqrt(made.var_code[0]) / 2**device.var_exponent
    sums = np.zeros((SAMPLES, made.columns))
    for plane in range(0, PLANES, bits):
        digit = X >> plane & (1 << bits) - 1
        if plane + bits == PLANES:  # the top one is two's complement
            digit = digit - (digit >> bits - 1 << bits)
        g = made.g_code[0] + deviation * rng.standard_normal((SAMPLES, *deviation.shape))
        sums += 2**plane * np.einsum("r,nrc->nc", digit, g)
    sums *= float(card.gain(device.g_lsb, device.v_read, TIA_RANGE))
    return sums[:, 0::2] - sums[:, 1::2]


def unlike(found: FloatArray, wanted: FloatArray) -> set[str]:
    """In what two sets of samples are not of one distribution."""
    n, spread = len(wanted), wanted.std(axis=0)
    pairs = range(wanted.shape[1])
    off = {
        "mean": (found.mean(axis=0) - wanted.mean(axis=0)) / (spread * np.sqrt(2 / n)),
        "variance": (found.var(axis=0) / wanted.var(axis=0) - 1) / np.sqrt(4 / n),
        "correlation": (np.corrcoef(found.T) - np.corrcoef(wanted.T)) / np.sqrt(2 / n),
    }
    names = {name for name, each in off.items() if (np.abs(each) > 4).any()}
    if any(np.array(stats.ks_2samp(found[:, k], wanted[:, k]))[1] < 1e-3 for k in pairs):
        names.add("distribution")
    return names


@cards
def test_a_draw_is_as_good_as_one_for_each_cell(card: Converters) -> None:
    made = cells()
    once = drawn_once(card, made)
    assert once.std(axis=0).min() > 50 * 2 ** (PLANES - 1)  # codes of what counts most
    assert not unlike(once, drawn_by_cell(card, made))


@cards
def test_noise_that_is_left_out_is_seen(card: Converters) -> None:
    wanted = drawn_by_cell(card, cells())
    for which in (np.s_[:, 1], np.s_[:, :, 1::2]):  # of a row, or of what is subtracted
        faulty = cells()
        faulty.set_codes(which, var_code=0)
        assert "variance" in unlike(drawn_once(card, faulty), wanted)


@pytest.mark.parametrize("sensing", ["columns", "differential"])
def test_a_variance_without_the_square_of_the_drive_is_seen(sensing: Sensing) -> None:
    card, faulty = replace(CARD, input_bits=8, sensing=sensing), cells()
    faulty.set_codes(..., var_code=faulty.var_code // np.abs(X)[:, np.newaxis])
    found = unlike(drawn_once(card, faulty), drawn_by_cell(card, cells()))
    assert {"variance", "distribution"} <= found
