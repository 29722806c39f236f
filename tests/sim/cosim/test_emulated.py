"""A controller with an emulated array against the numpy engine: no chips, the same integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ohmloom.hw.afe.kinds import FrontEndKind
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator

CLK_HZ = 3_000_000


@pytest.fixture
def make_emulated(make_job: Callable[..., Job]) -> Callable[..., Job]:
    """Jobs of :func:`make_job` on the emulated device, all cells of all tiles programmed."""

    def make(fault: Fault | None = None, **options: object) -> Job:
        given = {"clk_hz": CLK_HZ, "cells": 64, "samples": 2, "planes": 3, **options}
        job = make_job(emulated=True, **given)
        return replace(job, afe=FrontEndKind.EMULATED, fault=fault)

    return make


def run(job: Job, simulator: Simulator = Simulator.CXXRTL):
    return run_cosim(job, simulator=simulator)


def test_a_network_is_programmed_and_inferred_without_a_difference(make_emulated):
    report = run(make_emulated()).report
    assert report.first_mismatch is None and report.mismatches == 0
    assert report.cells_programmed == 2 * 64
    assert report.values_compared == 2 * 64 + 2 * 4
    assert report.cycles_per_inference == report.predicted_cycles
    assert report.skipped_cycles > 100_000
