"""Quantised networks: every matrix exactly as fractions say, and as ONNX Runtime has it."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, numpy_helper
from onnxruntime.quantization import QuantFormat

from ohmloom.compiler.encoding import SchemeName
from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.sim.devices import load


@pytest.fixture(scope="module")
def bench(benchmark_module) -> ModuleType:
    return benchmark_module("qdq")


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(64, 1, 6, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def models(bench, zoo, samples, tmp_path_factory) -> dict[str, ModelProto]:
    """The small convolutional network as QDQ and as QOperator."""
    path = zoo.save(zoo.cnn(), tmp_path_factory.mktemp("float"))
    return {form.name: bench.quantised(path, samples, form) for form in QuantFormat}


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_every_matrix_is_what_fractions_give(bench, models, samples, form):
    results = bench.check(models[form], samples)
    assert len(results) == 3
    assert bench.passes(results)
    assert sum(result.values for result in results) > 15_000


@pytest.mark.parametrize("which", ["x_zero_point", "r0_zero_point"])
def test_a_zero_point_that_is_off_by_one_is_found(bench, models, samples, which):
    model = models["QDQ"]
    (step, *_) = bench.steps(model)
    before = bench.runtime(model, [step.x], samples)[step.x]
    wrong = ModelProto()
    wrong.CopyFrom(model)
    (tensor,) = (t for t in wrong.graph.initializer if t.name == which)
    zero = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(zero + 1, zero.dtype), which))
    exact = np.moveaxis(bench.reference(step, bench.accumulators(step, before)), -1, 1)
    assert np.array_equal(bench.engine(model, step, before).reshape(exact.shape), exact)
    (planted, *_) = bench.steps(wrong)
    assert planted.y == step.y
    assert not np.array_equal(bench.engine(wrong, planted, before).reshape(exact.shape), exact)


def test_the_judge_itself_can_fail(bench):
    good = bench.Result("y", values=1000, wrong=0, other=0, largest=0, explained=0)
    assert good.passes
    assert not replace(good, wrong=1).passes
    assert not replace(good, values=0).passes
    assert not replace(good, other=1, largest=2, explained=1).passes
    assert not replace(good, other=1, largest=1, explained=0).passes
    few = replace(good, values=1_000_000, other=1, largest=1, explained=1)
    assert bench.passes([good, few])
    assert not bench.passes([good, few, few, *[replace(few, values=1)] * 20])
    assert not bench.passes([])


@pytest.mark.parametrize(
    ("form", "scheme", "slices"),
    [
        ("QDQ", "differential", 1),
        ("QOperator", "differential", 1),
        ("QDQ", "offset", 2),
        ("QDQ", "twos-complement", 2),
    ],
)
def test_a_whole_network_is_within_a_step_of_onnx_runtime(
    bench, models, samples, form, scheme, slices, tmp_path
):
    path = tmp_path / "model.onnx"
    onnx.save(models[form], path)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = np.asarray(session.run(None, {"x": samples})[0])
    options = Options(
        act_bits=16, tia_range=0, golden_samples=1, host=False, scheme=scheme, slices=slices
    )
    compiled = compile_model(path, bench.DEVICE, samples, bench.GEOMETRY, options, bench.CONVERTERS)
    trace = build_engine(compiled).infer(quantise_input(compiled, samples))
    found = dequantise_output(compiled, trace.output).reshape(expected.shape)
    steps = np.abs(found - expected) / compiled.layers[-1].output.scale
    assert steps.max() < 1.5
    assert (steps > 0.5).mean() < 0.02


def test_levels_that_are_too_few_are_refused_with_the_slices_it_takes(models, samples, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(models["QDQ"], path)
    with pytest.raises(
        TargetError, match=r"integer weights need 2 slices of 32 levels, there are 1"
    ):
        compile_model(path, load("ideal:32"), samples)
    single: list[tuple[SchemeName, int]] = [("offset", 2), ("twos-complement", 3)]
    for scheme, slices in single:
        words = f"{scheme} integer weights need {slices} slices of 32 levels"
        with pytest.raises(TargetError, match=words):
            compile_model(path, load("ideal:32"), samples, options=Options(scheme=scheme))
    compiled = compile_model(path, load("ideal:32"), samples, options=Options(slices=2))
    assert compiled.input.zero_point == numpy_helper.to_array(
        next(t for t in models["QDQ"].graph.initializer if t.name == "x_zero_point")
    )
