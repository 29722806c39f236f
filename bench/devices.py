"""What one pulse on a million cells costs: the device models against bare random numbers.

One pulse on every cell of a 1024 x 1024 array, spread and wear as the catalogue has
them, beside one ``numpy.random.Generator.standard_normal`` call of the same size, in
the same process and in turns. Times are of the processor, one thread, the shortest
of all repeats; the ratio is what says something.

    python bench/devices.py [REPEATS]
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np

from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.compiled import FROM, compiled
from ohmloom.sim.devices import load

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "build" / "bench" / "devices.json"
SIDE = 1024
WIDTHS = 10.0  # of the shortest pulse that switches
CASES = (
    ("cspbbr3_ogb", "nonvolatile"),
    ("bion", "nonvolatile"),
    ("vb3", "nonvolatile"),
    ("all_in_one", "nonvolatile_direct"),
    ("ohm", "analog"),
    ("all_in_one", "analog"),
    ("cspbbr3_ogb", "volatile"),
)
"""Device and mode: every family that is pulsed, those that hold weights first."""

log = logging.getLogger("bench")


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    begin = process_time()
    work()
    return process_time() - begin


def pulses(device: str, mode: str) -> dict[str, Callable[[], object]]:
    """A pulse of the largest amplitude of each sign on all cells of a new array."""
    array = SimulatedArray(load(device), 1, SIDE, SIDE, seed=1)
    if array.device.modes[0].name != mode:
        array.set_mode(mode)
    limits, cells = array.limits, np.arange(SIDE * SIDE)
    width = WIDTHS * limits.width_min_s
    sign = array.device.mode(mode).family.window(array.device.mode(mode).p).set_sign
    found: dict[str, Callable[[], object]] = {}
    for name, volts in (("SET", max), ("RESET", min)):
        amplitude = volts(sign * limits.v_min, sign * limits.v_max) * sign
        limited = name == "SET" and np.isfinite(limits.i_cc_max)
        i_cc = limits.i_cc_max if limited else None
        found[name] = lambda v=amplitude, i=i_cc: array.pulse(cells, v, width, i)
    return found


def main(repeats: int) -> None:
    """Measure, log the figures and write them to ``build/bench/devices.json``."""
    generator = np.random.default_rng(1)
    ratios: dict[str, float] = {}
    for device, mode in CASES:
        work = pulses(device, mode)
        work["normal"] = lambda: generator.standard_normal((SIDE, SIDE))
        times = {name: [seconds(call)] for name, call in work.items()}
        for _ in range(repeats):  # the first round, above, fills the caches
            for name, call in work.items():
                times[name].append(seconds(call))
        best = {name: min(measured[1:]) for name, measured in times.items()}
        for name in ("SET", "RESET"):
            ratios[f"{device}.{mode}.{name}"] = best[name] / best["normal"]
            log.info(
                "%-44s %6.1f ms  %5.2f x standard_normal",
                f"{device}.{mode}.{name}", 1e3 * best[name], best[name] / best["normal"],
            )  # fmt: skip
    result = {
        "cells": SIDE * SIDE,
        "repeats": repeats,
        "cpus": os.cpu_count(),
        "numpy": np.__version__,
        "compiled_draws": compiled(".draw_kernel", FROM) is not None,
        "ratios": ratios,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    log.info("written to %s", RESULT.relative_to(ROOT))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
