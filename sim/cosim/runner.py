"""Builds the bench for a Verilog simulator, runs the testbench in it, reads the result."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np

from ...errors import OhmloomError
from ...hw.link.exchange import LinkError
from ..engine.protocol import Host
from .card import CardFault
from .desk import Desk
from .gates import Netlist
from .job import JOB_VARIABLE, CosimReport, Cosimulation, Job, Times
from .simulator import Simulator
from .waves import Waves

PROGRESS_FILE = "progress.json"
REPORT_FILE = "report.json"
OUTPUT_FILE = "output.npy"
TIMES_FILE = "times.json"
BEGINS_FILE = "begins.json"
RESULTS_FILE = "results.xml"
FILES = (REPORT_FILE, OUTPUT_FILE, TIMES_FILE, BEGINS_FILE)
"""What the testbench leaves."""
TOPLEVEL = "bench"
TESTBENCH = "ohmloom.sim.cosim.testbench"
TIMESCALE = ("1ns", "1ps")
PROGRAMS = {Simulator.ICARUS: "iverilog", Simulator.VERILATOR: "verilator"}
"""Program and Debian package of the Verilog simulators."""
RESET_CYCLES = 4
"""Clock cycles for which the controller is held in reset."""
_POLL_S = 0.2

Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and how much there is."""


class CosimError(OhmloomError, RuntimeError):
    """The co-simulation could not be run, or ended without a verdict."""


class BenchFailed(CosimError):
    """Something complained while the RTL ran: a chip, the card, or the link."""


def run_cosim(
    job: Job,
    progress: Progress | None = None,
    folder: Path | None = None,
    simulator: Simulator = Simulator.ICARUS,
    host: Host | None = None,
    netlist: Netlist | None = None,
    waves: Waves | None = None,
) -> Cosimulation:
    """Run ``job`` and report; a difference is in the report, not an exception.

    Parameters
    ----------
    job : Job
        What to simulate.
    progress : callable, optional
        Called with (stage, done, total) while the simulation runs.
    folder : Path, optional
        Where to work and leave a Verilog simulator's files; a temporary folder otherwise.
    simulator : Simulator
        What runs the RTL; it must be installed.
    host : Host, optional
        What takes part in inferences; needed where the job's image calls for it. It is
        called in this process, whatever runs the RTL.
    netlist : Netlist, optional
        Of the job's controller: it takes the place of the RTL, without time jumps, in
        the compiled engine.
    waves : Waves, optional
        The waveform to keep, in Icarus Verilog.

    Raises
    ------
    CosimError
        If the simulator or the host is missing, does not build, or ends without a verdict.
    """
    if host is None and any(call.writes for call in job.image.host):
        raise CosimError("parts of this network run on the host, and there is none")
    if waves is not None and simulator is not Simulator.ICARUS:
        raise CosimError(f"waveforms are kept by {Simulator.ICARUS}, not by {simulator}")
    if simulator is Simulator.CXXRTL:
        return _run_compiled(job, progress or _silent, host, netlist)
    if netlist is not None:
        raise CosimError(f"{simulator} is too slow for gates: {Simulator.CXXRTL} runs them")
    require(simulator)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="ohmloom-cosim-") as temporary:
            return _run(job, progress, Path(temporary), simulator, host, waves)
    folder.mkdir(parents=True, exist_ok=True)
    return _run(job, progress, folder, simulator, host, waves)


def require(simulator: Simulator) -> None:
    """Refuse a Verilog simulator that is not installed.

    Raises
    ------
    CosimError
        It says how to get it.
    """
    program = PROGRAMS[simulator]
    if shutil.which(program) is None:
        raise CosimError(f"{program} is not installed: apt-get install {program}")


def _silent(stage: str, done: int, total: int) -> None:
    """No progress."""


def _run_compiled(
    job: Job, progress: Progress, host: Host | None, netlist: Netlist | None
) -> Cosimulation:
    from .fast.run import run_fast

    try:
        outcome = run_fast(job, progress, host=host, netlist=netlist)
    except (CardFault, LinkError) as error:
        raise BenchFailed(f"the testbench failed: {error}") from error
    if not outcome.report.values_compared and not outcome.report.mismatches:
        raise CosimError("the testbench compared nothing")
    return outcome


