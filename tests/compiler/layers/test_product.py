"""Products of values as the engine makes them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.devices import load


def product(folder, x, options, **geometry):
    """What the engine makes of the products of the first half of ``x`` with the second."""
    half = x.shape[1] // 2
    path = folder / "model.onnx"
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    onnx.save(
        helper.make_model(
            helper.make_graph(
                nodes,
                "test",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2 * half])],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, half])],
            ),
            opset_imports=[helper.make_opsetid("", 21)],
            ir_version=10,
        ),
        path,
    )
    target = Geometry(program_depth=1 << 13, param_depth=1 << 14, **geometry)
    compiled = compile_model(path, load("ideal:256"), x, target, options)
    trace = build_engine(compiled).infer(quantise_input(compiled, x))
    return dequantise_output(compiled, trace.output)


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 2.0**-7), (12, 2.0**-10), (16, 2.0**-12)])
@pytest.mark.parametrize("low", [-1.0, 0.0, 0.5])
def test_products(tmp_path, bits, tolerance, low):
    x = np.random.default_rng(bits).uniform(low, 1, (8, 200)).astype(np.float32)
    wanted = x[:, :100] * x[:, 100:]
    found = product(tmp_path, x, Options(act_bits=bits))
    assert np.abs(found - wanted).max() <= tolerance


def test_more_values_than_there_is_room_for_at_once(tmp_path):
    x = np.random.default_rng(0).normal(size=(1, 1200)).astype(np.float32)
    wanted = x[:, :600] * x[:, 600:]
    found = product(tmp_path, x, Options(act_bits=16), act_depth=8192)
    assert np.abs(found - wanted).max() <= 2.0**-10 * np.ptp(wanted)


def test_words_that_are_too_narrow_are_refused(tmp_path):
    x = np.ones((1, 8), np.float32)
    with pytest.raises(TargetError, match="needs activation words of 15 bits"):
        product(tmp_path, x, Options(act_bits=8), act_width=14)
