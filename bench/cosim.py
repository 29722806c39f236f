"""What compiling the design buys: clock cycles a second, compiled and in Icarus Verilog.

Both run the same samples of a network, one after the other, and must give the same report: the
digits network, and a perceptron of 784-100-10 on MNIST's images. The time is processor time from
the controller's reset to the last sample, in three parts: what runs the RTL, the analog card with
the device model, and the rest of Python. A few cells are written by the RTL, which takes
over the others from the numpy engine.

    python bench/cosim.py [SAMPLES] [--whole]

SAMPLES is that of the digits; of MNIST it is one image. With ``--whole`` the compiled engine then
writes a whole tile of each network and runs all test images of the digits and 100 of MNIST; every
value of every layer is compared with the numpy engine. Exit code 1 if one differs, or if the
compiled engine is not ``LIMIT`` times as fast as Icarus.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ohmloom import Geometry, compile_model, load_device, quantise_input
from ohmloom.compiler.compiled import Compiled
from ohmloom.hw.isa import Op, instruction
from ohmloom.sim.cosim.fault import Fault
from ohmloom.sim.cosim.job import CosimReport, Job, Times
from ohmloom.sim.cosim.runner import run_cosim
from ohmloom.sim.cosim.simulator import Simulator

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
RESULT = ROOT / "build" / "bench" / "cosim.json"
DEVICE = "cspbbr3_ogb"
CELLS = 64
"""Written by the RTL where it is measured."""
LIMIT = 50.0
"""How much faster than Icarus Verilog the compiled engine is, at least."""

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Network:
    """What runs: a model, its calibration samples, tiles of the controller, images."""

    model: Path
    calib: Path
    tiles: int
    samples: int
    images: Path
    count: int


NETWORKS = {
    "digits": Network(
        EXAMPLES / "digits" / "digits.onnx", EXAMPLES / "digits" / "calib_x.npy", 64, 8,
        EXAMPLES / "digits" / "test_x.npy", 450,
    ),
    "mnist": Network(
        EXAMPLES / "mnist" / "perceptron.onnx", EXAMPLES / "mnist" / "calib_x.npy", 256, 1,
        EXAMPLES / "mnist" / "calib_x.npy", 100,
    ),
}  # fmt: skip
"""By name; ``samples`` are those that are measured, ``count`` images the whole run."""


@cache
def compiled(name: str) -> Compiled:
    """A network for the device, with the compiler's defaults."""
    network = NETWORKS[name]
    calib, geometry = np.load(network.calib), Geometry(tiles=network.tiles)
    return compile_model(network.model, load_device(DEVICE), calib, geometry)


def job(name: str, samples: int, cells: int | None = None, fault: Fault | None = None) -> Job:
    """The first images of a network; ``cells`` of the tile that the RTL writes, all without it."""
    made = compiled(name)
    image = made.image
    if cells is not None:
        code = [
            instruction(each.op, **{**each.operands, "count": cells})
            if each.op is Op.PROGRAM and not each.operands["tile"]
            else each
            for each in image.code
        ]
        image = replace(image, code=tuple(code))
    return Job(
        image=image,
        device=made.device,
        levels=made.levels,
        samples=quantise_input(made, np.load(NETWORKS[name].images)[:samples]),
        converters=made.converters,
        seed=made.options.seed,
        clk_hz=made.options.clk_hz,
        fault=fault,
    )


def rate(name: str, simulator: str, report: CosimReport, times: Times) -> dict[str, float]:
    """Cycles a second and shares of the time of one run."""
    shares = {part: seconds / times.total for part, seconds in asdict(times).items()}
    found = report.simulated_cycles / times.total
    parts = ", ".join(f"{part} {share:.1%}" for part, share in shares.items())
    log.info("%-6s %-7s %9.0f cycles/s: %s", name, simulator, found, parts)
    return {"cycles_per_second": found, **shares}


def measured(name: str, samples: int) -> dict[str, Any]:
    """Both simulators on the same job.

    Raises
    ------
    SystemExit
        If their reports differ, or a value is not the numpy engine's.
    """
    work = job(name, samples, CELLS)
    runs = {each: run_cosim(work, simulator=each) for each in (Simulator.CXXRTL, Simulator.ICARUS)}
    first, second = (run.report for run in runs.values())
    if first != second or first.first_mismatch is not None:
        raise SystemExit(f"{name}: the reports differ: {asdict(first)}, {asdict(second)}")
    rates = {each.value: rate(name, each.value, first, run.times) for each, run in runs.items()}
    fast, slow = (each["cycles_per_second"] for each in rates.values())
    log.info("%-6s %.0f times as fast", name, fast / slow)
    return {
        "samples": samples,
        "simulated_cycles": first.simulated_cycles,
        "skipped_cycles": first.skipped_cycles,
        **rates,
        "ratio": fast / slow,
    }


def whole(work: Job, name: str) -> dict[str, Any]:
    """Every image of a job on the compiled engine, compared.

    Raises
    ------
    SystemExit
        If a value is not the numpy engine's, or one was not compared.
    """
    run = run_cosim(work, simulator=Simulator.CXXRTL)
    report, image = run.report, work.image
    wanted = sum(layer.span.count for layer in image.layers) * len(work.samples)
    if report.first_mismatch is not None:
        raise SystemExit(f"{name}: the engines differ: {report.first_mismatch}")
    if report.values_compared != image.geometry.cells + wanted:
        raise SystemExit(f"{name}: {report.values_compared} values of {wanted} were compared")
    log.info(
        "%-6s %d images, %d values, 0 mismatches, %.0f s",
        name, report.samples, report.values_compared, run.times.total,
    )  # fmt: skip
    return {
        "images": report.samples,
        "values": report.values_compared,
        "mismatches": report.mismatches,
        "seconds": run.times.total,
        **rate(name, Simulator.CXXRTL.value, report, run.times),
    }


def main(arguments: list[str]) -> int:
    """Measure, log the figures and write them to ``build/bench/cosim.json``."""
    parser = argparse.ArgumentParser(description="Cycles a second of the co-simulations.")
    parser.add_argument("samples", type=int, nargs="?", default=NETWORKS["digits"].samples)
    parser.add_argument("--whole", action="store_true")
    args = parser.parse_args(arguments)
    result: dict[str, Any] = {"limit": LIMIT, "networks": {}}
    for name, network in NETWORKS.items():
        samples = args.samples if name == "digits" else network.samples
        result["networks"][name] = measured(name, samples)
        if args.whole:
            result["networks"][name]["whole"] = whole(job(name, network.count), name)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    slow = [name for name, each in result["networks"].items() if each["ratio"] < LIMIT]
    for name in slow:
        log.error("%s: not %g times as fast as Icarus Verilog", name, LIMIT)
    return int(bool(slow))


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
