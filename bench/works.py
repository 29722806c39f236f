"""What benchmarks of the numpy engine share: networks on tiles, the same in floats, and time."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import BANKED_DEPTH, BANKED_TILES, Geometry
from ohmloom.sim.converters import Converters, Sensing
from ohmloom.sim.devices import load
from ohmloom.sim.engine import NumpyEngine, Trace

DEVICE = "cspbbr3_ogb"
SIZE = 1024
WIDE_OHMS = (50.0, 500.0, 5e3, 50e3)
"""Feedback resistors of a card for tiles that large: 200 mA at full scale and less."""
_WARM_S = 0.3


@dataclass(frozen=True)
class Way:
    """How a network is put on tiles: lines of a tile, bits of row DAC and ADC, what is sensed."""

    rows: int
    columns: int
    input_bits: int
    sensing: Sensing
    adc_bits: int = 12

    @property
    def geometry(self) -> Geometry:
        return Geometry(
            rows=self.rows, columns=self.columns, tiles=BANKED_TILES, acc_width=64,
            program_depth=BANKED_DEPTH, param_depth=BANKED_DEPTH, act_depth=1 << 22, banks=True,
        )  # fmt: skip

    @property
    def converters(self) -> Converters:
        return Converters(
            tia_ohms=WIDE_OHMS,
            input_bits=self.input_bits,
            sensing=self.sensing,
            adc_bits=self.adc_bits,
        )


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
class Work:
    """A network on tiles and the same in float32, with inputs ``x`` (batch, ...)."""

    compiled: Compiled
    engine: NumpyEngine
    path: Path
    x: np.ndarray
    drives: np.ndarray
    floats: Callable[[], np.ndarray]

    @property
    def weight(self) -> np.ndarray:
        """The first matrix of the model, (inputs, outputs)."""
        return _weight(self.path)

    def ours(self) -> Trace:
        """An inference of all inputs."""
        return self.engine.infer(self.drives)

    def outputs(self, trace: Trace) -> np.ndarray:
        """What integers stand for, (batch, outputs)."""
        return dequantise_output(self.compiled, trace.output)


def prepared(
    network: str,
    batch: int,
    way: Way,
    threads: int,
    folder: Path,
    *,
    read_noise: bool = True,
    accelerator: str | None = None,
) -> Work:
    """A network of :data:`NETWORKS`, its cells written once."""
    built = NETWORKS[network]()
    path = built.save(folder / f"{network}.onnx")
    x = np.random.default_rng(1).uniform(0, 1, (batch, *built.shape)).astype(np.float32)
    compiled = compile_model(
        path, load(DEVICE), x[:16], way.geometry,
        Options(verify=False, golden_samples=0), way.converters,
    )  # fmt: skip
    engine = build_engine(
        compiled,
        threads=threads,
        read_noise=read_noise,
        accelerator=accelerator,
    )
    drives = quantise_input(compiled, x)
    return Work(compiled, engine, path, x, drives, _floats(network, path, x, threads))


def _weight(path: Path) -> np.ndarray:
    return numpy_helper.to_array(onnx.load(path).graph.initializer[0])


def _floats(network: str, path: Path, x: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    if network == "mvm":
        weight = _weight(path)
        return lambda: x @ weight
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, {"x": x})[0])


def error(found: ArrayLike, wanted: np.ndarray) -> float:
    """Root mean square of what is wrong, over that of what is wanted."""
    off = np.asarray(found).reshape(wanted.shape) - wanted
    return float(np.sqrt(np.square(off).mean() / np.square(wanted).mean()))


def in_a_row(
    works: Sequence[Callable[[], object]], repeats: int, most_seconds: float = math.inf
) -> list[float]:
    """Median seconds of each, all its turns one after the other.

    Before the first one that counts come as many as fit in a while: threads of BLAS and ONNX
    Runtime go on spinning long after what they were started for. What has taken
    ``most_seconds`` has no further turn.
    """
    medians = []
    for work in works:
        begin = perf_counter()
        while perf_counter() - begin < _WARM_S:
            work()
        times: list[float] = []
        while len(times) < repeats and sum(times) < most_seconds:
            begin = perf_counter()
            work()
            times.append(perf_counter() - begin)
        medians.append(statistics.median(times))
    return medians


def store(path: Path, threads: int, repeats: int, **figures: object) -> None:
    """Write figures with what they were measured on and how."""
    machine = {"cpus": os.cpu_count(), "threads": threads, "repeats": repeats}
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {**machine, "numpy": np.__version__, **figures}
    path.write_text(json.dumps(found, indent=2) + "\n")
