"""A step where it belongs: to the drive."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.sim.devices import load


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("alpha", [0.5, -0.25, 0.0, 3.0, -3.0])
def test_every_drive(tmp_path, bits, alpha):
    """Values that drives have exactly, next to the threshold and everywhere else."""
    path = tmp_path / "model.onnx"
    values = 256
    onnx.save(
        helper.make_model(
            helper.make_graph(
                [helper.make_node("ThresholdedRelu", ["x"], ["y"], alpha=alpha)],
                "test",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, values])],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, values])],
            ),
            opset_imports=[helper.make_opsetid("", 21)],
            ir_version=10,
        ),
        path,
    )
    x = np.linspace(-1, 1, values, dtype=np.float32)[np.newaxis]
    compiled = compile_model(path, load("ideal:256"), x, options=Options(act_bits=bits))
    drives = quantise_input(compiled, x)
    exact = compiled.input.dequantise(drives)
    found = dequantise_output(compiled, build_engine(compiled).infer(drives).output)
    wanted = np.where(exact > np.float32(alpha), exact, 0)
    step = compiled.layers[-1].output.scale
    assert np.abs(found - wanted).max() <= 1.01 * max(step, 0)
