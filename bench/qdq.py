"""Quantised models: every matrix on ONNX Runtime's own inputs, against rationals and it.

A network is quantised by ``onnxruntime.quantization`` as QDQ and as QOperator. Each of its
matrices becomes a model of its own, from the integers that ONNX Runtime has before it to
those behind it, and is compiled for ideal cells and converters whose codes are conductance
codes. Then what the numpy engine gives has to be, without exception, what exact fractions
give by the rule of ``docs/numerics.md``. Where ONNX Runtime itself gives another integer,
it is told whether its float32 product of accumulator and factor explains it.

    python bench/qdq.py [--model FILE --samples FILE] [--count N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ohmloom import build_engine, compile_model, load_device, quantise_input
from ohmloom.compiler.options import Options
from ohmloom.compiler.runner import dequantise_output
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters

MNIST = Path(__file__).parents[1] / "examples" / "mnist"
DEVICE = load_device("ideal:256")
CONVERTERS = Converters.counting(DEVICE.g_lsb, DEVICE.v_read)
GEOMETRY = Geometry(
    tiles=4096, program_depth=1 << 16, param_depth=1 << 16, act_depth=1 << 16, acc_width=64
)
FORMATS = (QuantFormat.QDQ, QuantFormat.QOperator)
ACCEPTED = 1e-5
"""Part of the values that may differ from ONNX Runtime's, by 1, each with its reason."""

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Step:
    """A matrix of a quantised model.

    Attributes
    ----------
    operator, attributes:
        Of the node that it is without its scales: ``Conv``, ``MatMul`` or ``Gemm``.
    nodes:
        What the model has for it, from integers to integers.
    x, y:
        Names of the integers before and behind it.
    x_scale, y_scale, w_scale:
        float32; of the weight one for each output.
    x_zero, y_zero:
        Zero points.
    weight, bias:
        int64, the weight less its zero point.
    """

    operator: str
    attributes: dict
    nodes: tuple[NodeProto, ...]
    x: str
    y: str
    x_scale: np.float32
    x_zero: int
    w_scale: np.ndarray
    y_scale: np.float32
    y_zero: int
    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Result:
    """How a matrix went.

    Attributes
    ----------
    values:
        Integers that were compared.
    wrong:
        Those that are not what exact fractions give.
    other, largest:
        Those that ONNX Runtime has otherwise, and the largest difference.
    explained:
        Of these, those that its float32 product explains.
    """

    name: str
    values: int
    wrong: int
    other: int
    largest: int
    explained: int

    @property
    def passes(self) -> bool:
        """Whether all is as it has to be."""
        told = self.other == self.explained and self.largest <= 1
        return self.values > 0 and not self.wrong and told


def passes(results: Sequence[Result]) -> bool:
    """Whether all matrices pass, and few enough values are not as ONNX Runtime has them."""
    values, other = (sum(getattr(r, name) for r in results) for name in ("values", "other"))
    return values > 0 and all(r.passes for r in results) and other <= ACCEPTED * values


class _Samples(CalibrationDataReader):
    """Samples one by one, for the one input of a model."""

    def __init__(self, name: str, x: np.ndarray) -> None:
        self._left = iter([{name: sample[np.newaxis]} for sample in x])

    def get_next(self) -> dict:
        # None at the end, which the library asks for and its own type leaves out.
        return cast("dict", next(self._left, None))


