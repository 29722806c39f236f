"""What the command does with the outcome; the simulation itself is tested in tests/sim/cosim."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.catalogue import board as find_board
from ohmloom.cli.output import Reporter
from ohmloom.cli.steps import cosimulation
from ohmloom.compiler.bundle import load_bundle
from ohmloom.hw.afe.kinds import FrontEndKind
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.gates import Netlist
from ohmloom.sim.cosim.job import CosimReport, Cosimulation, Job
from ohmloom.sim.cosim.runner import BenchFailed
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.cosim.waves import MARGIN, Waves

AGREES = CosimReport(
    samples=2,
    values_compared=116,
    mismatches=0,
    first_mismatch=None,
    cells_programmed=1024,
    pulses=2048,
    cycles_per_inference=9000,
    predicted_cycles=9000,
    afe_bound_cycles=8000,
    afe_utilisation=0.889,
    overhead={},
    saturations=0,
    simulated_cycles=1,
    skipped_cycles=1,
)
DIFFERS = replace(AGREES, mismatches=1, first_mismatch="sample 0: expected 1, found 2")


def outcome(report: CosimReport, job: Job) -> Cosimulation:
    """A simulation that read zeros from the RTL."""
    outputs = job.image.outputs[0].count
    return Cosimulation(report, np.zeros((len(job.samples), outputs), np.int64))


@pytest.fixture
def simulators() -> list[Simulator]:
    """The simulators that were asked, in order."""
    return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, simulators: list[Simulator]) -> list[Job]:
    """The jobs that the command gave to the simulator; one with a fault does not agree."""
    jobs: list[Job] = []

    def simulate(
        job: Job, progress: Any, simulator: Simulator, host: Any, netlist: Any
    ) -> Cosimulation:
        assert netlist is None
        jobs.append(job)
        simulators.append(simulator)
        progress("inference", 1, 2)
        return outcome(DIFFERS if job.fault else AGREES, job)

    monkeypatch.setattr(cosimulation, "run_cosim", simulate)
    return jobs


def test_job_is_the_bundle(command: Any, bundle: Path, asked: list[Job]) -> None:
    result = command("cosim", bundle, "--samples", 2, "--json")
    assert result.code == 0 and result.data["mismatches"] == 0
    assert result.data["afe_utilisation"] == 0.889
    compiled, (job,) = load_bundle(bundle), asked
    np.testing.assert_array_equal(job.samples, compiled.golden.inputs[:2])
    np.testing.assert_array_equal(job.levels, compiled.levels)
    assert (job.seed, job.clk_hz, job.fault) == (1, 48_000_000, None)


def test_samples_from_a_file(command: Any, bundle: Path, digits: Path, asked: list[Job]) -> None:
    assert command("cosim", bundle, "--input", digits / "test_x.npy", "--samples", 20).code == 0
    assert asked[0].samples.shape == (20, 64)


@pytest.mark.parametrize("again", [DIFFERS, AGREES])
def test_the_waveform_of_a_difference(
    command: Any,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    again: CosimReport,
) -> None:
    path, kept = tmp_path / "w.fst", []

    def simulate(
        job: Job,
        progress: Any,
        simulator: Simulator = Simulator.ICARUS,
        host: Any = None,
        netlist: Any = None,
        waves: Waves | None = None,
    ) -> Cosimulation:
        assert netlist is None
        if waves is None:
            assert not path.exists()
            return replace(outcome(DIFFERS if job.fault else AGREES, job), begins=(40, 100))
        assert simulator is Simulator.ICARUS
        kept.append(waves.first)
        waves.path.write_text("waves")
        return outcome(again, job)

    monkeypatch.setattr(cosimulation, "run_cosim", simulate)
    path.write_text("of an earlier run")
    agrees = command("cosim", bundle, "--waves", path, "--json")
    assert agrees.code == 0 and agrees.data["waves"] is None and not path.exists()
    arguments = ("cosim", bundle, "--waves", path, "--plant-fault", "adc", "--simulator", "cxxrtl")
    result = command(*arguments, "--json")
    assert kept == [100 - MARGIN]
    if again is DIFFERS:
        assert result.code == 1 and result.data["waves"] == str(path)
    else:
        assert result.code == 2 and "but not when it was run again" in result.sentence


def test_the_waveform_of_a_complaint(
    command: Any, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.fst"

    def simulate(job: Job, progress: Any, waves: Waves | None = None, **_: Any) -> Cosimulation:
        if waves is not None:
            assert waves.first == 0
            waves.path.write_text("waves")
        raise BenchFailed("a chip complains" if waves is None else "again")

    monkeypatch.setattr(cosimulation, "run_cosim", simulate)
    result = command("cosim", bundle, "--waves", path)
    assert result.code == 2 and result.sentence == "a chip complains"
    assert path.read_text() == "waves"


def test_too_few_samples(command: Any, bundle: Path, asked: list[Job]) -> None:
    result = command("cosim", bundle, "--samples", 9)
    assert result.code == 2 and "holds 8 samples, 9 were asked for" in result.sentence
    assert not asked


@pytest.mark.parametrize("fault", list(Fault))
def test_a_difference_fails_with_the_place(
    command: Any, bundle: Path, asked: list[Job], fault: Fault
) -> None:
    result = command("cosim", bundle, "--plant-fault", fault.value, "--json")
    assert result.code == 1
    assert result.data["mismatches"] == 1
    assert "expected 1, found 2" in result.sentence
    assert asked[0].fault is fault


def test_comparing_nothing_is_a_failure(
    command: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = replace(AGREES, values_compared=0)
    monkeypatch.setattr(cosimulation, "run_cosim", lambda job, *_, **__: outcome(nothing, job))
    assert "compared no values" in command("cosim", bundle).sentence


def test_cycles_that_were_not_predicted_are_a_failure() -> None:
    cosimulation.insist_on_prediction(AGREES)
    for predicted in (9001, 0):
        with pytest.raises(cosimulation.DisagreementError, match=f"9000 cycles .* {predicted} "):
            cosimulation.insist_on_prediction(replace(AGREES, predicted_cycles=predicted))


@pytest.mark.parametrize("simulator", list(Simulator))
def test_the_simulator_is_the_one_asked_for(
    command: Any,
    bundle: Path,
    asked: list[Job],
    simulators: list[Simulator],
    simulator: Simulator,
) -> None:
    assert command("cosim", bundle, "--simulator", simulator.value).code == 0
    assert command("cosim", bundle).code == 0
    assert simulators == [simulator, Simulator.ICARUS]


def test_all_tiles_are_programmed_where_that_is_asked_for(
    command: Any, bundle: Path, asked: list[Job]
) -> None:
    assert command("cosim", bundle).code == 0
    assert command("cosim", bundle, "--all-tiles").code == 0
    assert [len(job.programmed) for job in asked] == [1, asked[1].image.tiles]


@pytest.mark.parametrize(
    ("board", "words"),
    [
        ("icebreaker", "for a clock of 48000000 Hz, board icebreaker runs at 12000000 Hz"),
        ("ulx3s-85f", "has block RAMs and multipliers as black boxes only"),
    ],
)
def test_gates_are_those_of_a_board_that_the_bundle_is_for(
    command: Any, bundle: Path, asked: list[Job], board: str, words: str
) -> None:
    result = command("cosim", bundle, "--gate-level", "--board", board)
    assert result.code == 2 and words in result.sentence and not asked


def test_gates_run_in_the_compiled_engine_at_the_boards_rate(
    command: Any, bundle: Path, asked: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, made = load_bundle(bundle), Netlist("gates", "models")
    options = compiled.options.model_copy(update={"clk_hz": 12_000_000})
    seen: list[Any] = []

    def simulate(job: Job, progress: Any, **given: Any) -> Cosimulation:
        seen.append((job, given))
        return outcome(AGREES, job)

    monkeypatch.setattr(cosimulation, "run_cosim", simulate)
    monkeypatch.setattr(cosimulation, "netlist", lambda *_: made)
    board, reporter = find_board("icebreaker"), Reporter()
    drives = compiled.golden.inputs[:1]
    slower = replace(compiled, options=options)
    with pytest.raises(BoardError, match="a front end array_card, board icebreaker has chained"):
        cosimulation.cosimulate(slower, drives, reporter, board=board)
    chained = replace(slower, options=options.model_copy(update={"afe": FrontEndKind.CHAINED_CARD}))
    cosimulation.cosimulate(chained, drives, reporter, board=board)
    ((job, given),) = seen
    assert given["netlist"] is made and given["simulator"] is Simulator.CXXRTL
    assert job.bit_cycles == 24 and job.afe is FrontEndKind.CHAINED_CARD


def test_an_unknown_simulator_is_refused(command: Any, bundle: Path, asked: list[Job]) -> None:
    result = command("cosim", bundle, "--simulator", "modelsim")
    assert result.code == 2 and "modelsim" in result.sentence and not asked


@pytest.mark.parametrize(
    ("engine", "simulator"), [("cocotb", Simulator.ICARUS), ("cxxrtl", Simulator.CXXRTL)]
)
def test_an_rtl_engine_runs_every_sample_and_must_agree(
    command: Any,
    bundle: Path,
    digits: Path,
    asked: list[Job],
    simulators: list[Simulator],
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    simulator: Simulator,
) -> None:
    arguments = ("run", bundle, "--input", digits / "calib_x.npy", "--engine", engine, "--json")
    data = command(*arguments).data
    assert data["engine"] == engine and data["cycles_per_inference"] == 9000
    assert simulators == [simulator]
    assert len(asked[0].samples) == data["samples"] == 128
    monkeypatch.setattr(cosimulation, "run_cosim", lambda job, *_, **__: outcome(DIFFERS, job))
    result = command(*arguments)
    assert result.code == 1 and result.out == ""
