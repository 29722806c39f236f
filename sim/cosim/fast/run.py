"""A co-simulation in the compiled engine."""

from __future__ import annotations

from pathlib import Path

from ...engine.protocol import Host
from ..afe import bench_of
from ..comparison import Comparison, Progress
from ..gates import Netlist
from ..job import Cosimulation, Job
from .build import library, ports
from .engine import Engine
from .harness import FastHarness, complete


def run_fast(
    job: Job,
    progress: Progress,
    cache: Path | None = None,
    host: Host | None = None,
    netlist: Netlist | None = None,
) -> Cosimulation:
    """Run ``job``; a difference is in the report, not an exception.

    Parameters
    ----------
    job : Job
        What to simulate.
    progress : callable
        Called with (stage, done, total).
    cache : Path, optional
        Where compiled benches are kept; by default the user's cache.
    host : Host, optional
        What takes part in inferences.
    netlist : Netlist, optional
        Takes the place of the controller's RTL, without time jumps.
    """
    progress("elaborate", 0, 1)
    bench = bench_of(job, gates=netlist is not None)
    path = library(bench, progress, cache, netlist=netlist.rtlil if netlist else "")
    with Engine(path, ports(bench), job.bit_cycles) as engine:
        return complete(Comparison(job, FastHarness(engine, job), progress, host).compare())
