"""Compiled once for all tests here, at a clock where pulses can be stepped through."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ohmloom.hw.geometry import Geometry
from ohmloom.sim.cosim.bench import Bench
from ohmloom.sim.cosim.fast.build import library
from ohmloom.sim.cosim.job import Job

CLK_HZ = 3_000_000
"""Slow enough for stepping, and a conversion takes the two cycles that the model needs at least."""


@pytest.fixture
def make_fast_job(make_job: Callable[..., Job]) -> Callable[..., Job]:
    """Jobs on the bench that the tests here share; keyword arguments as of ``make_job``."""
    return partial(make_job, clk_hz=CLK_HZ, cells=2, samples=2, planes=3)


def make_bench() -> Bench:
    """The bench of :func:`make_fast_job`."""
    geometry = Geometry(rows=8, columns=8, tiles=2, program_depth=64, param_depth=64, act_depth=64)
    return Bench(geometry, CLK_HZ, CLK_HZ // 4)


@pytest.fixture
def bench() -> Bench:
    """Not elaborated."""
    return make_bench()


@pytest.fixture(scope="session")
def compiled() -> Path:
    """The library of that bench."""
    return library(make_bench())


@pytest.fixture
def at_hand(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs find the library without elaborating the design each time."""
    monkeypatch.setattr("ohmloom.sim.cosim.fast.run.library", lambda *_, **__: compiled)
