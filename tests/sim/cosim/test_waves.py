"""The waveform that is kept of a simulation."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import CosimReport, Cosimulation
from ohmloom.sim.cosim.runner import CosimError, run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.cosim.waves import LAST, MARGIN, STEPS_PER_CYCLE, Waves

HEADER = struct.Struct(">BQQQ8sQQQ")
"""Of an FST file: block type, its length, first and last time, order of floats, memory,
scopes, hierarchy's and signals' counts."""


def span(path: Path) -> tuple[int, int, int]:
    """First and last time of an FST file [simulator steps], and its signals."""
    kind, length, first, last, _, _, _, signals = HEADER.unpack(path.read_bytes()[: HEADER.size])
    assert (kind, length) == (0, 329)
    return first, last, signals


def test_the_failing_sample_is_kept_and_nothing_before_it(make_job, tmp_path):
    job = make_job(samples=1, cells=1, fault=Fault.ADC)
    outcome = run_cosim(job, folder=tmp_path / "sim", simulator=Simulator.CXXRTL)
    assert outcome.report.mismatches == 1
    (begin,) = outcome.begins
    waves = Waves.of_failure(tmp_path / "kept" / "waves.fst", outcome)
    assert waves.first == begin - MARGIN
    again = run_cosim(job, folder=tmp_path / "sim", waves=waves)
    assert again.report == outcome.report
    assert abs(again.begins[0] - begin) < MARGIN / 2
    first, last, signals = span(waves.path)
    assert first == STEPS_PER_CYCLE * waves.first
    cycles = (last - first) // STEPS_PER_CYCLE
    assert outcome.report.cycles_per_inference < cycles < outcome.report.simulated_cycles
    assert signals > 1000


def test_before_the_first_sample_the_last_cycles_are_kept():
    report = CosimReport(**{name: 0 for name in CosimReport.__dataclass_fields__})  # type: ignore[arg-type]
    for simulated, first in ((LAST + 5, 5), (LAST - 5, 0)):
        object.__setattr__(report, "simulated_cycles", simulated)
        waves = Waves.of_failure(Path("w.fst"), Cosimulation(report, np.empty(0)))
        assert waves.first == first


def test_only_icarus_keeps_them(make_job, tmp_path):
    with pytest.raises(CosimError, match="kept by icarus, not by cxxrtl"):
        run_cosim(make_job(), simulator=Simulator.CXXRTL, waves=Waves(tmp_path / "w.fst", 0))
