"""Small ONNX models, the digits example, and compiled networks for the compiler's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from ohmloom.compiler.compiled import Compiled
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.devices import load

LARGE = Geometry(tiles=256, program_depth=1 << 14, param_depth=1 << 15, act_depth=1 << 15)
DIGITS = Path(__file__).parents[2] / "examples" / "digits"


class Zoo:
    """Builders of ONNX models; nothing that they build is checked."""

    @staticmethod
    def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
        return helper.make_node(op, list(inputs), [output], name=f"{op}_{output}", **attributes)

    @staticmethod
    def model(
        nodes: Sequence[NodeProto],
        weights: dict[str, np.ndarray],
        shape: Sequence[int | str] = ("N", 6),
        output: str = "y",
        opset: int = 17,
        rank: int = 2,
    ) -> ModelProto:
        """A model from float input ``x`` of ``shape`` to ``output``."""
        outputs = [None] * rank
        return helper.make_model(
            helper.make_graph(
                list(nodes),
                "test",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
                [helper.make_tensor_value_info(output, TensorProto.FLOAT, outputs)],
                [numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items()],
            ),
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=8,
        )

    @staticmethod
    def save(proto: ModelProto, folder: Path) -> Path:
        path = folder / "model.onnx"
        onnx.save(proto, path)
        return path

    @classmethod
    def mlp(cls, sizes: Sequence[int], seed: int = 0) -> ModelProto:
        """MatMul, Add, Relu, ... without a ReLU at the end, with random weights."""
        rng = np.random.default_rng(seed)
        nodes, weights, tensor = [], {}, "x"
        for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
            weights[f"w{i}"] = rng.normal(0, n_in**-0.5, (n_in, n_out)).astype(np.float32)
            weights[f"b{i}"] = rng.normal(0, 0.2, n_out).astype(np.float32)
            nodes.append(cls.node("MatMul", [tensor, f"w{i}"], f"m{i}"))
            nodes.append(cls.node("Add", [f"m{i}", f"b{i}"], f"a{i}"))
            tensor = f"a{i}"
            if i < len(sizes) - 2:
                nodes.append(cls.node("Relu", [tensor], f"r{i}"))
                tensor = f"r{i}"
        return cls.model(nodes, weights, ("N", sizes[0]), tensor)

    @classmethod
    def cnn(cls, size: int = 6, maps: int = 4, seed: int = 0) -> ModelProto:
        """Convolutions, a residual, a function from a table, both pools, and a matrix."""
        rng = np.random.default_rng(seed)
        shapes = {"k0": (maps, 1, 3, 3), "k1": (maps, maps, 3, 3), "w": (maps, 3)}
        weights = {
            name: (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
            for name, shape in shapes.items()
        }
        weights["b0"] = rng.normal(0, 0.2, maps).astype(np.float32)
        nodes = [
            cls.node("Conv", ["x", "k0", "b0"], "c0", pads=[1, 1, 1, 1]),
            cls.node("Relu", ["c0"], "r0"),
            cls.node("Conv", ["r0", "k1"], "c1", pads=[1, 1, 1, 1]),
            cls.node("Add", ["c1", "r0"], "a"),
            cls.node("HardSwish", ["a"], "s"),
            cls.node("MaxPool", ["s"], "p", kernel_shape=[2, 2], strides=[2, 2]),
            cls.node("GlobalAveragePool", ["p"], "g"),
            cls.node("Flatten", ["g"], "f"),
            cls.node("MatMul", ["f", "w"], "y"),
        ]
        return cls.model(nodes, weights, ("N", 1, size, size))


@dataclass(frozen=True)
class Digits:
    """The example: path of its model, held-out images and labels, calibration images."""

    model: Path
    x: np.ndarray
    y: np.ndarray
    calib: np.ndarray


@pytest.fixture(scope="session")
def zoo() -> type[Zoo]:
    return Zoo


@pytest.fixture(scope="session")
def digits() -> Digits:
    x, y, calib = (np.load(DIGITS / f"{name}.npy") for name in ("test_x", "test_y", "calib_x"))
    return Digits(DIGITS / "digits.onnx", x, y, calib)


@pytest.fixture(scope="session")
def compiled(digits: Digits) -> Compiled:
    """The digits network on the CsPbBr3 device with default options."""
    return compile_model(digits.model, load("cspbbr3_ogb"), digits.calib)


@pytest.fixture(scope="session")
def host_model(tmp_path_factory) -> Path:
    """Conv, Softmax, Gemm, Softmax: the host is between two runs, and at the end."""
    rng = np.random.default_rng(0)
    nodes = [
        Zoo.node("Conv", ["x", "k"], "c"),
        Zoo.node("Softmax", ["c"], "s", axis=1),
        Zoo.node("Flatten", ["s"], "f"),
        Zoo.node("Gemm", ["f", "w"], "g"),
        Zoo.node("Softmax", ["g"], "y", axis=1),
    ]
    weights = {
        "k": rng.normal(0, 0.5, (3, 1, 3, 3)).astype(np.float32),
        "w": rng.normal(0, 0.5, (12, 4)).astype(np.float32),
    }
    return Zoo.save(Zoo.model(nodes, weights, ("N", 1, 4, 4)), tmp_path_factory.mktemp("m"))


@pytest.fixture(scope="session")
def host_samples() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(30, 1, 4, 4)).astype(np.float32)


@pytest.fixture(scope="session")
def on_host(host_model: Path, host_samples: np.ndarray) -> Compiled:
    return compile_model(
        host_model, load("ideal:256"), host_samples, LARGE, Options(slices=2, act_bits=12)
    )
