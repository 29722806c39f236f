"""The RTL against the numpy engine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...boards.board import Board, BoardError
from ...boards.netlist import netlist
from ...compiler.cells import check_faults
from ...compiler.compiled import Compiled
from ...compiler.host import Executor
from ...errors import OhmloomError
from ...sim.cosim.fault import Fault
from ...sim.cosim.job import CosimReport, Cosimulation, Job
from ...sim.cosim.runner import BenchFailed, CosimError, require, run_cosim
from ...sim.cosim.simulator import Simulator
from ...sim.cosim.waves import Waves
from ..output import Reporter
from .targets import afe_of


class DisagreementError(OhmloomError):
    """RTL and numpy engine gave different integers."""

    exit_code = 1


def cosimulate(
    compiled: Compiled,
    drives: np.ndarray,
    reporter: Reporter,
    fault: Fault | None = None,
    simulator: Simulator = Simulator.ICARUS,
    faults: np.ndarray | None = None,
    *,
    all_tiles: bool = False,
    board: Board | None = None,
    waves: Path | None = None,
) -> Cosimulation:
    """Run integer inputs (n, inputs) on the RTL against the numpy engine.

    ``faults`` are the array's stuck cells, as of
    :func:`~ohmloom.compiler.runner.build_engine`. With ``all_tiles`` the RTL programs every
    tile, not only the first; with a board it is the gates that the board's synthesis makes
    of the controller that run, in the compiled engine. At a difference the job is run once more
    in Icarus Verilog, which writes the waveform of the failing sample to ``waves`` (that of
    the whole run, where something complained while it ran); an older one there is removed.

    Raises
    ------
    BoardError
        If the bundle is not for the board, or no models are for its FPGA.
    CosimError
        If it cannot be run, or the difference is not there the second time.
    """
    if waves is not None:
        if board is not None:
            raise CosimError("a waveform is of the RTL: there is none of the gates of a board")
        require(Simulator.ICARUS)
        waves.unlink(missing_ok=True)
    gates = None
    if board is not None:
        board.require_clock(compiled.options.clk_hz)
        if (afe := afe_of(board.name)) is not compiled.options.afe:
            raise BoardError(
                f"the bundle is compiled for a front end {compiled.options.afe}, "
                f"board {board.name} has {afe}"
            )
        gates = netlist(board, compiled.image.geometry, lambda s: reporter.update(f"gates: {s}"))
        simulator = Simulator.CXXRTL
    stuck: tuple[tuple[int, float], ...] = ()
    if faults is not None:
        at = check_faults(faults, compiled.image.tiles, compiled.image.geometry).reshape(-1)
        stuck = tuple((int(cell), float(at[cell])) for cell in np.flatnonzero(~np.isnan(at)))
    job = Job(
        image=compiled.image,
        device=compiled.device,
        levels=compiled.levels,
        samples=drives,
        converters=compiled.converters,
        seed=compiled.options.seed,
        clk_hz=compiled.options.clk_hz,
        every_tile=all_tiles,
        fault=fault,
        stuck=stuck,
        wires=compiled.options.wires,
        afe=compiled.options.afe,
    )
    if board is not None:  # as on it, to which the netlist's serial line is made
        job = replace(job, bit_cycles=board.clk_hz // board.baud)

    def told(stage: str, done: int, total: int) -> None:
        reporter.update(f"RTL: {stage}", done, total)

    host = Executor(compiled.host)
    try:
        outcome = run_cosim(job, told, simulator=simulator, host=host, netlist=gates)
    except BenchFailed:
        if waves is not None:
            reporter.update("RTL: once more, for the waveform")
            # Where it ended is not known, so all of it is kept; the first reason is told.
            with suppress(CosimError):
                run_cosim(job, told, host=host, waves=Waves(waves, 0))
        raise
    if waves is not None and outcome.report.mismatches:
        reporter.update("RTL: once more, for the waveform")
        again = run_cosim(job, told, host=host, waves=Waves.of_failure(waves, outcome))
        if again.report.first_mismatch != outcome.report.first_mismatch or not waves.is_file():
            raise CosimError(
                f"{outcome.report.first_mismatch}: this difference was found, but not when it "
                f"was run again for the waveform, which found {again.report.first_mismatch}"
            )
    return outcome


def insist_on_prediction(report: CosimReport) -> None:
    """Refuse a co-simulation whose cycles are not those that were predicted.

    Raises
    ------
    DisagreementError
        With both numbers.
    """
    if report.predicted_cycles != report.cycles_per_inference:
        raise DisagreementError(
            f"the RTL took {report.cycles_per_inference} cycles for an inference, "
            f"{report.predicted_cycles} were predicted"
        )


def insist_on_agreement(report: CosimReport) -> None:
    """Refuse a co-simulation that found a difference or compared nothing.

    Raises
    ------
    DisagreementError
        Naming the first difference.
    """
    if report.mismatches:
        raise DisagreementError(f"RTL and numpy engine differ: {report.first_mismatch}")
    if not report.values_compared:
        raise DisagreementError("the co-simulation compared no values")
