"""What an MVM of the emulated array takes: 32 x 32 cells, 8 planes, in co-simulation.

A cell is a word of 16 bits and block RAM gives one a cycle: cells times planes is the bound.
The digits network runs once as it is and once with its first MVM twice; both are compared
with the numpy engine, integer for integer, and differ by one MVM in time. Larger tiles, by the
cost model that the co-simulation holds to.

    python bench/emulated.py
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from ohmloom import compile_model, load_device, quantise_input
from ohmloom.hw.afe.emulated import front_end_cycles
from ohmloom.hw.afe.kinds import FrontEndKind
from ohmloom.hw.cycles import mvm_cycles
from ohmloom.hw.isa import Op, instruction
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.cosim.overhead import with_another_mvm
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator
from ohmloom.sim.emulated import emulate

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"
RESULT = ROOT / "build" / "bench" / "emulated.json"
DEVICE = "cspbbr3_ogb"
CELLS = 2
"""Of each tile that are written; the others are as made, in all engines."""
LIMIT = 1.1
PLANES = 8
SIZES = ((32, 32), (64, 64), (112, 200))

log = logging.getLogger("bench")


def measure() -> tuple[int, int]:
    """Cells of a tile and the cycles of an MVM on it; raises if a value differs."""
    x = np.load(DIGITS / "calib_x.npy")
    compiled = compile_model(DIGITS / "digits.onnx", emulate(load_device(DEVICE)), x)
    code = tuple(
        instruction(each.op, **{**each.operands, "count": CELLS}) if each.op is Op.PROGRAM else each
        for each in compiled.image.code
    )
    image = replace(compiled.image, code=code)
    cycles = []
    for each in (image, with_another_mvm(image)):
        job = Job(
            image=each,
            device=compiled.device,
            levels=compiled.levels,
            samples=quantise_input(compiled, x[:1]),
            converters=compiled.converters,
            seed=compiled.options.seed,
            clk_hz=compiled.options.clk_hz,
            afe=FrontEndKind.EMULATED,
        )
        report = run_cosim(job, simulator=Simulator.CXXRTL).report
        if report.first_mismatch is not None:
            raise SystemExit(f"the engines differ: {report.first_mismatch}")
        cycles.append(report.cycles_per_inference)
    tables, geometry = compiled.tables, image.geometry
    for rows, columns in SIZES:
        other = replace(geometry, rows=rows, columns=columns)
        front_end = front_end_cycles(other, compiled.options.clk_hz, tables)
        told = mvm_cycles(other, front_end, PLANES, clear=False)
        bound = rows * columns * PLANES
        log.info(
            "%d x %d: %d cycles, bound %d, ratio %.3f", rows, columns, told, bound, told / bound
        )
    return geometry.cells, cycles[1] - cycles[0]


def main() -> None:
    """Measure, log the figure and write it to ``build/bench/emulated.json``."""
    cells, cycles = measure()
    bound = cells * PLANES
    log.info("measured: %d cycles, bound %d, ratio %.3f", cycles, bound, cycles / bound)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    result = {"bound_cycles": bound, "cycles": cycles, "ratio": cycles / bound, "limit": LIMIT}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    if cycles > LIMIT * bound:
        raise SystemExit(f"an MVM takes {cycles / bound:.3f} of its bound, more than {LIMIT}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
