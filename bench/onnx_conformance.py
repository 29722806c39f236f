"""ONNX's own backend tests through the whole pipeline, on the ideal device.

Every node case that the installed ``onnx`` package has is named once in
``onnx_conformance.toml``: as applicable, as one whose operators run on the host, or as
excluded, with the reason. The others are compiled and run on the numpy engine, the applicable
ones with nothing on the host, those for the host with it, and they are counted apart:
weights, biases and other parameters are bound to initialisers first, as the models of users
have them, and several activations come in as slices of one input.

A case of floats passes if no output is off by more than 2^-10 of the range of what is
expected, one of whole numbers if it is equal. The exit code is 0 if all that are run pass and
the list is that of the package.

    python bench/onnx_conformance.py [--json FILE] [--float] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.test.loader import load_model_tests
from rich.console import Console
from rich.progress import track

from ohmloom import build_engine, compile_model, load_device, quantise_input
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.options import Options
from ohmloom.compiler.runner import dequantise_output
from ohmloom.errors import OhmloomError
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters

LIST = Path(__file__).with_suffix(".toml")
DEVICE = "ideal:256"
GEOMETRY = Geometry(
    tiles=4096, program_depth=1 << 16, param_depth=1 << 16, act_depth=1 << 16, acc_width=64
)
TOLERANCE = 2.0**-10
"""Of the range of what is expected."""
FLOAT_TOLERANCE = 5e-4
"""Likewise, of the lowered network in floats: a few of the package's figures are rounded."""
EVERY_INPUT = frozenset(("Add", "Sub", "Mul", "Sum", "Mean", "Max", "Min", "Concat"))
"""Operators all of whose inputs are activations; of others it is the first one."""

RUN = ("applicable", "host")
"""Kinds of cases that are run."""
TYPES = frozenset(("float32", "uint8", "int8"))
"""Of activations."""

log = logging.getLogger("bench")


class ListError(Exception):
    """A list that is not that of the installed package."""


@dataclass(frozen=True)
class Case:
    """A model of the package with its inputs and the outputs expected, in the model's order."""

    name: str
    model: onnx.ModelProto
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]

    @property
    def operators(self) -> frozenset[str]:
        """Of its nodes."""
        return frozenset(node.op_type for node in self.model.graph.node)


@dataclass(frozen=True)
class Result:
    """How a case went.

    Attributes
    ----------
    error:
        Largest error of an output by the range that is expected; of whole numbers 0 or 1.
    failure:
        Why there is none.
    """

    name: str
    error: float = 0.0
    failure: str = ""

    def passes(self, tolerance: float) -> bool:
        """Whether there is an error and it is small enough."""
        return not self.failure and self.error <= tolerance


