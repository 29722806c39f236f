"""A controller with an emulated array against the numpy engine: no chips, the same integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from ohmloom.hw.afe.kinds import FrontEndKind
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.devices import DeviceError

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


def test_icarus_says_the_same(make_emulated, tmp_path):
    job = make_emulated(cells=2, samples=1)
    fast, slow = run(job), run_cosim(job, folder=tmp_path)
    assert asdict(fast.report) == asdict(slow.report)
    assert np.array_equal(fast.output, slow.output)
    assert fast.report.mismatches == 0
    assert Job.load(tmp_path).afe is FrontEndKind.EMULATED


def test_time_jumps_change_nothing(make_emulated):
    stepped, jumped = (run(make_emulated(cells=2, jump=jump)) for jump in (False, True))
    assert jumped.report.skipped_cycles > 0 == stepped.report.skipped_cycles
    assert np.array_equal(jumped.output, stepped.output)
    assert jumped.report.cycles_per_inference == stepped.report.cycles_per_inference


@pytest.mark.parametrize("fault", [Fault.CONDUCTANCE, Fault.ADC])
def test_a_wrong_table_entry_is_found(make_emulated, fault):
    report = run(make_emulated(cells=2, samples=1, fault=fault)).report
    assert report.mismatches == 1
    for word in ("tile", "column", "expected", "found"):
        assert word in report.first_mismatch


def test_behind_the_cards_chips_the_device_is_one_as_any_other(make_job):
    job = make_job(emulated=True, clk_hz=CLK_HZ, cells=2, samples=2, planes=3)
    assert job.afe is FrontEndKind.ARRAY_CARD
    assert run(job).report.mismatches == 0


def test_what_it_does_not_have_is_refused(make_job, make_emulated):
    with pytest.raises(DeviceError, match="nothing settles"):
        make_emulated(fault=Fault.SETTLING)
    with pytest.raises(DeviceError, match="stuck cells"):
        replace(make_emulated(), stuck=((0, 1e-5),))
    with pytest.raises(DeviceError, match="no device of an emulated array"):
        replace(make_job(), afe=FrontEndKind.EMULATED)
