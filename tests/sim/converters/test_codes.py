"""Conversions by the compiled loop and by numpy: the same codes."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.sim.compiled import FROM, compiled
from ohmloom.sim.converters import codes
from ohmloom.sim.converters.codes import Scales, codes_of
from ohmloom.sim.numerics import NumericsError

SIZE = 10_000
RAILS = (-32768, 32767)


def sums(variance_max: int = 1 << 24):
    rng = np.random.default_rng(5)
    root = rng.integers(0, int(variance_max**0.5), SIZE)
    variance = np.maximum(root * root + rng.integers(-1, 2, SIZE), 0)
    return rng.integers(0, 1 << 22, SIZE), variance, rng.integers(-26_215, 26_216, SIZE)


@pytest.mark.parametrize("mantissa", [1 << 15, 40_001, (1 << 16) - 1])
@pytest.mark.parametrize("shift", [0, 1, 16, 20, 35, 63])
@pytest.mark.parametrize("fraction", [12, 20])
def test_the_compiled_loop_gives_the_same_codes(monkeypatch, mantissa, shift, fraction):
    assert (
        compiled(".converters.code_kernel", FROM) is not None
    )  # numba is among the packages of the tests
    scales = Scales(mantissa, shift, fraction, *RAILS)
    fast = codes_of(*sums(), scales)
    monkeypatch.setattr(codes, "compiled", lambda *_: None)
    assert all(map(np.array_equal, fast, codes_of(*sums(), scales)))
    assert fast[0].dtype == np.int64 and fast[1].dtype == np.bool_


def test_ties_go_to_the_even_code_in_both(monkeypatch):
    total = np.arange(-SIZE, SIZE)
    scales = Scales(1 << 15, 17, 12, *RAILS)  # a quarter of a code each
    expected = np.rint(total / 4)
    for each in (compiled(".converters.code_kernel", FROM), None):
        monkeypatch.setattr(codes, "compiled", lambda *_, each=each: each)
        assert np.array_equal(codes_of(total, 0, 0, scales)[0], expected)


def test_a_wrong_loop_would_be_seen(monkeypatch):
    loop = compiled(".converters.code_kernel", FROM)
    assert loop is not None

    def wrong(*given):
        given[-2].fill(1)
        given[-1].fill(False)

    monkeypatch.setattr(loop, "codes", wrong)
    with pytest.raises(AssertionError):
        test_the_compiled_loop_gives_the_same_codes(monkeypatch, 40_001, 20, 12)


def test_the_shape_is_that_of_all_together():
    total, variance, z = sums()
    scales = Scales(40_001, 20, 16, *RAILS)
    found, railed = codes_of(total.reshape(100, 100), variance[:100], z[0], scales)
    assert found.shape == railed.shape == (100, 100)
    for row in (0, 99):
        alone = codes_of(total[100 * row :][:100], variance[:100], z[0], scales)
        assert np.array_equal(found[row], alone[0]) and np.array_equal(railed[row], alone[1])


def test_a_mantissa_for_each_column():
    total, variance, z = (each.reshape(-1, 4) for each in sums())
    mantissa = np.array([40_000, 40_001, 39_990, 50_000])
    found, _ = codes_of(total, variance, z, Scales(mantissa, 20, 16, *RAILS))
    for column, each in enumerate(mantissa.tolist()):
        scales = Scales(each, 20, 16, *RAILS)
        alone, _ = codes_of(total[:, column], variance[:, column], z[:, column], scales)
        assert np.array_equal(found[:, column], alone)


def test_variances_that_a_float_root_is_not_exact_for(monkeypatch):
    root = 162_015_131 + np.arange(SIZE)
    scales = Scales(1, 0, 0, -(1 << 40), 1 << 40)
    assert np.array_equal(codes_of(0, root * root - 1, 1, scales)[0], root - 1)
    monkeypatch.setattr(codes, "EXACT_ROOT", 1 << 63)
    assert not np.array_equal(codes_of(0, root * root - 1, 1, scales)[0], root - 1)


def test_a_negative_variance_is_refused():
    for size in (1, SIZE):
        with pytest.raises(NumericsError, match="-1"):
            codes_of(0, np.full(size, -1), 0, Scales(40_001, 20, 16, *RAILS))


def test_nothing_converts_to_nothing():
    nothing = np.zeros((0, 4), dtype=np.int64)
    assert codes_of(nothing, nothing, 0, Scales(40_001, 20, 16, *RAILS))[0].shape == (0, 4)


def test_what_float64_holds():
    quiet = Scales(1 << 15, 20, 12, *RAILS)
    assert quiet.exact((1 << 38) - 1, 0) and not quiet.exact(1 << 38, 0)
    assert quiet.exact(0, 1 << 46) and not quiet.exact(0, 1 << 47)  # z has 15 bits
    # Noise of up to 2^40 is added.
    assert not quiet.exact((1 << 38) - 1, 1 << 46) and quiet.exact((1 << 37), 1 << 46)
    assert not Scales(np.array([1 << 15]), 20, 12, *RAILS).exact(0, 0)
