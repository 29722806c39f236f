"""Real co-simulation: the RTL in a Verilog simulator against the numpy engine."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.runner import CosimError, run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.engine import NumpyEngine


def reference(job):
    """The numpy engine's integers for a job, computed outside the simulator."""
    geometry = job.image.geometry
    array = SimulatedArray(job.device, job.image.tiles, geometry.rows, geometry.columns, job.seed)
    engine = NumpyEngine(job.image, array, job.converters, job.clk_hz, job.seed)
    engine.setup()
    engine.program(job.levels)
    return engine.infer(job.samples).output


@pytest.mark.parametrize("device", ["cspbbr3_ogb", pytest.param("ideal", marks=pytest.mark.slow)])
def test_rtl_equals_the_numpy_engine(make_job, tmp_path, device):
    job = make_job(device)
    stages = []
    result = run_cosim(job, lambda stage, done, total: stages.append(stage), tmp_path)
    report = result.report
    assert report.mismatches == 0 and report.first_mismatch is None
    assert report.samples == len(job.samples)
    geometry = job.image.geometry
    assert report.values_compared == geometry.cells + len(job.samples) * geometry.pairs
    assert np.array_equal(result.output, reference(job))
    assert report.pulses >= 2 * 12  # RESET and SET of each cell that is programmed
    assert {"elaborate", "build", "program", "infer"} <= set(stages)
    assert min(result.times.simulator, result.times.card, result.times.rest) > 0


def test_an_inference_takes_little_more_than_the_front_end_needs(make_job, tmp_path):
    report = run_cosim(make_job(samples=1, cells=1), folder=tmp_path).report
    assert report.afe_utilisation == report.afe_bound_cycles / report.cycles_per_inference
    assert report.cycles_per_inference <= 1.3 * report.afe_bound_cycles
    assert sum(report.overhead.values()) == report.cycles_per_inference - report.afe_bound_cycles
    assert min(report.overhead.values()) >= 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault, marks=[pytest.mark.slow] * (fault is not Fault.CONDUCTANCE), id=fault.value
        )
        for fault in Fault
    ],
)
def test_a_planted_fault_is_found(make_job, tmp_path, fault):
    report = run_cosim(make_job(samples=1, cells=1, fault=fault), folder=tmp_path).report
    assert report.mismatches == 1
    assert report.first_mismatch is not None
    for word in ("tile", "column", "expected", "found"):
        assert word in report.first_mismatch


@pytest.mark.slow  # the compiled engine has the same test, a tenth as long
def test_time_jumps_change_nothing(make_job, tmp_path):
    """At a slow clock, where the pulses can be stepped through cycle by cycle."""
    runs = {}
    for jump in (False, True):
        job = make_job(clk_hz=4_000_000, cells=2, samples=1, planes=3, jump=jump)
        runs[jump] = run_cosim(job, folder=tmp_path / str(jump))
    stepped, jumped = asdict(runs[False].report), asdict(runs[True].report)
    assert jumped.pop("skipped_cycles") > 10_000 and stepped.pop("skipped_cycles") == 0
    assert jumped.pop("simulated_cycles") < stepped.pop("simulated_cycles")
    assert jumped == stepped
    assert np.array_equal(runs[True].output, runs[False].output)


@pytest.mark.parametrize(
    ("simulator", "program"),
    [(Simulator.ICARUS, "iverilog"), (Simulator.VERILATOR, "verilator")],
)
def test_without_a_simulator_it_says_how_to_get_one(make_job, monkeypatch, simulator, program):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CosimError, match=f"{program} is not installed: apt-get install {program}"):
        run_cosim(make_job(), simulator=simulator)
