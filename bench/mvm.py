"""What an MVM takes: 32 x 32 cells, 8 planes, 48 MHz, in co-simulation against the data sheets.

The digits network runs once as it is and once with its first MVM twice; both are
compared with the numpy engine, integer for integer, and differ by one MVM in time.

    python bench/mvm.py
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from ohmloom import compile_model, load_device, quantise_input
from ohmloom.hw.afe.array_card import plane_period_cycles
from ohmloom.hw.isa import Op, instruction
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.overhead import MVM_LIMIT, MvmFigure, mvm_figure, with_another_mvm
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"
RESULT = ROOT / "build" / "bench" / "mvm.json"
DEVICE = "cspbbr3_ogb"
CELLS = 4
"""Written by the RTL itself; the others take over the numpy engine's state."""

log = logging.getLogger("bench")


def measure() -> tuple[MvmFigure, int]:
    """The figure and the clock; raises if a value differs."""
    x = np.load(DIGITS / "calib_x.npy")
    compiled = compile_model(DIGITS / "digits.onnx", load_device(DEVICE), x)
    code = tuple(
        instruction(each.op, **{**each.operands, "count": CELLS}) if each.op is Op.PROGRAM else each
        for each in compiled.image.code
    )
    image = replace(compiled.image, code=code)
    clk_hz = compiled.options.clk_hz
    cycles = []
    for each in (image, with_another_mvm(image)):
        job = Job(
            image=each,
            device=compiled.device,
            levels=compiled.levels,
            samples=quantise_input(compiled, x[:1]),
            converters=compiled.converters,
            seed=compiled.options.seed,
            clk_hz=clk_hz,
        )
        report = run_cosim(job, simulator=Simulator.CXXRTL).report
        if report.first_mismatch is not None:
            raise SystemExit(f"the engines differ: {report.first_mismatch}")
        cycles.append(report.cycles_per_inference)
    period = plane_period_cycles(image.geometry, clk_hz)
    return mvm_figure(image, period, *cycles), clk_hz


def main() -> None:
    """Measure, log the figure and write it to ``build/bench/mvm.json``."""
    figure, clk_hz = measure()
    for line in figure.lines(clk_hz):
        log.info(line)
    result = {
        "planes": figure.planes,
        "plane_steps": {step.name.lower(): cycles for step, cycles in figure.period.items()},
        "bound_cycles": figure.bound,
        "cycles": figure.cycles,
        "ratio": figure.ratio,
        "limit": MVM_LIMIT,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    if not figure.met:
        raise SystemExit(f"an MVM takes {figure.ratio:.3f} of its bound, more than {MVM_LIMIT}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
