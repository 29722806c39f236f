"""Networks that are larger than instructions reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohmloom.cli.steps.targets import SIMULATED, target
from ohmloom.compiler.bundle import load_bundle, write_bundle
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.report import summarise
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.hw.banks import BANKS
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.isa import Op
from ohmloom.sim.devices import load

SIDE = 190
LARGE, _ = target(SIMULATED, 16, 16)
OPTIONS = Options(golden_samples=0, tia_range=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Padding, a convolution, a residual sum and a pool: more words than 2^16."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(2, 1, 3, 3)), "v": rng.normal(size=(2, 2, 1, 1))}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "v"], ["c"]),
            helper.make_node("Add", ["b", "c"], ["d"]),
            helper.make_node("MaxPool", ["d"], ["y"], kernel_shape=[19, 19], strides=[19, 19]),
        ],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 10, 10])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path_factory.mktemp("banks") / "large.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(size=(2, 1, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def compiled(path, images):
    return compile_model(path, load("ideal:256"), images, LARGE, OPTIONS)


def output(compiled, images):
    trace = build_engine(compiled).infer(quantise_input(compiled, images))
    return dequantise_output(compiled, trace.output)


def test_a_large_network_runs_as_its_floats(compiled, path, images):
    assert compiled.image.geometry.banks
    assert any(i.op is Op.SET and i["reg"] in BANKS and i["value"] for i in compiled.image.code)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = np.asarray(session.run(None, {"x": images[:1]})[0]).reshape(-1)
    found = output(compiled, images[:1]).reshape(-1)
    assert np.abs(found - expected).max() < 0.03 * np.ptp(expected)


def test_a_bank_left_out_shows(compiled, images):
    code = list(compiled.image.code)
    begin = compiled.image.entries["infer"]
    at = next(
        n for n in range(begin, len(code))
        if code[n].op is Op.SET and code[n]["reg"] in BANKS and code[n]["value"]
    )  # fmt: skip
    code[at] = replace(code[at], op=Op.NOP, operands={})
    wrong = replace(compiled, image=replace(compiled.image, code=tuple(code)))
    assert (output(wrong, images[:1]) != output(compiled, images[:1])).any()


def test_without_banks_it_is_refused_with_both_numbers(path, images):
    small = Geometry(rows=16, columns=16, tiles=64, act_depth=1 << 16, acc_width=64)
    with pytest.raises(TargetError, match="words of activation memory, the target has 65536"):
        compile_model(path, load("ideal:256"), images, small, OPTIONS)


def test_the_bundle_has_it_all(compiled, images, tmp_path):
    """A bundle without golden vectors, levels of a byte, and the report."""
    loaded = load_bundle(write_bundle(compiled, tmp_path / "large.ohm"))
    assert loaded.image.geometry == compiled.image.geometry
    assert loaded.levels.dtype == np.uint8
    assert not len(loaded.golden.inputs)
    np.testing.assert_array_equal(output(loaded, images[:1]), output(compiled, images[:1]))
    used, there = summarise(compiled)["use"]["activation words"]
    assert 1 << 16 < used <= there


def test_what_fits_has_no_banks():
    digits = Path(__file__).parents[2] / "examples" / "digits"
    calib = np.load(digits / "calib_x.npy")[:16]
    compiled = compile_model(digits / "digits.onnx", load("cspbbr3_ogb"), calib, LARGE, OPTIONS)
    assert not compiled.image.geometry.banks