def cases() -> dict[str, Case]:
    """The node cases of the installed package, those of tensors only, by name."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own, when it makes its data
        tests = load_model_tests(kind="node")
    for test in tests:
        model = test.model or onnx.load(Path(test.model_dir or "") / "model.onnx")
        inputs, outputs = test.data_sets[0] if test.data_sets else ((), ())
        found[test.name] = Case(test.name, model, tuple(inputs), tuple(outputs))
    return found


def read_list(path: Path = LIST) -> dict[str, str]:
    """``applicable``, ``host`` or the reason for the exclusion, by the name of the case.

    Raises
    ------
    ListError
        If a case is there twice.
    """
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    groups = {"applicable": raw["applicable"], "host": raw["host"], **raw["excluded"]}
    counted = Counter(name for names in groups.values() for name in names)
    twice = sorted(name for name, count in counted.items() if count > 1)
    if twice:
        raise ListError(f"twice in the list: {', '.join(twice)}")
    return {name: kind for kind, names in groups.items() for name in names}


def check_list(listed: dict[str, str], installed: Sequence[str]) -> None:
    """The list has every case of the package and no other.

    Raises
    ------
    ListError
        Naming what is missing and what there is no more.
    """
    missing, unknown = sorted(set(installed) - set(listed)), sorted(set(listed) - set(installed))
    if missing:
        raise ListError(f"cases that the list lacks: {', '.join(missing)}")
    if unknown:
        raise ListError(f"onnx {onnx.__version__} has no cases {', '.join(unknown)}")


def networks(case: Case) -> Iterator[tuple[onnx.ModelProto, np.ndarray, np.ndarray]]:
    """For each output a model of one input, a sample and what is expected of it.

    Raises
    ------
    ValueError
        If the case has no activation, or one of a type that models do not start from.
    """
    graph = case.model.graph
    every = len(graph.node) == 1 and graph.node[0].op_type in EVERY_INPUT
    named = list(zip([value.name for value in graph.input], case.inputs, strict=True))
    active = dict(named if every else named[:1])
    types = {str(getattr(x, "dtype", type(x).__name__)) for x in active.values()}
    if len(types) != 1 or not types <= TYPES:
        raise ValueError(f"activations of {', '.join(sorted(types)) or 'no type'}")
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(types.pop()))
    constants = [_constant(x, name) for name, x in named if name not in active]
    sample = np.concatenate([x.reshape(-1) for x in active.values()])
    if len(active) == 1 and next(iter(active.values())).ndim > 1:
        ((name, sample),) = active.items()
        nodes = []
    else:
        name, nodes = "all of them", []
        begin = 0
        for number, (tensor, x) in enumerate(active.items()):
            for what, values in (
                ("begin", [begin]),
                ("end", [begin + x.size]),
                ("axis", [1]),
                ("shape", list(x.shape)),
            ):
                array = np.array(values, np.int64)
                constants.append(numpy_helper.from_array(array, f"{what} {number}"))
            part = [name, *(f"{what} {number}" for what in ("begin", "end", "axis"))]
            nodes.append(_node(case.model, "Slice", part, f"part {number}"))
            shaped = [f"part {number}", f"shape {number}"]
            nodes.append(_node(case.model, "Reshape", shaped, tensor))
            begin += x.size
        sample = sample[np.newaxis]
    start = helper.make_tensor_value_info(name, dtype, sample.shape)
    for output, expected in zip(graph.output, case.outputs, strict=True):
        model = helper.make_model(
            helper.make_graph(
                [*nodes, *graph.node],
                case.name,
                [start],
                [output],
                [*graph.initializer, *constants],
            ),
            functions=case.model.functions,
            opset_imports=case.model.opset_import,
            ir_version=max(case.model.ir_version, 4),
        )
        yield model, sample, np.asarray(expected)


def _constant(value: object, name: str) -> onnx.TensorProto:
    """An initialiser of an array, or of a tensor of a type that numpy has not got."""
    if not isinstance(value, onnx.TensorProto):
        return numpy_helper.from_array(np.asarray(value), name)
    made = onnx.TensorProto()
    made.CopyFrom(value)
    made.name = name
    return made


def _node(model: onnx.ModelProto, operator: str, inputs: list[str], output: str) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=f"{operator} to {output}")


def error_of(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest error by the range of what is expected; of whole numbers whether there is one."""
    found = found.reshape(-1)
    wanted = expected.reshape(-1)
    if len(found) != len(wanted):
        raise ValueError(f"{len(found)} values, {len(wanted)} are expected")
    if wanted.dtype.kind in "iub":
        return float(not np.array_equal(found, wanted))
    wanted = wanted.astype(np.float64)
    scale = float(np.ptp(wanted)) or float(np.abs(wanted).max()) or 1.0
    error = float(np.abs(found - wanted).max()) / scale
    return error if np.isfinite(error) else np.inf


def in_floats(path: Path, sample: np.ndarray, *, host: bool) -> np.ndarray:
    """What the lowered network makes of a sample, in floats."""
    network = load_model(path, host=host)
    return network.forward(sample.reshape(1, -1).astype(np.float64))


