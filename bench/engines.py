"""The numpy engine beside the same work in floats, in one process, on as many threads.

Matrix products of 1024 x 1024 weights against a float32 product of numpy; a perceptron on 10,000
images and ResNet-20 on 32 against ONNX Runtime. Cells of ``cspbbr3_ogb`` are written once, with the
spread of the device, and every conversion has read noise. Work and float are done in turns, seven
times each: a ratio is that of the medians. Peak memory is that of numpy's arrays beyond the
network's input and the array's cells.

    python bench/engines.py [--threads 2] [--only TEXT] [--repeats 7] [--accelerator NAME]

Exit code 1 if a ratio is above its limit.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from threadpoolctl import threadpool_limits

from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import BANKED_DEPTH, BANKED_TILES, Geometry
from ohmloom.sim.converters import Converters, Sensing
from ohmloom.sim.devices import load

RESULT = Path(__file__).parents[1] / "build" / "bench" / "engines.json"
DEVICE = "cspbbr3_ogb"
SIZE = 1024
WIDE_OHMS = (50.0, 500.0, 5e3, 50e3)
"""Feedback resistors of a card for tiles that large: 200 mA at full scale and less."""
PEAK_LIMIT = 200e6

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Way:
    """How a network is put on tiles: lines of a tile, bits of the row DAC, what is sensed."""

    rows: int
    columns: int
    input_bits: int
    sensing: Sensing

    @property
    def geometry(self) -> Geometry:
        return Geometry(
            rows=self.rows, columns=self.columns, tiles=BANKED_TILES, acc_width=64,
            program_depth=BANKED_DEPTH, param_depth=BANKED_DEPTH, act_depth=1 << 22, banks=True,
        )  # fmt: skip

    @property
    def converters(self) -> Converters:
        return Converters(
            tia_ohms=WIDE_OHMS, input_bits=self.input_bits, sensing=self.sensing, adc_bits=12
        )


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


class Builder:
    """An ONNX model node by node, with He-normal weights of one seed."""

    def __init__(self, *shape: int) -> None:
        self.rng = np.random.default_rng(0)
        self.shape, self.nodes, self.weights = shape, list[onnx.NodeProto](), {}
        self.last = "x"

    def node(self, op: str, *more: np.ndarray | str, source: str | None = None, **fields) -> str:
        names = [source or self.last]
        for each in more:
            if isinstance(each, str):
                names.append(each)
            else:
                names.append(f"w{len(self.weights)}")
                self.weights[names[-1]] = each.astype(np.float32)
        self.last = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [self.last], **fields))
        return self.last

    def weight(self, *shape: int) -> np.ndarray:
        """Outputs first."""
        return self.rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))

    def conv(self, inputs: int, outputs: int, stride: int, kernel: int = 3, **more) -> str:
        pad = kernel // 2
        weight = self.weight(outputs, inputs, kernel, kernel)
        return self.node(
            "Conv", weight, np.zeros(outputs), pads=[pad] * 4, strides=[stride] * 2, **more
        )

    def save(self, path: Path) -> Path:
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape])
        constants = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "bench", [source], [output], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        return path


def mvm() -> Builder:
    made = Builder(SIZE)
    made.node("MatMul", made.weight(SIZE, SIZE))
    return made


def mlp() -> Builder:
    made = Builder(784)
    made.node("Gemm", made.weight(100, 784), np.zeros(100), transB=1)
    made.node("Relu")
    made.node("Gemm", made.weight(10, 100), np.zeros(10), transB=1)
    return made


def resnet20() -> Builder:
    """For 3 x 32 x 32: nine blocks of two convolutions in three stages of 16, 32, 64 channels."""
    made = Builder(3, 32, 32)
    made.conv(3, 16, 1)
    made.node("Relu")
    inputs = 16
    for stage, outputs in enumerate((16, 32, 64)):
        for number in range(3):
            stride = 2 if stage and not number else 1
            before = made.last
            made.conv(inputs, outputs, stride)
            made.node("Relu")
            body = made.conv(outputs, outputs, 1)
            beside = before
            if stride != 1:
                beside = made.conv(inputs, outputs, stride, 1, source=before)
            made.node("Add", beside, source=body)
            made.node("Relu")
            inputs = outputs
    made.node("GlobalAveragePool")
    made.node("Flatten")
    made.node("Gemm", made.weight(10, 64), np.zeros(10), transB=1)
    return made


NETWORKS: dict[str, Callable[[], Builder]] = {"mvm": mvm, "mlp": mlp, "resnet20": resnet20}


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


def floats(network: str, path: Path, x: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    """The same work in float32."""
    if network == "mvm":
        weight = numpy_helper.to_array(onnx.load(path).graph.initializer[0])

        def product() -> np.ndarray:
            with threadpool_limits(threads):
                return x @ weight

        return product
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, {"x": x})[0])


def measure(row: Row, threads: int, repeats: int, folder: Path, accelerator: str | None) -> Figure:
    """Run one line of the table."""
    built = NETWORKS[row.network]()
    path = built.save(folder / f"{row.network}.onnx")
    x = np.random.default_rng(1).uniform(0, 1, (row.batch, *built.shape)).astype(np.float32)
    compiled = compile_model(
        path, load(DEVICE), x[:16], row.way.geometry,
        Options(verify=False, golden_samples=0), row.way.converters,
    )  # fmt: skip
    engine = build_engine(compiled, threads=threads, accelerator=accelerator)
    drives, work = quantise_input(compiled, x), floats(row.network, path, x, threads)
    trace, wanted = engine.infer(drives), work()
    found = dequantise_output(compiled, trace.output).reshape(wanted.shape)
    error = float(np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for into, each in zip(times, (lambda: engine.infer(drives), work), strict=True):
            begin = perf_counter()
            each()
            into.append(perf_counter() - begin)
    tracemalloc.start()
    engine.infer(drives)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    seconds, float_seconds = (statistics.median(each) for each in times)
    return Figure(
        seconds / float_seconds, row.limit, seconds, float_seconds, peak, error,
        trace.conversions / seconds,
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
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    machine: dict[str, object] = {
        "cpus": os.cpu_count(),
        "threads": args.threads,
        "repeats": args.repeats,
        "accelerator": args.accelerator,
    }
    machine["numpy"] = np.__version__
    figures = {name: asdict(figure) for name, figure in found.items()}
    RESULT.write_text(json.dumps({**machine, "figures": figures}, indent=2) + "\n")
    late = [f for f in found.values() if f.limit is not None and f.ratio > f.limit]
    large = [f for f in found.values() if f.peak > PEAK_LIMIT]
    return int(bool(late or large))


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
