"""Other simulators beside ours, on the same work, in turns.

Exact line resistance beside badcrossbar. Conductances are uniform between 1 uS and 100 uS, every
segment has 1 ohm, rows are driven at one end and columns sensed at one. Each figure is from a
process of its own, which reports its time and the memory that it took at most beyond what it had
before; medians of the repeats. All inputs of badcrossbar are solved in one call without node
voltages, as are ours; "again" are as many further inputs on the same array, beside a float64
product of that size.

Products of a matrix beside CrossSim and AIHWKit, as ``products.py`` says.

    pip install --no-deps badcrossbar sigfig pathvalidate sortedcontainers
    pip install git+https://github.com/sandialabs/cross-sim
    pip install aihwkit==1.1.0 torch==2.10.0
    python bench/peers.py [--threads 2] [--repeats 7] [--sizes 128,256,512,1024] [--only products]

Exit code 1 if a ratio is above its limit or the currents differ by more than 1e-9 of the largest.
What is not installed is told and left out; for sizes that badcrossbar is not asked for, our own
figures alone are printed.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np

RESULT = Path(__file__).parents[1] / "build" / "bench" / "peers.json"
OHMS = 1.0
INPUTS = (1, 64)
LIMITS = {128: 1 / 4, 256: 1 / 6, 512: 1 / 8}
"""Of badcrossbar's time at 64 inputs, by size."""
MEMORY_LIMIT = {512: 1 / 3}
AGAIN_LIMIT = 2.0
AGREE = 1e-9
BADCROSSBAR_MOST = 512

log = logging.getLogger("bench")


def case(size: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Conductances [S] and row voltages [V], shapes (size, size) and (inputs, size)."""
    rng = np.random.default_rng(size)
    g = rng.uniform(1e-6, 1e-4, (size, size))
    return g, rng.uniform(0, 0.1, (inputs, size))


def _resident(field: str) -> int:
    """Bytes of this process: ``VmRSS`` now, or ``VmHWM`` at most since :func:`_forget`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def _forget() -> int:
    """Begin a new peak; what there is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def ours(size: int, inputs: int, threads: int) -> tuple[float, int, np.ndarray, float]:
    """Seconds, bytes, currents [A] (inputs, size), and further inputs over a plain product."""
    from threadpoolctl import threadpool_limits

    from ohmloom.sim.array.lines import Network, Wires

    g, volts = case(size, inputs)
    Network(g[:32, :32], Wires(OHMS, OHMS), keep=False)  # everything is loaded
    before, begin = _forget(), perf_counter()
    transfer = Network(g, Wires(OHMS, OHMS), keep=False, threads=threads).transfer()
    currents = volts @ transfer
    seconds, peak = perf_counter() - begin, _resident("VmHWM") - before
    with threadpool_limits(threads):
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(21):
            for into, right in zip(times, (transfer, g), strict=True):
                begin = perf_counter()
                np.matmul(volts, right)
                into.append(perf_counter() - begin)
    again, plain = (statistics.median(each) for each in times)
    return seconds, peak, currents, again / plain


def badcrossbar(size: int, inputs: int, threads: int) -> tuple[float, int, np.ndarray, float]:
    """The same of badcrossbar, which says nothing of further inputs."""
    logging.disable(logging.INFO)
    import badcrossbar as peer  # pyright: ignore[reportMissingImports]
    from threadpoolctl import threadpool_limits

    g, volts = case(size, inputs)
    quiet = {"node_voltages": False, "all_currents": False}
    with threadpool_limits(threads):
        peer.compute(volts[:1, :32].T, 1 / g[:32, :32], r_i=OHMS, **quiet)
        before, begin = _forget(), perf_counter()
        found = peer.compute(volts.T, 1 / g, r_i=OHMS, **quiet)
        seconds, peak = perf_counter() - begin, _resident("VmHWM") - before
    return seconds, peak, np.asarray(found.currents.output), math.nan


def lines(sizes: Sequence[int], threads: int, repeats: int) -> tuple[list[dict], bool]:
    """Rows of exact line resistance, and whether one is above its limit."""
    works = {"ohmloom": ours}
    if find_spec("badcrossbar"):
        works["badcrossbar"] = badcrossbar
    else:
        log.info("badcrossbar is not installed: our own figures alone")
    rows, failed = [], False
    for size in sizes:
        for inputs in INPUTS:
            found: dict[str, list] = {name: [] for name in works}
            for _ in range(repeats if size <= BADCROSSBAR_MOST else 1):
                for name, work in works.items():
                    if name == "ohmloom" or size <= BADCROSSBAR_MOST:
                        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                            found[name].append(pool.submit(work, size, inputs, threads).result())
            row: dict[str, float] = {"size": size, "inputs": inputs}
            for name, runs in found.items():
                if runs:
                    row[f"{name}_seconds"] = statistics.median(run[0] for run in runs)
                    row[f"{name}_bytes"] = int(statistics.median(run[1] for run in runs))
            again = statistics.median(run[3] for run in found["ohmloom"])
            line = f"{size:5d} x {size}, {inputs:2d} inputs: {row['ohmloom_seconds']:7.3f} s, "
            line += f"{row['ohmloom_bytes'] / 1e6:5.0f} MB; again {again:.2f} x a product"
            row["again"] = again
            failed |= inputs > 1 and again > AGAIN_LIMIT
            if found.get("badcrossbar"):
                mine, theirs = found["ohmloom"][0][2], found["badcrossbar"][0][2]
                off = float(np.abs(mine - theirs).max() / np.abs(theirs).max())
                time = row["ohmloom_seconds"] / row["badcrossbar_seconds"]
                memory = row["ohmloom_bytes"] / row["badcrossbar_bytes"]
                row |= {"difference": off, "time_ratio": time, "memory_ratio": memory}
                line += f"; badcrossbar {row['badcrossbar_seconds']:7.3f} s, "
                line += f"{row['badcrossbar_bytes'] / 1e6:5.0f} MB: 1/{1 / time:.1f} of its time, "
                line += f"1/{1 / memory:.1f} of its memory, {off:.1e} apart"
                failed |= off > AGREE
                if inputs > 1:
                    failed |= time > LIMITS.get(size, math.inf)
                    failed |= memory > MEMORY_LIMIT.get(size, math.inf)
            log.info(line)
            rows.append(row)
    return rows, failed


def main(arguments: list[str]) -> int:
    import products  # not in the processes of their own
    from works import store

    parser = argparse.ArgumentParser(description="Other simulators beside ours.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sizes", default="128,256,512,1024")
    parser.add_argument("--only", choices=("lines", "products"))
    args = parser.parse_args(arguments)
    sizes = [] if args.only == "products" else [int(part) for part in args.sizes.split(",")]
    rows, failed = lines(sizes, args.threads, args.repeats)
    made = [] if args.only == "lines" else products.rows(args.threads, args.repeats)
    tables = {"rows": rows, "products": [asdict(row) for row in made]}
    store(RESULT, args.threads, args.repeats, **tables)
    return int(failed)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
