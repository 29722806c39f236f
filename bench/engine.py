"""What the device costs in simulation: the numpy engine against the float network.

Both run the digits network on the same batch in the same process, in turns, so
that the ratio of their times says something while the times themselves depend
on the machine. The engine does eight bit planes, two columns a weight, noise
and rounding for every conversion; the float network is two matrix products.

    python bench/engine.py [REPEATS]
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
from onnx import numpy_helper

from ohmloom import build_engine, compile_model, load_device, quantise_input

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"
RESULT = ROOT / "build" / "bench" / "engine.json"
DEVICE = "cspbbr3_ogb"

log = logging.getLogger("bench")


def float_network(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The digits network as float32 matrix products."""
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    w1, b1, w2, b2 = (np.ascontiguousarray(tensors[name]) for name in ("w1", "b1", "w2", "b2"))
    w1 = np.ascontiguousarray(w1.T)

    def run(x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ w1 + b1, 0) @ w2 + b2

    return run


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    begin = perf_counter()
    work()
    return perf_counter() - begin


def main(repeats: int) -> None:
    """Measure, log the figures and write them to ``build/bench/engine.json``."""
    model, x = DIGITS / "digits.onnx", np.load(DIGITS / "test_x.npy")
    compiled = compile_model(model, load_device(DEVICE), np.load(DIGITS / "calib_x.npy"))
    engine, network = build_engine(compiled), float_network(model)
    drives, flat = quantise_input(compiled, x), x.reshape(len(x), -1)
    labels = np.load(DIGITS / "test_y.npy")

    # Both once before the clock runs, and both have to be the network they claim to be.
    trace = engine.infer(drives)
    for name, scores in (("engine", trace.output), ("float", network(flat))):
        right = float(np.mean(scores.argmax(axis=1) == labels))
        if right < 0.9:
            raise SystemExit(f"{name}: {right:.3f} of the digits are right, so it is not measured")

    times: dict[str, list[float]] = {"engine": [], "float": []}
    for _ in range(repeats):
        times["engine"].append(seconds(lambda: engine.infer(drives)))
        times["float"].append(seconds(lambda: network(flat)))
    best = {name: min(measured) for name, measured in times.items()}
    result = {
        "samples": len(x),
        "repeats": repeats,
        "cpus": os.cpu_count(),
        "numpy": np.__version__,
        "engine_seconds": best["engine"],
        "float_seconds": best["float"],
        "ratio": best["engine"] / best["float"],
        "conversions_per_second": trace.conversions / best["engine"],
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        log.info("%-24s %s", name, f"{value:.6g}" if isinstance(value, float) else value)
    log.info("%-24s %s", "written to", RESULT.relative_to(ROOT))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
