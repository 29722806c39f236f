"""Memory that gives back what is not needed any more."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from ohmloom.compiler.floats import Floats


def test_values_are_zero_and_stay_what_they_are_made():
    floats = Floats(3, 1000, np.float32)
    assert floats.array.shape == (3, 1000) and floats.array.dtype == np.float32
    assert not floats.array.any()
    floats.array[:] = np.arange(3000).reshape(3, 1000)
    assert np.array_equal(floats.array.ravel(), np.arange(3000))


def test_only_what_is_forgotten_changes():
    page = mmap.PAGESIZE // 8
    floats = Floats(2, 5 * page, np.float64)
    floats.array[:] = 1
    forgotten = range(page // 2, 4 * page + page // 3)
    floats.forget(forgotten)
    kept = np.delete(floats.array, list(forgotten), axis=1)
    assert (kept == 1).all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_is_forgotten_is_given_back():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    values = (64 << 20) // 8
    floats = Floats(1, values, np.float64)
    floats.array[:] = 1
    before = resident()
    floats.forget(range(values))
    assert before - resident() > 48 << 20
