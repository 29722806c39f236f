"""The co-simulation benchmark: whole sets, and what it takes for a failure."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import Cosimulation, Times


@pytest.fixture(scope="module")
def bench(benchmark_module):
    return benchmark_module("cosim")


@pytest.fixture(scope="module")
def real(bench) -> Cosimulation:
    """Three images, really run."""
    return bench.run_cosim(bench.job("digits", 3, cells=4), simulator=bench.Simulator.CXXRTL)


def test_images_are_run_and_every_value_compared(bench, real, monkeypatch):
    monkeypatch.setattr(bench, "run_cosim", lambda job, simulator: real)
    found = bench.whole(bench.job("digits", 3, cells=4), "digits")
    assert found["images"] == 3 and found["mismatches"] == 0
    # A tile of 32 x 32 cells, and 48 and 10 outputs of each image.
    assert found["values"] == 1024 + 3 * 58
    parts = [found[part] for part in ("simulator", "card", "rest")]
    assert min(parts) > 0 and sum(parts) == pytest.approx(1)


def test_a_planted_fault_fails_it(bench):
    with pytest.raises(SystemExit, match="digits: the engines differ: sample 0"):
        bench.whole(bench.job("digits", 1, cells=1, fault=Fault.CONDUCTANCE), "digits")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_whole_sets_are_equal(bench, name):
    count = bench.NETWORKS[name].count
    found = bench.whole(bench.job(name, count), name)
    assert found["images"] == count and found["mismatches"] == 0


def pretend(bench, monkeypatch, real, seconds, change=lambda report: report):
    """Runs take ``seconds`` in CXXRTL and 100 s in Icarus, whose report is changed."""

    def run(job, simulator):
        if simulator is bench.Simulator.CXXRTL:
            return Cosimulation(real.report, real.output, Times(seconds, 0.0, 0.0))
        return Cosimulation(change(real.report), real.output, Times(99.0, 1.0, 0.0))

    monkeypatch.setattr(bench, "run_cosim", run)


@pytest.mark.parametrize(("seconds", "code"), [(1.9, 0), (2.1, 1)])
def test_its_exit_code_is_that_of_the_ratio(bench, real, monkeypatch, tmp_path, seconds, code):
    pretend(bench, monkeypatch, real, seconds)
    monkeypatch.setattr(bench, "RESULT", tmp_path / "cosim.json")
    assert bench.main([]) == code
    result = json.loads(bench.RESULT.read_text())
    assert set(result["networks"]) == {"digits", "mnist"}
    for each in result["networks"].values():
        assert each["ratio"] == pytest.approx(100 / seconds)
        assert each["icarus"]["card"] == 0.01 and "whole" not in each


def test_reports_that_differ_fail_it(bench, real, monkeypatch):
    pretend(bench, monkeypatch, real, 1.0, lambda report: replace(report, pulses=report.pulses + 1))
    with pytest.raises(SystemExit, match="digits: the reports differ"):
        bench.measured("digits", 1)


def test_values_that_were_not_compared_fail_it(bench, real, monkeypatch):
    pretend(bench, monkeypatch, real, 1.0)
    work = bench.job("digits", 3, cells=4)
    with pytest.raises(SystemExit, match="were compared"):
        bench.whole(replace(work, samples=np.repeat(work.samples, 2, axis=0)), "digits")
