"""A network with operators on the host, in co-simulation: the same integers, run by run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.host import Executor
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.errors import OhmloomError
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.cosim.desk import Caller, Desk, DeskError
from ohmloom.sim.cosim.job import Cosimulation, Job
from ohmloom.sim.cosim.runner import CosimError, run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.devices import load

from ...compiler.conftest import Zoo

X = np.random.default_rng(1).normal(size=(20, 1, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Conv, Softmax on the host, Gemm, Softmax at the end."""
    rng = np.random.default_rng(0)
    weights = {
        "k": rng.normal(size=(3, 1, 3, 3)).astype(np.float32),
        "w": rng.normal(size=(12, 4)).astype(np.float32),
        "b": rng.normal(size=4).astype(np.float32),
    }
    nodes = [
        Zoo.node("Conv", ["x", "k"], "c"),
        Zoo.node("Softmax", ["c"], "s", axis=1),
        Zoo.node("Flatten", ["s"], "f"),
        Zoo.node("Gemm", ["f", "w", "b"], "g"),
        Zoo.node("Softmax", ["g"], "y", axis=1),
    ]
    path = Zoo.save(Zoo.model(nodes, weights, ("N", 1, 4, 4)), tmp_path_factory.mktemp("host"))
    return compile_model(
        path, load("cspbbr3_ogb"), X, Geometry(rows=16, columns=16), Options(act_bits=6)
    )


def job(compiled: Compiled, samples: int = 2) -> Job:
    return Job(
        image=compiled.image,
        device=compiled.device,
        levels=compiled.levels,
        samples=quantise_input(compiled, X[:samples]),
        converters=compiled.converters,
        seed=compiled.options.seed,
        clk_hz=compiled.options.clk_hz,
    )


def run(compiled: Compiled, simulator: Simulator = Simulator.CXXRTL) -> Cosimulation:
    return run_cosim(job(compiled), simulator=simulator, host=Executor(compiled.host))


@pytest.mark.parametrize(
    "simulator", [Simulator.CXXRTL, pytest.param(Simulator.ICARUS, marks=pytest.mark.slow)]
)
def test_bit_for_bit_and_in_the_cycles_that_were_predicted(
    compiled: Compiled, simulator: Simulator
) -> None:
    assert compiled.image.runs == ("infer", "infer/1")
    assert [bool(call.writes) for call in compiled.image.host] == [True, False]
    outcome = run(compiled, simulator)
    assert outcome.report.first_mismatch is None
    assert outcome.report.predicted_cycles == outcome.report.cycles_per_inference
    trace = build_engine(compiled).infer(quantise_input(compiled, X[:2]))
    np.testing.assert_array_equal(outcome.output, trace.output)
    scores = dequantise_output(compiled, outcome.output)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)


class Deceiver:
    """A host that gives the numpy engine, which asks first, other words than the RTL."""

    def __init__(self, compiled: Compiled) -> None:
        self.true, self.calls = Executor(compiled.host), 0

    def __call__(self, number: int, words: np.ndarray) -> np.ndarray:
        self.calls += 1
        made = self.true(number, words)
        made[:, 5] ^= self.calls > 1
        return made


def test_a_host_that_is_wrong_once_is_found(compiled: Compiled) -> None:
    host = Deceiver(compiled)
    outcome = run_cosim(job(compiled, 1), simulator=Simulator.CXXRTL, host=host)
    found = outcome.report.first_mismatch
    assert host.calls == 2
    assert found is not None and "layer host/0, written, output 5 (of no tile)" in found


def test_no_cosimulation_without_the_host(compiled: Compiled) -> None:
    with pytest.raises(CosimError, match="run on the host, and there is none"):
        run_cosim(job(compiled, 1), simulator=Simulator.CXXRTL)


def test_a_job_keeps_its_calls(compiled: Compiled, tmp_path: Path) -> None:
    job(compiled).save(tmp_path)
    assert Job.load(tmp_path).image.host == compiled.image.host


def test_a_call_through_files(tmp_path: Path) -> None:
    with Desk(tmp_path, lambda number, words: words * number):
        made = Caller(tmp_path)(3, np.array([[1, -2]]))
        assert made.tolist() == [[3, -6]]


def test_a_refusal_through_files(tmp_path: Path) -> None:
    def refuse(number: int, words: np.ndarray) -> np.ndarray:
        raise OhmloomError(f"call {number} cannot be done")

    with Desk(tmp_path, refuse), pytest.raises(DeskError, match="call 3 cannot be done"):
        Caller(tmp_path)(3, np.array([[1]]))
