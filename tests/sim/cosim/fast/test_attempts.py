"""Cells that a host writes by PULSE alone, on the RTL: bit for bit the numpy engine's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmloom.hw.isa import CellStatus, unpack_result
from ohmloom.sim.cosim.fast.programming import program_fast
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.engine.attempts import Attempts


@pytest.fixture
def job(make_fast_job, compiled, monkeypatch) -> Job:
    """The network of all tests here, without its entries that write."""
    monkeypatch.setattr("ohmloom.sim.cosim.fast.programming.library", lambda *_: compiled)
    made = make_fast_job(samples=1)
    kept = {name: at for name, at in made.image.entries.items() if not name.startswith("program")}
    return replace(made, image=replace(made.image, entries=kept), stuck=((9, 1e-7),))


def run(job: Job):
    return program_fast(job, lambda stage, done, total: None)


def test_a_host_writes_the_cells_of_the_rtl_as_those_of_the_engine(job):
    """With a memory for two gate codes at a time: many programs of the host's own."""
    done = run(job)
    assert done.report.first_mismatch is None and done.report.samples == 1
    assert done.report.cells_programmed == 64 and done.report.pulses > 2 * 64
    assert done.report.cycles_per_inference == done.report.predicted_cycles
    status = [unpack_result(int(word))[2] for word in done.words]
    assert status[9] is not CellStatus.DONE and status.count(CellStatus.DONE) > 50


def test_all_tiles_are_written_by_the_rtl_where_that_is_asked_for(job):
    done = run(replace(job, every_tile=True))
    assert done.report.first_mismatch is None and done.report.cells_programmed == 128


def test_another_gate_code_is_found(job, monkeypatch):
    plain = Attempts.programs

    def higher(self, *where):
        return plain(replace(self, gates=self.gates + 40), *where)

    monkeypatch.setattr(Attempts, "programs", higher)
    found = run(job).report.first_mismatch
    assert found is not None and found.startswith("programming tile 0")


def test_a_pulse_that_comes_too_late_for_its_read_ends_the_run(job, monkeypatch):
    from ohmloom.hw.cycles import FrontEndCycles
    from ohmloom.hw.link.exchange import RunRefused

    monkeypatch.setattr(FrontEndCycles, "read_after", lambda self, tia_range: 10)
    with pytest.raises(RunRefused):
        run(job)


def test_a_host_without_memory_for_its_pulses_says_so(job):
    full = np.concatenate((job.image.params, np.zeros(64 - len(job.image.params), np.uint64)))
    found = run(replace(job, image=replace(job.image, params=full))).report.first_mismatch
    assert found == "there is no memory left for the pulses of a host"
