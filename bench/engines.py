"""The numpy engine beside the same work in floats, in one process, on as many threads.

Matrix products of 1024 x 1024 weights against a float32 product of numpy; a perceptron on 10,000
images and ResNet-20 on 32 against ONNX Runtime. Cells of ``cspbbr3_ogb`` are written once, with the
spread of the device, and every conversion has read noise. Each is done seven times in a row, warm:
a ratio is that of the medians. Peak memory is that of numpy's arrays beyond the
network's input and the array's cells.

    python bench/engines.py [--threads 2] [--only TEXT] [--repeats 7] [--accelerator NAME]

Exit code 1 if a ratio is above its limit.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits
from works import SIZE, Way, error, in_a_row, prepared, store

from ohmloom.sim.converters import Sensing

RESULT = Path(__file__).parents[1] / "build" / "bench" / "engines.json"
PEAK_LIMIT = 200e6

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Row:
    """A line of the table: what is run, how, and what it may take, over the floats."""

    name: str
    network: str
    batch: int
    way: Way
    limit: float | None


HOW: list[tuple[str, int, Sensing, int]] = [
    ("8-bit DAC, differential", 8, "differential", 1),
    ("8-bit DAC, every column", 8, "columns", 2),
    ("eight planes, differential", 1, "differential", 8),
]
"""Row DAC and sensing, and how often the limit of the first one they may take."""
WHOLE, TILED = (SIZE, 2 * SIZE), (128, 256)
ROWS = [
    Row(f"MVM {SIZE}, {tiles}, {label}, batch {batch}", "mvm", batch,
        Way(*lines, bits, sensing), limit)
    for tiles, lines, limits in (
        ("one tile", WHOLE, (8, 6)),
        ("128 x 128 tiles", TILED, (14, 10)),
    )
    for label, bits, sensing, times in HOW
    for batch, limit in zip((64, SIZE), (one * times for one in limits), strict=True)
] + [
    Row("MLP 784-100-10, 8-bit DAC, differential", "mlp", 10_000,
        Way(784, 200, 8, "differential"), 10),
    Row("MLP 784-100-10, bit-serial, 128-row tiles", "mlp", 10_000, Way(128, 256, 1, "columns"),
        None),
    Row("ResNet-20, 8-bit DAC, differential", "resnet20", 32, Way(576, 128, 8, "differential"), 10),
    Row("ResNet-20, bit-serial, 128-row tiles", "resnet20", 32, Way(128, 256, 1, "columns"), None),
]  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """What a row came to: medians [s], their ratio, peak memory [byte], error of the outputs."""

    ratio: float
    limit: float | None
    seconds: float
    float_seconds: float
    peak: int
    error: float
    conversions_per_second: float


def measure(row: Row, threads: int, repeats: int, folder: Path, accelerator: str | None) -> Figure:
    """Run one line of the table."""
    work = prepared(row.network, row.batch, row.way, threads, folder, accelerator=accelerator)
    with threadpool_limits(threads):
        trace, wanted = work.ours(), work.floats()
        seconds, float_seconds = in_a_row((work.ours, work.floats), repeats)
    tracemalloc.start()
    work.ours()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Figure(
        seconds / float_seconds, row.limit, seconds, float_seconds, peak,
        error(work.outputs(trace), wanted), trace.conversions / seconds,
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The numpy engine beside the same work in floats.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--accelerator", help="what makes the products, such as torch:cuda")
    args = parser.parse_args(arguments)
    found: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            if args.only not in row.name:
                continue
            figure = found[row.name] = measure(
                row, args.threads, args.repeats, Path(folder), args.accelerator
            )
            log.info(
                "%-55s %7.2f x (limit %s), %8.2f ms against %7.2f ms, %4.0f MB, error %.3f",
                row.name, figure.ratio, figure.limit or "none", 1e3 * figure.seconds,
                1e3 * figure.float_seconds, figure.peak / 1e6, figure.error,
            )  # fmt: skip
    figures = {name: asdict(figure) for name, figure in found.items()}
    store(RESULT, args.threads, args.repeats, accelerator=args.accelerator, figures=figures)
    late = [f for f in found.values() if f.limit is not None and f.ratio > f.limit]
    large = [f for f in found.values() if f.peak > PEAK_LIMIT]
    return int(bool(late or large))


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
