"""Scales against ONNX QuantizeLinear, and the 24-bit factor against float32."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.scales import MAX_BITS, MIN_BITS, Scale, fit, mantissa_and_shift

BOUND = st.floats(-1e6, 1e6, width=32)
BITS = st.integers(MIN_BITS, MAX_BITS)


@given(BOUND, BOUND, BITS)
def test_fit_covers_the_range_and_fits_the_word(a, b, bits):
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    scale = fit(a if a < b else b, max(a, b), bits, MAX_BITS)
    assert 0 <= scale.zero_point < 1 << bits
    assert -(1 << MAX_BITS - 1) <= scale.low <= 0 <= scale.high < 1 << MAX_BITS - 1
    ends = scale.dequantise(scale.quantise(np.array([low, 0.0, high])))
    assert ends[1] == 0
    # Half a step of rounding, and up to half a step that the zero point moves the range.
    assert np.abs(ends - [low, 0.0, high]).max() <= scale.scale * 1.01


@given(st.integers(0, (1 << MAX_BITS) - 1), BITS)
def test_planes_hold_every_drive(zero_point, bits):
    scale = Scale(1.0, zero_point % (1 << bits), bits)
    weights = 1 << np.arange(scale.planes)
    if scale.signed:
        weights[-1] *= -1
    for drive in (scale.low, scale.high):
        assert sum(w for p, w in enumerate(weights) if drive >> p & 1) == drive
    fewer = scale.planes - 1
    assert not (scale.low >= -(1 << fewer - 1) and scale.high < 1 << fewer - 1) or not scale.signed


def test_one_sided_range_is_unsigned_and_full():
    scale = fit(0.0, 2.0, 8, 16)
    assert (scale.low, scale.high, scale.planes, scale.signed) == (0, 255, 8, False)


def test_two_sided_range_takes_one_more_bit():
    assert fit(-1.0, 3.0, 8, 16).planes == 9


def test_word_sized_activation_is_symmetric():
    scale = fit(-1.0, 3.0, 16, 16)
    assert (scale.low, scale.high, scale.planes) == (-32768, 32767, 16)


@pytest.mark.parametrize("peak", [0.0, 1e-45, 1e-39])
def test_a_tensor_of_zeros_has_a_usable_scale(peak):
    assert fit(0.0, peak, 8, 16).scale == 1.0


@pytest.mark.parametrize("bits,kind", [(8, TensorProto.UINT8), (16, TensorProto.UINT16)])
def test_same_integers_as_quantize_linear(bits, kind):
    scale = fit(-1.37, 2.91, bits, 32)
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
    graph = helper.make_graph(
        [node],
        "q",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("q", kind, [None])],
        [
            helper.make_tensor("s", TensorProto.FLOAT, [], [scale.scale]),
            helper.make_tensor("z", kind, [], [scale.zero_point]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ties = (np.arange(-40, 40) + 0.5) * scale.scale
    x = np.concatenate([np.random.default_rng(0).normal(0, 2, 5000), ties]).astype(np.float32)
    expected = np.asarray(session.run(None, {"x": x})[0]).astype(np.int64)
    np.testing.assert_array_equal(scale.quantise(x) + scale.zero_point, expected)


@given(st.floats(2.0**-38, 2.0**23, width=32))
def test_factor_is_the_float32_number(factor):
    mantissa, shift = mantissa_and_shift(factor)
    assert 1 << 23 <= mantissa < 1 << 24 and 0 <= shift < 64
    assert math.ldexp(mantissa, -shift) == np.float32(factor)


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0**-60, 2.0**30, math.inf, math.nan])
def test_factor_outside_the_format(factor):
    with pytest.raises(TargetError, match="requantisation factor"):
        mantissa_and_shift(factor)
