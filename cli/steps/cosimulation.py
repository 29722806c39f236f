"""The RTL against the numpy engine."""

from __future__ import annotations

import numpy as np

from ...compiler.cells import check_faults
from ...compiler.compiled import Compiled
from ...compiler.host import Executor
from ...errors import OhmloomError
from ...sim.cosim.fault import Fault
from ...sim.cosim.job import CosimReport, Cosimulation, Job
from ...sim.cosim.runner import run_cosim
from ...sim.cosim.simulator import Simulator
from ..output import Reporter


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
) -> Cosimulation:
    """Run integer inputs (n, inputs) on the RTL against the numpy engine.

    ``faults`` are the array's stuck cells, as of
    :func:`~ohmloom.compiler.runner.build_engine`.
    """
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
        fault=fault,
        stuck=stuck,
        wires=compiled.options.wires,
        afe=compiled.afe,
    )
    return run_cosim(
        job,
        lambda stage, done, total: reporter.update(f"RTL: {stage}", done, total),
        simulator=simulator,
        host=Executor(compiled.host),
    )


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
