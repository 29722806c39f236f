"""One tile write-verified by the RTL in the compiled engine, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...numerics import FloatArray
from ..afe import bench_of
from ..comparison import Comparison, Progress
from ..job import CosimReport, Job
from .build import library, ports
from .engine import Engine
from .harness import FastHarness, complete


@dataclass(frozen=True)
class Programmed:
    """What the RTL has left behind.

    Attributes
    ----------
    report:
        Of the comparison with the numpy engine.
    words:
        Result words of the tile, as the link gives them, shape (cells,).
    g:
        True conductances [S] of the cells behind the pins, shape (rows, columns).
    cycles:
        How many the controller has counted for each cell, shape (cells,); zeros without
        ``Geometry.wear``.
    run_cycles:
        Clock cycles of the run that has written them.
    """

    report: CosimReport
    words: np.ndarray
    g: FloatArray
    cycles: np.ndarray
    run_cycles: int


def program_fast(job: Job, progress: Progress, cache: Path | None = None) -> Programmed:
    """Run ``job``; its tile's results, state and cycles are in what comes back.

    Parameters
    ----------
    job : Job
        What to simulate.
    progress : callable
        Called with (stage, done, total).
    cache : Path, optional
        Where compiled benches are kept; by default the user's cache.
    """
    bench = bench_of(job)
    with Engine(library(bench, progress, cache), ports(bench), job.bit_cycles) as engine:
        comparison = Comparison(job, FastHarness(engine, job), progress)
        outcome = complete(comparison.compare())
    return Programmed(
        outcome.report,
        comparison.results,
        comparison.array.g[job.tile],
        comparison.worn,
        comparison.program_cycles,
    )
