"""What a fault map is worth: LeNet-5 on the OGB device with 5 % of its cells stuck.

Half of them are stuck ON (the top level), half OFF (the lowest one), at random. For each of
ten such maps the accuracy on MNIST's test images without faults, with them but compiled
without the map, and compiled with it (``--faults``): with the other cell of a pair alone, with
rows to spare, with channels in another order, and with both. A matrix leaves out one row for
every 16 of its own at most, and only where its tile has them.

    python bench/faults.py DATA [--stuck 0.05] [--maps 10] [--images 2000] [--regain 0.9]

DATA is the folder with MNIST's four files. Exit code 1 if less than ``--regain`` of the
accuracy that is lost without the map comes back with all of it, over all maps together, or if
another order takes other cycles than none.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from ohmloom.compiler.datasets import load_idx
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import calibrated, compile_network
from ohmloom.compiler.report import predict
from ohmloom.compiler.runner import accuracy, build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import Device, load

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "mnist"
RESULT = ROOT / "build" / "bench" / "faults.json"
DEVICE, ADC_BITS = "cspbbr3_ogb", 12
STUCK = 0.05
GEOMETRY = Geometry(
    tiles=4096, acc_width=64, program_depth=1 << 14, param_depth=1 << 14, act_depth=1 << 15
)

KNOWN = {
    "pairs": Options(spare=False, permute=False),
    "rows": Options(permute=False),
    "order": Options(spare=False),
    "rows and order": Options(),
}
"""What is done about a map besides the other cell of a pair."""

log = logging.getLogger("bench")


def fault_map(number: int, shape: tuple[int, ...], device: Device, share: float) -> np.ndarray:
    """Conductances of stuck cells [S], NaN elsewhere."""
    rng = np.random.default_rng(number)
    stuck, on = rng.random(shape) < share, rng.random(shape) < 0.5
    at = np.where(on, device.levels[-1], device.levels[0])
    return np.where(stuck, at, np.nan)


def accuracies(number: int, data: Path, images: int, stuck: float) -> list[float]:
    """Without faults, with those of a map, and with them known, for each of :data:`KNOWN`.

    The array's seed is the map's number.
    """
    logging.disable(logging.WARNING)  # of cells that do not converge
    x = load_idx(data / "t10k-images-idx3-ubyte.gz")[:images, np.newaxis].astype(np.float32)
    y = load_idx(data / "t10k-labels-idx1-ubyte.gz")[:images].astype(np.int64)
    x /= np.float32(255)
    device, converters = load(DEVICE), Converters(adc_bits=ADC_BITS)
    source = calibrated(load_model(EXAMPLE / "lenet.onnx"), np.load(EXAMPLE / "calib_x.npy"))
    blind = compile_network("lenet", source, device, GEOMETRY, Options(), converters)
    # With rows to spare it may take more tiles.
    shape = (2 * len(blind.levels), *blind.levels.shape[1:])
    faults = fault_map(number, shape, device, stuck)
    known = {
        name: compile_network("lenet", source, device, GEOMETRY, options, converters, faults)
        for name, options in KNOWN.items()
    }
    cycles = {name: predict(compiled) for name, compiled in known.items()}
    if cycles["rows"] != cycles["rows and order"] or cycles["pairs"] != cycles["order"]:
        raise SystemExit(f"another order takes other cycles: {cycles}")
    found = []
    for compiled, at in ((blind, None), *((each, faults) for each in (blind, *known.values()))):
        engine = build_engine(compiled, number, faults=at)
        output = engine.infer(quantise_input(compiled, x)).output
        found.append(accuracy(dequantise_output(compiled, output), y))
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="LeNet-5 around stuck cells.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--stuck", type=float, default=STUCK)
    parser.add_argument("--maps", type=int, default=10)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--regain", type=float, default=0.9)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args(arguments)
    rows = []
    with ProcessPoolExecutor(args.jobs) as pool:
        jobs = [
            pool.submit(accuracies, n, args.data, args.images, args.stuck) for n in range(args.maps)
        ]
        for number, job in enumerate(jobs):
            rows.append(job.result())
            log.info("map %2d: %s", number, _line(rows[-1]))
    mean = np.mean(rows, axis=0).tolist()
    log.info("mean:   %s", _line(mean))
    clean, blind, *_, best = mean
    regained = (best - blind) / (clean - blind) if clean > blind else 1.0
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    found = {"regained": regained, "known": list(KNOWN), "maps": rows}
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    return int(regained < args.regain)


def _line(found: Sequence[float]) -> str:
    """What is shown of a map."""
    clean, blind, *known = found
    told = [f"{clean:.4f} without faults, {blind:.4f} with them; with the map"]
    for name, aware in zip(KNOWN, known, strict=True):
        regained = (aware - blind) / (clean - blind) if clean > blind else 1.0
        told.append(f"{name} {aware:.4f} ({100 * regained:.1f} %)")
    return ", ".join(told)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
