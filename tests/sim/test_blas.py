"""BLAS has as many threads as it is given, and its own again afterwards."""

from __future__ import annotations

import numpy  # noqa: F401 -- whose BLAS it is
from threadpoolctl import threadpool_info

from ohmloom.sim.blas import blas_threads


def counts() -> list[int]:
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_the_number_holds_while_it_lasts():
    before = counts()
    with blas_threads(1):
        assert set(counts()) == {1}
        with blas_threads(2):
            assert set(counts()) == {2}
    assert counts() == before