def _run(
    job: Job,
    progress: Progress | None,
    folder: Path,
    simulator: Simulator,
    host: Host | None,
    waves: Waves | None,
) -> Cosimulation:
    from cocotb_tools.runner import get_runner

    from .afe import bench_of
    from .bench import verilog

    report = progress or _silent
    report("elaborate", 0, 1)
    bench = bench_of(job)
    source = folder / f"{TOPLEVEL}.v"
    source.write_text(verilog(bench, TOPLEVEL))
    job.save(folder)
    for name in (*FILES, PROGRESS_FILE, RESULTS_FILE):
        (folder / name).unlink(missing_ok=True)
    sources = [source]
    # SystemVerilog initialises variables without an event, and always @* would sleep on.
    options = ["-g2005"] if simulator is Simulator.ICARUS else []
    if waves is not None:
        sources.append(waves.module(folder, TOPLEVEL))
        options += waves.options

    runner = get_runner(simulator.value)
    runner.log.setLevel(logging.WARNING)
    build = folder / "build"
    report("build", 0, 1)
    runner.build(
        sources=sources,
        hdl_toplevel=TOPLEVEL,
        build_dir=build,
        timescale=TIMESCALE,
        build_args=options,
        log_file=folder / "build.log",
        always=True,
    )
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, report, stop), daemon=True)
    watcher.start()
    desk = Desk(folder, host) if host is not None else nullcontext()
    try:
        # On a failed test the runner exits inside pytest and returns outside it: the
        # results file decides either way.
        with desk, suppress(SystemExit):
            runner.test(
                hdl_toplevel=TOPLEVEL,
                test_module=TESTBENCH,
                build_dir=build,
                test_dir=folder,
                results_xml=str(folder / RESULTS_FILE),
                timescale=TIMESCALE,
                extra_env={JOB_VARIABLE: str(folder), "PYTHONPATH": os.pathsep.join(_path())},
                log_file=folder / "test.log",
                waves=waves is not None,
            )
    finally:
        stop.set()
        watcher.join()
    if waves is not None:
        waves.keep(folder)
    return _verdict(folder)


def _path() -> list[str]:
    """Where the simulator's Python finds what this one finds."""
    return [entry for entry in sys.path if entry]


def _watch(folder: Path, report: Progress, stop: threading.Event) -> None:
    last = None
    while not stop.wait(_POLL_S):
        try:
            state = json.loads((folder / PROGRESS_FILE).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        if state != last:
            last = state
            report(*state)


def _verdict(folder: Path) -> Cosimulation:
    """The report, believed only if the results file says that the test ran and ended.

    The runner returns normally when tests fail, so this looks for itself.
    """
    results, written = folder / RESULTS_FILE, folder / REPORT_FILE
    if not results.exists():
        raise CosimError(f"the simulator left no results; its log ends: {_tail(folder)}")
    cases = list(ElementTree.parse(results).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None]
    if not cases:
        raise CosimError("the simulator ran no test")
    if not written.exists():
        raise BenchFailed(f"the testbench ended without a verdict; its log ends: {_tail(folder)}")
    report = CosimReport(**json.loads(written.read_text()))
    if failed and not report.mismatches:
        raise BenchFailed(f"the testbench failed; its log ends: {_tail(folder)}")
    if report.mismatches and not failed:
        raise CosimError("the testbench passed although it reports a mismatch")
    if not report.values_compared and not report.mismatches:
        raise CosimError("the testbench compared nothing")
    times = Times(**json.loads((folder / TIMES_FILE).read_text()))
    begins = tuple(json.loads((folder / BEGINS_FILE).read_text()))
    return Cosimulation(report, np.load(folder / OUTPUT_FILE, allow_pickle=False), times, begins)


def _tail(folder: Path, lines: int = 6) -> str:
    try:
        text = (folder / "test.log").read_text(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    interesting = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in interesting if "Error" in line or "Fault" in line]
    return " | ".join((errors or interesting)[-lines:])
