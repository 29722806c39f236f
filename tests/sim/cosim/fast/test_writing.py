"""Cells that a host writes by pulses, on the RTL: bit for bit the numpy engine's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import CellStatus, unpack_result
from ohmloom.sim.cosim.fast.programming import program_fast
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.devices import load

from .conftest import CLK_HZ

SMALL = Geometry(rows=8, columns=8, tiles=2, program_depth=64, param_depth=64, act_depth=64)
STUCK = ((9, 6e-6),)


@pytest.fixture
def job(tmp_path) -> Job:
    """A matrix of 6 x 4 on the dual-ion device, and two samples."""
    rng = np.random.default_rng(3)
    weights = numpy_helper.from_array(rng.normal(size=(6, 4)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "small.onnx")
    x = rng.uniform(0, 1, (16, 6)).astype(np.float32)
    made = compile_model(
        tmp_path / "small.onnx", load("all_in_one"), x, SMALL, Options(clk_hz=CLK_HZ)
    )
    return Job(
        image=made.image,
        device=made.device,
        levels=made.levels,
        samples=made.golden.inputs[:2],
        converters=made.converters,
        seed=1,
        clk_hz=CLK_HZ,
    )


def run(job: Job):
    return program_fast(job, lambda stage, done, total: None)


@pytest.fixture
def shared(compiled, monkeypatch):
    """Runs find the library without elaborating the design each time."""
    monkeypatch.setattr("ohmloom.sim.cosim.fast.programming.library", lambda *_: compiled)


def test_a_host_writes_the_cells_of_the_rtl_as_those_of_the_engine(job, shared):
    """With a memory for three trains at a time: many programs of the host's own."""
    done = run(replace(job, stuck=STUCK))
    assert done.report.first_mismatch is None and done.report.samples == 2
    assert done.report.cells_programmed == 64 and done.report.values_compared > 64
    assert done.report.cycles_per_inference == done.report.predicted_cycles
    status = [unpack_result(int(word))[2] for word in done.words]
    assert [n for n, found in enumerate(status) if found is CellStatus.STUCK] == [9]
    assert status.count(CellStatus.DONE) == 63
    error = done.g - job.device.levels[job.levels[0]]
    error.reshape(-1)[9] = 0.0
    assert np.abs(error).max() < 0.5 * job.device.level_step * job.device.g_lsb
    assert done.report.pulses > 24 and done.report.skipped_cycles > 10 * 15_000


def test_a_pulse_that_is_a_little_longer_is_found(job, shared, monkeypatch):
    from ohmloom.sim.engine.writing import Trains

    plain = Trains.instructions

    def longer(self, *where):
        return plain(replace(self, cycles=self.cycles + 1), *where)

    monkeypatch.setattr(Trains, "instructions", longer)
    found = run(job).report.first_mismatch
    assert found is not None and found.startswith(("programming tile 0", "tile 0 is not"))


def test_a_host_without_memory_for_its_pulses_says_so(job, shared):
    full = np.concatenate((job.image.params, np.zeros(64 - len(job.image.params), np.uint64)))
    found = run(replace(job, image=replace(job.image, params=full))).report.first_mismatch
    assert found == "there is no memory left for the pulses of a host"
