"""LeNet-5 on MNIST's 10,000 test images: what devices lose against floats.

For each way of using a device the knobs are chosen on training images (``Search``, as
``ohmloom compile --target-drop`` does), ADC of at most 12 bits, at most 8 slices, no read
averaging. Then arrays of several seeds run all test images, every nonideality on. With
``--double`` each assumed spread of the devices is doubled, one after the other, with the
knobs as they are.

    python bench/mnist.py DATA [--seeds 10] [--images 10000] [--drop 0.01] [--only NAME] [--double]

DATA is the folder with MNIST's four files. Exit code 1 if a mean drop is above ``--drop``.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from ohmloom.compiler.bundle import load_bundle, write_bundle
from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.datasets import load_idx
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import Source, calibrated, compile_network
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.compiler.search import Search
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import Device, changed, load

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "examples" / "mnist" / "lenet.onnx"
RESULT = ROOT / "build" / "bench" / "mnist.json"
GEOMETRY = Geometry(
    tiles=4096, acc_width=64, program_depth=1 << 14, param_depth=1 << 14, act_depth=1 << 15
)
CALIBRATION, VALIDATION = 128, 2000
"""Training images that ranges are taken on, and those that knobs are chosen on."""
DOUBLED_SEEDS = 3

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Way:
    """A device, and how its cells are written."""

    device: str
    verify: bool
    judged: bool = True
    """Whether its drop counts: open loop is there to be compared with."""


WAYS = {
    "ogb, write-verified": Way("cspbbr3_ogb", verify=True),
    "ogb, one shot": Way("cspbbr3_ogb", verify=False),
    "vb3, write-verified": Way("vb3", verify=True),
    "li analog, write-verified": Way("all_in_one", verify=True),
    "li analog, open loop": Way("all_in_one", verify=False, judged=False),
}


def images(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (n, 1, 28, 28) in 0..1 and labels int64 (n,)."""
    x = load_idx(folder / f"{split}-images-idx3-ubyte.gz")[:, np.newaxis]
    y = load_idx(folder / f"{split}-labels-idx1-ubyte.gz")
    return x.astype(np.float32) / np.float32(255), y.astype(np.int64)


def accuracy_of(bundle: Path, seed: int, x: np.ndarray, y: np.ndarray) -> float:
    """Of one array, in a process of its own."""
    logging.disable(logging.WARNING)  # of cells that do not converge
    compiled = load_bundle(bundle)
    trace = build_engine(compiled, seed).infer(quantise_input(compiled, x))
    return float((dequantise_output(compiled, trace.output).argmax(axis=1) == y).mean())


def run_seeds(
    pool: Executor, compiled: Compiled, seeds: int, x: np.ndarray, y: np.ndarray
) -> list[float]:
    """Accuracies of arrays of several seeds."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(compiled, Path(folder) / "lenet.ohm")
        jobs = [pool.submit(accuracy_of, bundle, seed, x, y) for seed in range(seeds)]
        return [job.result() for job in jobs]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval over arrays (Student's t)."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.inf
    t = float(stats.t.ppf(0.975, len(values) - 1))
    return mean, t * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def choose(source: Source, device: Device, options: Options, data: Path, drop: float) -> Search:
    """The search for a way, done; its last word is ``Search.trials``."""
    x, y = images(data, "train")
    # The last training images: calibration has the first ones.
    some = x[-VALIDATION:].reshape(VALIDATION, -1)
    search = Search(
        source, device, GEOMETRY, options, Converters(), some, y[-VALIDATION:], drop,
        progress=lambda trial: log.info("  tried %s", asdict(trial)),
    )  # fmt: skip
    return search


def spreads(device: Device) -> Iterator[str]:
    """Dotted names of the assumed spreads and noises of the mode that holds weights."""
    mode = f"modes.{device.programmable.mode}"

    def walk(node: object, name: str) -> Iterator[str]:
        if isinstance(node, dict):
            if "value" in node:
                if "assumed" in node and any(w in name for w in ("spread", "noise", "sigma")):
                    yield name
            else:
                for key, inner in node.items():
                    yield from walk(inner, f"{name}.{key}")

    yield from walk(device.document()["modes"][device.programmable.mode], mode)


def report(name: str, found: list[float], floats: float) -> dict[str, float]:
    mean, half = interval(found)
    log.info(
        "%-44s %.4f +- %.4f, float %.4f, lost %.4f +- %.4f (%d arrays)",
        name, mean, half, floats, floats - mean, half, len(found),
    )  # fmt: skip
    return {"accuracy": mean, "half_interval": half, "drop": floats - mean, "arrays": len(found)}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="LeNet-5 on MNIST on real devices.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--drop", type=float, default=0.01)
    parser.add_argument("--only", choices=list(WAYS))
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args(arguments)
    x, y = images(args.data, "t10k")
    x, y = x[: args.images], y[: args.images]
    train, _ = images(args.data, "train")
    source = calibrated(load_model(MODEL), train[:CALIBRATION])
    scores = [
        source.network.forward(part.reshape(len(part), -1).astype(np.float64))
        for part in np.array_split(x, math.ceil(len(x) / 100))
    ]
    floats = float((np.concatenate(scores).argmax(axis=1) == y).mean())
    results: dict[str, object] = {"float": floats, "images": len(x)}
    failed = floats < 0.99
    with ProcessPoolExecutor(args.jobs) as pool:
        for name in [args.only] if args.only else list(WAYS):
            way = WAYS[name]
            device, options = load(way.device), Options(verify=way.verify)
            log.info("%s: choosing slices, activation and ADC bits", name)
            search = choose(source, device, options, args.data, args.drop)
            best = search.run().chosen
            log.info("  chosen: %s", asdict(best))
            setting = search.chosen(best)
            compiled = compile_network(name, source, device, GEOMETRY, *setting)
            found = report(name, run_seeds(pool, compiled, args.seeds, x, y), floats)
            results[name] = {"chosen": asdict(best), **found}
            failed |= way.judged and found["drop"] > args.drop
            if args.double:
                results[f"{name}, doubled"] = doubled(
                    pool, name, source, device, setting, x, y, floats
                )
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return int(failed)


def doubled(
    pool: Executor,
    name: str,
    source: Source,
    device: Device,
    setting: tuple[Options, Converters],
    x: np.ndarray,
    y: np.ndarray,
    floats: float,
) -> dict[str, dict[str, float]]:
    """What twice of each assumed spread costs."""
    rows = {}
    for spread in spreads(device):
        value = device.number(spread)
        worse = changed(device, **{spread: 2 * value})
        compiled = compile_network(name, source, worse, GEOMETRY, *setting)
        found = run_seeds(pool, compiled, DOUBLED_SEEDS, x, y)
        rows[spread] = report(f"  {spread} x 2", found, floats)
    return rows


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
