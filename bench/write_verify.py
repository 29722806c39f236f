"""Write-verify on the RTL: yield, pulse pairs and verdicts of one tile, with and without
stuck cells.

Targets are spread evenly over the device's whole conductance window, in an order drawn
from the seed; the controller computes each one's I_cc from the device's line. Every
cell's result word, state and cycle count is compared with the numpy engine's, and the
yield is that of the true conductances. Then the same figures by the numpy engine for
further seeds, which says how much they scatter.

    python bench/write_verify.py [LINES [SEED]]
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohmloom import load_device
from ohmloom.compiler.tuning import HALF_WINDOW, TRIES, target_codes, target_image
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.array import SimulatedArray
from ohmloom.sim.converters import Converters
from ohmloom.sim.cosim.fast.programming import program_fast
from ohmloom.sim.cosim.job import Job
from ohmloom.sim.engine import NumpyEngine
from ohmloom.sim.engine.tally import Tally, tally

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "build" / "bench" / "write_verify.json"
DEVICE = "cspbbr3_ogb"
CLK_HZ = 48_000_000
TOLERANCE = 0.01
"""Of the window: what counts as inside."""
STUCK_SHARE = 0.01
STUCK_AT = (3e-6, 9e-4)
"""Conductances of stuck cells [S]: open and shorted, both outside the window."""
SEEDS = 16
"""Further tiles by the numpy engine."""

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Case:
    """A job, the wanted conductances [S] and their tolerance [S]."""

    job: Job
    targets: np.ndarray
    tolerance: float

    def judge(self, words: np.ndarray, g: np.ndarray) -> Tally:
        """The figures of result words and true conductances."""
        stuck = [cell for cell, _ in self.job.stuck]
        return tally(words, g, self.targets, self.tolerance, stuck)


def case(lines: int, seed: int, stuck_share: float, half_window: float = HALF_WINDOW) -> Case:
    """One tile of ``lines`` x ``lines`` cells with targets over the whole window."""
    device, converters = load_device(DEVICE), Converters()
    geometry = Geometry(
        rows=lines, columns=lines, tiles=1, program_depth=64, param_depth=64, act_depth=64
    )
    image, gain = target_image(device, converters, geometry, CLK_HZ, half_window=half_window)
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.linspace(device.levels[0], device.levels[-1], geometry.cells))
    faulty = rng.permutation(geometry.cells)[: round(stuck_share * geometry.cells)]
    stuck = tuple((int(cell), STUCK_AT[n % 2]) for n, cell in enumerate(faulty))
    job = Job(
        image=image,
        device=device,
        levels=target_codes(targets, device, gain).reshape(1, lines, lines),
        samples=np.zeros((0, 1), np.int64),
        converters=converters,
        seed=seed,
        clk_hz=CLK_HZ,
        stuck=stuck,
    )
    return Case(job, targets, TOLERANCE * float(device.levels[-1] - device.levels[0]))


def by_numpy(made: Case) -> Tally:
    """The figures of the numpy engine."""
    job = made.job
    geometry = job.image.geometry
    array = SimulatedArray(job.device, 1, geometry.rows, geometry.columns, job.seed)
    if job.stuck:
        array.stick(*zip(*job.stuck, strict=True))
    engine = NumpyEngine(job.image, array, job.converters, job.clk_hz, job.seed)
    engine.setup()
    return made.judge(engine.program_tile(0, job.levels[0]), array.g[0])


def figures(found: Tally) -> dict[str, object]:
    """A tally as it is printed and written."""
    return {
        "cells_not_stuck": found.cells,
        "inside_percent": 100 * found.inside,
        "mean_pulse_pairs": found.mean_pairs,
        "most_pulse_pairs": found.most_pairs,
        "tries_allowed": TRIES,
        **{status.name.lower(): count for status, count in sorted(found.statuses.items())},
        "stuck_unreported": len(found.unreported),
        "called_stuck_wrongly": len(found.slandered),
        "done_but_outside": len(found.deceived),
    }


def show(title: str, values: dict[str, object]) -> None:
    """Log one table."""
    log.info("%s", title)
    for name, value in values.items():
        log.info("  %-24s %s", name, f"{value:.6g}" if isinstance(value, float) else value)


def spread(lines: int, seeds: Sequence[int]) -> dict[str, object]:
    """The figures of further tiles, lowest, mean and highest."""
    found = [by_numpy(case(lines, seed, 0.0)) for seed in seeds]
    inside = [100 * each.inside for each in found]
    pairs = [each.mean_pairs for each in found]
    return {
        "tiles": len(found),
        "inside_percent_mean": float(np.mean(inside)),
        "inside_percent_lowest": min(inside),
        "inside_percent_highest": max(inside),
        "mean_pulse_pairs": float(np.mean(pairs)),
        "mean_pulse_pairs_highest": max(pairs),
    }


def main(lines: int, seed: int) -> None:
    """Measure, log the figures and write them to ``build/bench/write_verify.json``."""
    result: dict[str, object] = {"lines": lines, "seed": seed}
    for name, share in (("sound", 0.0), ("one percent stuck", STUCK_SHARE)):
        made = case(lines, seed, share)
        begun = time.process_time()
        done = program_fast(made.job, lambda stage, done, total: None)
        if done.report.mismatches:
            raise SystemExit(f"RTL and numpy engine differ: {done.report.first_mismatch}")
        values = figures(made.judge(done.words, done.g)) | {
            "cycles_counted": int(done.cycles.sum()),
            "simulated_cycles": done.report.simulated_cycles,
            "skipped_cycles": done.report.skipped_cycles,
            "processor_seconds": time.process_time() - begun,
        }
        result[name] = values
        show(f"RTL, {name}, {lines} x {lines}", values)
    further = spread(lines, range(seed + 1, seed + 1 + SEEDS))
    result["further seeds"] = further
    show(f"numpy engine, {SEEDS} further seeds", further)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    log.info("%-26s %s", "written to", RESULT.relative_to(ROOT))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("ohmloom").setLevel(logging.ERROR)
    arguments = [int(value) for value in sys.argv[1:]] + [32, 1][len(sys.argv) - 1 :]
    main(*arguments)
