"""What compiling the design buys: clock cycles a second, compiled and in Icarus Verilog.

Both run the same samples of the digits network in the same process, one after
the other, and must give the same report. The time is the processor time of the
simulation, the analog card in Python included, from the loading of the program to
the last sample; elaboration and compilation come before it.

    python bench/cosim.py [SAMPLES]
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ohmloom import compile_model, load_device, quantise_input
from ohmloom.sim.cosim.job import CosimReport, Job
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"
RESULT = ROOT / "build" / "bench" / "cosim.json"
DEVICE = "cspbbr3_ogb"

log = logging.getLogger("bench")


def processor_seconds() -> float:
    """Spent by this process and by those that it has waited for."""
    return sum(os.times()[:4])


def cycles_per_second(job: Job, simulator: Simulator) -> tuple[float, CosimReport]:
    """Stepped cycles of one co-simulation over its seconds, and its report."""
    begun: list[float] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "load" and not begun:
            begun.append(processor_seconds())

    report = run_cosim(job, progress, simulator=simulator).report
    return report.simulated_cycles / (processor_seconds() - begun[0]), report


def main(samples: int) -> None:
    """Measure, log the figures and write them to ``build/bench/cosim.json``."""
    x = np.load(DIGITS / "calib_x.npy")
    compiled = compile_model(DIGITS / "digits.onnx", load_device(DEVICE), x)
    job = Job(
        image=compiled.image,
        device=compiled.device,
        levels=compiled.levels,
        samples=quantise_input(compiled, x[:samples]),
        converters=compiled.converters,
        seed=compiled.options.seed,
        clk_hz=compiled.options.clk_hz,
    )
    fast, first = cycles_per_second(job, Simulator.CXXRTL)
    slow, second = cycles_per_second(job, Simulator.ICARUS)
    if first != second:
        raise SystemExit(f"the reports differ: {asdict(first)}, {asdict(second)}")
    result = {
        "samples": samples,
        "simulated_cycles": first.simulated_cycles,
        "skipped_cycles": first.skipped_cycles,
        "cxxrtl_cycles_per_second": fast,
        "icarus_cycles_per_second": slow,
        "ratio": fast / slow,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        log.info("%-24s %s", name, f"{value:.6g}" if isinstance(value, float) else value)
    log.info("%-24s %s", "written to", RESULT.relative_to(ROOT))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
