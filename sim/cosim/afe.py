"""The front end that a job's controller has: the bench around it, and what it takes."""

from __future__ import annotations

from ...hw.afe.cards import FRONT_ENDS, front_end_cycles, plane_period_cycles
from ...hw.afe.interface import PlaneStep
from ...hw.cycles import FrontEndCycles
from .bench import Bench
from .job import Job


def bench_of(job: Job, *, gates: bool = False) -> Bench:
    """What a job simulates, not elaborated; with ``gates`` a netlist in the RTL's place."""
    return Bench(
        job.image.geometry, job.clk_hz, job.clk_hz // job.bit_cycles, FRONT_ENDS[job.afe],
        job.adc, gates,
    )  # fmt: skip


def front_end_of(job: Job) -> FrontEndCycles:
    """What a job's front end takes, for the cost model.

    Raises
    ------
    ValueError
        If it is not for such a geometry, or not at such a clock.
    """
    return front_end_cycles(job.afe, job.image.geometry, job.clk_hz, job.adc)


def plane_period_of(job: Job, tia_range: int) -> dict[PlaneStep, int]:
    """Cycles of each step of a plane."""
    return plane_period_cycles(job.afe, job.image.geometry, job.clk_hz, tia_range, job.adc)
