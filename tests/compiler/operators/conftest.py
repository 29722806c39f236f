"""What a lowered operator is held to: ONNX Runtime, in floats and through the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from ohmloom.compiler.errors import UnsupportedOperatorsError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.graph import Network
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.devices import load

FINE = Options(act_bits=16, slices=2, tia_range=1, golden_samples=1, host=False)
LARGE = Geometry(
    tiles=4096, program_depth=1 << 16, param_depth=1 << 16, act_depth=1 << 16, acc_width=64
)
Weights = Mapping[str, np.ndarray]


class Held:
    """Models of a few nodes from ``x`` to ``y``, and how they are checked."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "model.onnx"

    @staticmethod
    def node(op: str, inputs: Sequence[str], outputs: str = "y", **attributes: Any) -> NodeProto:
        return helper.make_node(
            op, list(inputs), outputs.split(), name=f"{op} {outputs}", **attributes
        )

    def save(
        self,
        nodes: NodeProto | Sequence[NodeProto],
        shape: Sequence[int],
        weights: Weights | None = None,
        opset: int = 21,
        output: str = "y",
    ) -> ModelProto:
        nodes = [nodes] if isinstance(nodes, NodeProto) else list(nodes)
        made = [numpy_helper.from_array(np.asarray(w), n) for n, w in (weights or {}).items()]
        model = helper.make_model(
            helper.make_graph(
                nodes,
                "test",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
                [onnx.ValueInfoProto(name=output)],
                made,
            ),
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=10,
        )
        model = shape_inference.infer_shapes(model)
        onnx.save(model, self._path)
        return model

    def load(self) -> Network:
        """The network of the model saved last."""
        return load_model(self._path, host=False)

    def expected(self, x: np.ndarray) -> np.ndarray:
        """What ONNX Runtime makes of the model saved last."""
        options = ort.SessionOptions()
        options.log_severity_level = 4
        session = ort.InferenceSession(str(self._path), options, ["CPUExecutionProvider"])
        return np.asarray(session.run(None, {"x": x})[0])

    def agrees(
        self,
        nodes: NodeProto | Sequence[NodeProto],
        shape: Sequence[int],
        weights: Weights | None = None,
        *,
        seed: int = 0,
        **model: Any,
    ) -> Network:
        """The lowered network gives in floats what ONNX Runtime gives; returns it."""
        self.save(nodes, shape, weights, **model)
        x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        expected = self.expected(x)
        network = load_model(self._path, host=False)
        found = network.forward(x.reshape(1, -1).astype(np.float64)).reshape(-1)
        np.testing.assert_allclose(found, expected.reshape(-1), rtol=1e-5, atol=1e-5)
        assert network.output_shape == expected.shape
        return network

    def runs(
        self,
        nodes: NodeProto | Sequence[NodeProto],
        shape: Sequence[int],
        weights: Weights | None = None,
        *,
        options: Options = FINE,
        tolerance: float = 2.0**-10,
        **model: Any,
    ) -> None:
        """The engine gives what ONNX Runtime gives, within a part of its range."""
        self.save(nodes, shape, weights, **model)
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        expected = self.expected(x).reshape(-1)
        batch = x if shape[0] == 1 else x[np.newaxis]
        compiled = compile_model(self._path, load("ideal:256"), batch, LARGE, options)
        trace = build_engine(compiled).infer(quantise_input(compiled, batch))
        found = dequantise_output(compiled, trace.output).reshape(-1)
        assert np.abs(found - expected).max() <= tolerance * np.ptp(expected)

    def refused(
        self,
        nodes: NodeProto | Sequence[NodeProto],
        shape: Sequence[int],
        weights: Weights | None = None,
        *words: str,
        **model: Any,
    ) -> None:
        """The front end refuses the node with a reason that holds the words."""
        self.save(nodes, shape, weights, **model)
        with pytest.raises(UnsupportedOperatorsError) as caught:
            load_model(self._path, host=False)
        for word in words:
            assert word in str(caught.value)


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return Held(tmp_path_factory.mktemp("operators"))