def on_the_engine(path: Path, sample: np.ndarray, options: Options) -> np.ndarray:
    """What the numpy engine makes of a sample, calibrated on it.

    Integers are converted by converters that round nothing.
    """
    batch = sample if sample.shape[0] == 1 else sample[np.newaxis]
    device, converters = load_device(DEVICE), Converters()
    if sample.dtype.kind in "iu":
        converters = Converters.counting(device.g_lsb, device.v_read)
        options = options.model_copy(update={"tia_range": 0})
    compiled = compile_model(path, device, batch, GEOMETRY, options, converters)
    trace = build_engine(compiled).infer(quantise_input(compiled, batch))
    return dequantise_output(compiled, trace.output)


def run(case: Case, options: Options | None, *, host: bool = False) -> Result:
    """A case through the pipeline; without options in floats."""
    if options is not None:
        options = options.model_copy(update={"host": host})
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            for model, sample, expected in networks(case):
                onnx.save(model, path)
                found = (
                    in_floats(path, sample, host=host)
                    if options is None
                    else on_the_engine(path, sample, options)
                )
                worst = max(worst, error_of(found, expected))
        except (OhmloomError, ValueError) as error:
            return Result(case.name, failure=" ".join(str(error).split()))
    return Result(case.name, worst)


def main(arguments: Sequence[str]) -> int:
    """Run the applicable cases; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="cases; without, all that are not excluded")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--float", action="store_true", help="only the lowered network in floats")
    parser.add_argument("--act-bits", type=int, default=16, help="bits of activations")
    parser.add_argument("--slices", type=int, default=2, help="pairs of cells for a weight")
    parser.add_argument(
        "--tia-range",
        type=int,
        default=1,
        help="of all matrices: a finer one than many rows get by themselves, in groups of rows",
    )
    chosen = parser.parse_args(arguments)
    options = (
        None
        if chosen.float
        else Options(
            act_bits=chosen.act_bits,
            slices=chosen.slices,
            tia_range=chosen.tia_range,
            golden_samples=1,
        )
    )
    tolerance = FLOAT_TOLERANCE if chosen.float else TOLERANCE

    every = cases()
    try:
        listed = read_list()
        check_list(listed, list(every))
        strange = sorted(set(chosen.names) - set(every))
        if strange:
            raise ListError(f"there are no cases {', '.join(strange)}")
    except ListError as error:
        log.error("%s", error)
        return 1
    names = chosen.names or sorted(name for name, kind in listed.items() if kind in RUN)
    steps = track(names, "cases", console=Console(stderr=True), transient=True)
    results = [run(every[name], options, host=listed[name] == "host") for name in steps]
    failed = [result for result in results if not result.passes(tolerance)]
    for result in failed:
        log.error("%s: %s", result.name, result.failure or f"error {result.error:.3g} of the range")
    kinds = Counter(kind if kind in RUN else "excluded" for kind in listed.values())
    of_kind = Counter(listed[result.name] for result in results)
    lost = Counter(listed[result.name] for result in failed)
    passed = {kind: of_kind[kind] - lost[kind] for kind in RUN}
    for kind in (kind for kind in RUN if of_kind[kind]):
        share = passed[kind] / of_kind[kind]
        log.info("%s: %d / %d = %.4g pass", kind, passed[kind], of_kind[kind], share)
    log.info(
        "onnx %s: %d applicable, %d on the host, %d excluded",
        onnx.__version__,
        *(kinds[kind] for kind in ("applicable", "host", "excluded")),
    )
    if chosen.json:
        figures = {
            "onnx": onnx.__version__,
            **{kind: kinds[kind] for kind in ("applicable", "host", "excluded")},
            "run": len(results),
            "passed": len(results) - len(failed),
            "host_run": of_kind["host"],
            "host_passed": passed["host"],
            "tolerance": tolerance,
            "errors": {result.name: result.error for result in results if not result.failure},
            "failures": {result.name: result.failure for result in failed},
        }
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(bool(failed))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