def quantised(path: Path, x: np.ndarray, form: QuantFormat) -> ModelProto:
    """A float model as ONNX Runtime quantises it: uint8 activations, int8 weights per channel."""
    name = onnx.load(path).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "quantised.onnx"
        quantize_static(
            path,
            made,
            _Samples(name, x),
            quant_format=form,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(made)


def steps(model: ModelProto) -> list[Step]:
    """The matrices of a quantised model that are between integers."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    found = []
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type in ("QLinearConv", "QLinearMatMul", "QGemm"):
            names, operator = list(node.input), node.op_type.removeprefix("QLinear")
            if operator == "QGemm":  # its bias is before what the others end with
                names, operator = [*names[:6], *names[7:9], names[6]], "Gemm"
            nodes, x, y = (node,), names[0], node.output[0]
        elif node.op_type in ("Conv", "MatMul", "Gemm"):
            behind = [n for n in model.graph.node if node.output[0] in n.input]
            parts = [makers.get(name) for name in node.input]
            if len(behind) != 1 or any(n is None or n.op_type != "DequantizeLinear" for n in parts):
                continue
            (give,), own = behind, [n for n in parts if n is not None]
            operator, nodes = node.op_type, (*own, node, give)
            names = [*own[0].input, *own[1].input, *give.input[1:3]]
            names += [own[2].input[0]] if len(own) > 2 else []
            x, y = own[0].input[0], give.output[0]
        else:
            continue
        if names[3] not in constants:
            continue
        weight = constants[names[3]].astype(np.int64)
        turned = operator == "Gemm" and attributes.get("transB", 0)
        outputs = 0 if operator == "Conv" or turned else weight.ndim - 1
        zero = np.broadcast_to(constants[names[5]], weight.shape[outputs]).astype(np.int64)
        form = [-1 if n == outputs else 1 for n in range(weight.ndim)]
        bias = constants[names[8]] if len(names) > 8 else np.zeros(weight.shape[outputs])
        found.append(
            Step(
                operator,
                attributes,
                nodes,
                x,
                y,
                constants[names[1]].reshape(-1)[0],
                int(constants[names[2]].reshape(-1)[0]),
                np.broadcast_to(constants[names[4]], weight.shape[outputs]),
                constants[names[6]].reshape(-1)[0],
                int(constants[names[7]].reshape(-1)[0]),
                weight - zero.reshape(form),
                bias.astype(np.int64),
            )
        )
    return found


def runtime(model: ModelProto, names: Sequence[str], x: np.ndarray) -> dict[str, np.ndarray]:
    """What ONNX Runtime has in tensors of integers, for float samples."""
    told = ModelProto()
    told.CopyFrom(model)
    del told.graph.output[:]
    told.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in names
    )
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(told.SerializeToString(), options, ["CPUExecutionProvider"])
    made = session.run(list(names), {model.graph.input[0].name: x})
    return dict(zip(names, map(np.asarray, made), strict=True))


def engine(model: ModelProto, step: Step, x: np.ndarray) -> np.ndarray:
    """The integers behind a matrix, int64 (n, outputs), of those before it (n, ...)."""
    needed = {name for node in step.nodes for name in node.input}
    rank = x.ndim
    alone = helper.make_model(
        helper.make_graph(
            list(step.nodes),
            "step",
            [helper.make_tensor_value_info(step.x, TensorProto.UINT8, [1, *x.shape[1:]])],
            [helper.make_tensor_value_info(step.y, TensorProto.UINT8, [None] * rank)],
            [t for t in model.graph.initializer if t.name in needed],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        onnx.save(alone, path)
        options = Options(tia_range=0, golden_samples=1, host=False)
        compiled = compile_model(path, DEVICE, x, GEOMETRY, options, CONVERTERS)
    trace = build_engine(compiled).infer(quantise_input(compiled, x))
    return dequantise_output(compiled, trace.output).astype(np.int64)


def accumulators(step: Step, x: np.ndarray) -> np.ndarray:
    """Exact sums, bias included, int64, with the outputs last: (n, ..., outputs)."""
    drive = x.astype(np.int64) - step.x_zero
    if step.operator != "Conv":
        turned = step.operator == "Gemm" and step.attributes.get("transB", 0)
        return drive @ (step.weight.T if turned else step.weight) + step.bias
    rank = drive.ndim - 2
    pads = step.attributes.get("pads", [0] * 2 * rank)
    drive = np.pad(drive, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    axes = tuple(range(2, 2 + rank))
    windows = np.lib.stride_tricks.sliding_window_view(drive, step.weight.shape[2:], axes)
    strides = step.attributes.get("strides", [1] * rank)
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]
    inner = tuple(range(2 + rank, 2 + 2 * rank))
    return np.tensordot(windows, step.weight, ((1, *inner), (1, *axes))) + step.bias


def reference(step: Step, sums: np.ndarray) -> np.ndarray:
    """Integers by the rule, in fractions: half to even, between 0 and 255."""

    @lru_cache(None)
    def one(number: int, output: int) -> int:
        factor = np.float32(np.float32(step.x_scale * step.w_scale[output]) / step.y_scale)
        made = round(Fraction(number) * Fraction(float(factor))) + step.y_zero
        return min(max(made, 0), 255)

    flat = sums.reshape(-1, sums.shape[-1])
    made = [[one(number, output) for output, number in enumerate(row)] for row in flat.tolist()]
    return np.array(made).reshape(sums.shape)


def in_float32(step: Step, sums: np.ndarray) -> np.ndarray:
    """Integers as ONNX Runtime's kernels make them: with a float32 product."""
    factor = (step.x_scale * step.w_scale / step.y_scale).astype(np.float32)
    made = np.rint(sums.astype(np.float32) * factor)
    return np.clip(made + step.y_zero, 0, 255).astype(np.int64)


def check(model: ModelProto, x: np.ndarray) -> list[Result]:
    """Every matrix of a quantised model, fed what ONNX Runtime has before it."""
    found = []
    known = steps(model)
    tensors = runtime(model, sorted({name for s in known for name in (s.x, s.y)}), x)
    for step in known:
        before, behind = tensors[step.x], tensors[step.y].astype(np.int64)
        sums = accumulators(step, before)
        exact, floats = reference(step, sums), in_float32(step, sums)
        if step.operator == "Conv":
            exact, floats = (np.moveaxis(each, -1, 1) for each in (exact, floats))
        made = engine(model, step, before).reshape(exact.shape)
        other = made != behind
        found.append(
            Result(
                step.y,
                exact.size,
                int((made != exact).sum()),
                int(other.sum()),
                int(np.abs(made - behind).max()),
                int((other & (floats == behind)).sum()),
            )
        )
    return found


def main(arguments: Sequence[str]) -> int:
    """Quantise, compare, print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=MNIST / "lenet.onnx", help="in floats")
    parser.add_argument(
        "--samples", type=Path, default=MNIST / "calib_x.npy", help="array of calibration samples"
    )
    parser.add_argument("--count", type=int, default=64, help="samples that are compared")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    x = np.load(chosen.samples)[: chosen.count].astype(np.float32)
    figures, passed = {}, True
    for form in FORMATS:
        results = check(quantised(chosen.model, x, form), x)
        passed &= passes(results)
        for r in results:
            log.info(
                "%-9s %-28s %8d values, %d wrong, %d not as ONNX Runtime's (by up to %d), "
                "%d of them its float32 product",
                form.name, r.name, r.values, r.wrong, r.other, r.largest, r.explained,
            )  # fmt: skip
        figures[form.name] = [asdict(result) for result in results]
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(not passed)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("root").setLevel(logging.ERROR)
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
