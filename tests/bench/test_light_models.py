"""The light models' own weights, and what is said of their figures."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

GOOD = {"model": "resnet50", "seconds": 19.0, "ratio": 2.9, "peak_mb": 1.0, "weights_mb": 1.0}


@pytest.fixture(scope="module")
def bench(benchmark_module):
    return benchmark_module("light_models")


@pytest.fixture(scope="module")
def squeezenet(bench) -> onnx.ModelProto:
    return bench.made("squeezenet", 1)


def test_weights_are_he_normal_from_a_seed(bench, squeezenet):
    weights = {w.name: numpy_helper.to_array(w) for w in squeezenet.graph.initializer}
    kernels = [weights[node.input[1]] for node in squeezenet.graph.node if node.op_type == "Conv"]
    for kernel in kernels:
        wanted = np.sqrt(2 / np.prod(kernel.shape[1:]))
        assert kernel.dtype == np.float32 and kernel.std() == pytest.approx(wanted, rel=0.1)
    again, other = bench.made("squeezenet", 1), bench.made("squeezenet", 2)
    assert again.SerializeToString() == squeezenet.SerializeToString() != other.SerializeToString()


def test_no_constant_is_left(squeezenet):
    assert "ConstantOfShape" not in {node.op_type for node in squeezenet.graph.node}
    onnx.checker.check_model(squeezenet)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({**GOOD, "seconds": 21.0}, "20 s are the bound"),
        ({**GOOD, "ratio": 3.1}, "3.0 is the bound"),
        ({"model": "vgg19", "error": "no"}, "vgg19: no"),
    ],
)
def test_what_is_beyond_the_bounds_is_complained_about(bench, figures, words):
    (complaint,) = bench.complaints(figures)
    assert words in complaint
    assert not bench.complaints(GOOD)


def test_the_line_through_peaks(bench):
    every = [{"weights_mb": w, "peak_mb": 50 + 3 * w} for w in (5.0, 30.0, 100.0, 500.0)]
    begin, slope, explained = bench.line_through([dict(each) for each in every])
    assert begin == pytest.approx(50) and slope == pytest.approx(3)
    assert explained == pytest.approx(1)
    bent = [{"weights_mb": w, "peak_mb": w * w} for w in (5.0, 30.0, 100.0, 500.0)]
    assert bench.line_through([dict(each) for each in bent])[2] < 0.99
