"""Operators of quantised models: integers as ONNX Runtime makes them, with the model's scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from ohmloom.compiler.errors import TargetError, UnsupportedOperatorsError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.layers import Block, Matrix, WeightedSum
from ohmloom.compiler.lowering import Coding
from ohmloom.compiler.options import Options
from ohmloom.compiler.pipeline import compile_model
from ohmloom.compiler.runner import build_engine, dequantise_output, quantise_input
from ohmloom.compiler.scales import WHOLE, Scale
from ohmloom.hw.geometry import Geometry
from ohmloom.sim.converters import Converters
from ohmloom.sim.devices import load

U8, I8 = TensorProto.UINT8, TensorProto.INT8
QONNX = "qonnx.custom_op.general"
DEVICE = load("ideal:256")
CONVERTERS = Converters.counting(DEVICE.g_lsb, DEVICE.v_read)
GEOMETRY = Geometry(tiles=64, program_depth=1 << 14, param_depth=1 << 14, act_depth=1 << 14)
SCALES = {
    "s": np.float32(0.05),
    "z": np.uint8(120),
    "t": np.float32(0.11),
    "o": np.uint8(100),
}
"""Of two tensors of uint8."""


class Net:
    """Models from ``x`` to ``y`` of any types, and what is made of them."""

    def __init__(self, folder) -> None:
        self.path = folder / "model.onnx"

    def save(
        self,
        nodes: list[onnx.NodeProto],
        weights: dict[str, Any],
        shape: tuple[int, ...],
        types: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
        rank: int = 2,
        opset: int = 21,
    ) -> None:
        domains = {node.domain for node in nodes} - {""}
        model = helper.make_model(
            helper.make_graph(
                nodes,
                "test",
                [helper.make_tensor_value_info("x", types[0], shape)],
                [helper.make_tensor_value_info("y", types[1], [None] * rank)],
                [
                    w if isinstance(w, TensorProto) else numpy_helper.from_array(np.asarray(w), n)
                    for n, w in weights.items()
                ],
            ),
            opset_imports=[
                helper.make_opsetid("", opset),
                *(helper.make_opsetid(domain, 1) for domain in sorted(domains)),
            ],
            ir_version=10,
        )
        onnx.save(model, self.path)

    def run(self, x: np.ndarray, **options: Any) -> np.ndarray:
        """What the engine gives for samples, with conversions that round nothing."""
        chosen = Options(tia_range=0, golden_samples=1, host=False, **options)
        compiled = compile_model(self.path, DEVICE, x, GEOMETRY, chosen, CONVERTERS)
        trace = build_engine(compiled).infer(quantise_input(compiled, x))
        return dequantise_output(compiled, trace.output)

    def expected(self, x: np.ndarray) -> np.ndarray:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        session = ort.InferenceSession(str(self.path), options, ["CPUExecutionProvider"])
        return np.stack([np.asarray(session.run(None, {"x": one[None]})[0])[0] for one in x])

    def equals(self, x: np.ndarray, **options: Any) -> None:
        """Integers equal to those of ONNX Runtime."""
        expected = self.expected(x)
        found = self.run(x, **options).reshape(expected.shape)
        assert np.array_equal(found, expected.astype(np.float32))
        assert np.ptp(expected) > 10

    def refused(self, *words: str) -> None:
        with pytest.raises(UnsupportedOperatorsError) as caught:
            load_model(self.path, host=False)
        for word in words:
            assert word in str(caught.value)


def only_block(net: Net) -> Block:
    """The one matrix of a model that begins with it."""
    first = load_model(net.path).layers[0]
    assert isinstance(first, Matrix) and len(first.blocks) == 1
    return first.blocks[0]


def reference(net: Net, x: np.ndarray, *operators: type[OpRun]) -> np.ndarray:
    """The model's output by ONNX's own reference, with further operators."""
    made = ReferenceEvaluator(str(net.path), new_ops=list(operators)).run(None, {"x": x})
    assert isinstance(made, list)
    return np.asarray(made[0])


@pytest.fixture
def net(tmp_path) -> Net:
    return Net(tmp_path)


def node(op: str, inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"{op} {output}", **attributes)


def integers(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, True)


# -- operators on integers ----------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "kind"), [(np.uint8, U8), (np.int8, I8)])
def test_qlinear_conv_pads_with_the_zero_point(net, dtype, kind):
    weights = {
        **{"xs": np.float32(0.03), "xz": dtype(17), "ys": np.float32(0.9), "yz": dtype(99)},
        "w": integers((3, 2, 3, 3), np.int8, 1),
        "ws": np.array([0.02, 0.013, 0.007], np.float32),
        "wz": np.zeros(3, np.int8),
        "b": np.array([1000, -2000, 3], np.int32),
    }
    conv = node("QLinearConv", "x xs xz w ws wz ys yz b", pads=[1, 1, 1, 1])
    net.save([conv], weights, (1, 2, 5, 5), (kind, kind), 4)
    net.equals(integers((4, 2, 5, 5), dtype))


@pytest.mark.parametrize("zero", [0, 77])
def test_qlinear_matmul_with_weights_about_any_zero_point(net, zero):
    weights = {
        **{"xs": np.float32(0.03), "xz": np.uint8(128), "ys": np.float32(1.7), "yz": np.uint8(90)},
        **{"w": integers((7, 5), seed=2), "ws": np.float32(0.02), "wz": np.uint8(zero)},
    }
    net.save([node("QLinearMatMul", "x xs xz w ws wz ys yz")], weights, (1, 7), (U8, U8))
    net.equals(integers((9, 7)))


def test_matmul_integer_is_whole_numbers(net):
    weights = {
        "xz": np.uint8(100),
        "w": (integers((6, 4), np.int8, 3) // 4).astype(np.int8),
        "wz": np.int8(2),
    }
    made = [node("MatMulInteger", "x w xz wz")]
    net.save(made, weights, (1, 6), (U8, TensorProto.INT32))
    net.equals(integers((9, 6)))
    assert load_model(net.path).layers[-1].pin == WHOLE


def test_sums_that_are_too_large_for_a_word_are_refused(net):
    weights = {"w": np.full((6, 4), 127, np.int8)}
    net.save([node("MatMulInteger", "x w")], weights, (1, 6), (U8, TensorProto.INT32))
    with pytest.raises(TargetError, match=r"to 194310 .* words hold -32768 to"):
        net.run(np.full((1, 6), 255, np.uint8))


def test_conv_integer_and_a_cast_behind_it(net):
    weights = {"w": (integers((2, 1, 2, 2), np.int8, 3) // 2).astype(np.int8), "xz": np.uint8(3)}
    made = [
        node("ConvInteger", "x w xz", "i"),
        node("Cast", "i", to=TensorProto.FLOAT),
    ]
    net.save(made, weights, (1, 1, 4, 4), (U8, TensorProto.FLOAT), 4)
    net.equals(integers((3, 1, 4, 4)))


@pytest.mark.parametrize("constant", [False, True])
def test_sums_matrices_and_means_of_onnx_runtime(net, constant):
    domain = "com.microsoft"
    weights = {
        **SCALES,
        "w": integers((3, 6), np.int8, 4),
        "ws": np.array([0.01, 0.02, 0.03], np.float32),
        "wz": np.zeros(3, np.int8),
        "b": np.array([500, -500, 70], np.int32),
        "c": integers((6,), np.uint8, 8),
    }
    added = "x s z c t o t o" if constant else "x s z x s z t o"
    made = [
        node("QLinearAdd", added, "a", domain=domain),
        node("QGemm", "a t o w ws wz b t o", domain=domain, transB=1),
    ]
    net.save(made, weights, (1, 6), (U8, U8))
    net.equals(integers((9, 6)))


def test_pools_of_integers(net):
    made = [
        node("MaxPool", "x", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("QLinearGlobalAveragePool", "m s z t o", domain="com.microsoft"),
    ]
    net.save(made, SCALES, (1, 2, 4, 4), (U8, U8), 4)
    x = np.arange(8 * 32).reshape(8, 2, 4, 4).astype(np.uint8)
    net.equals(x)


# -- QuantizeLinear and DequantizeLinear --------------------------------------------------


def test_the_input_has_the_scale_of_the_model(net):
    made = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "d")]
    net.save(
        [*made, node("MatMul", "d w")], {**SCALES, "w": np.eye(4, 3, dtype=np.float32)}, (1, 4)
    )
    network = load_model(net.path)
    assert network.input_pin == Scale(float(np.float32(0.05)), 120, 8)
    assert [layer.kind for layer in network.layers] == ["matrix"]


def test_integers_are_those_of_quantize_linear(net):
    net.save([node("QuantizeLinear", "x s z")], SCALES, (1, 6), (TensorProto.FLOAT, U8))
    net.equals(np.random.default_rng(0).normal(0, 3, (8, 6)).astype(np.float32))


def test_other_scales_are_a_sum(net):
    made = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("QuantizeLinear", "d t o"),
    ]
    net.save(made, SCALES, (1, 6), (TensorProto.FLOAT, U8))
    net.equals(np.random.default_rng(0).normal(0, 3, (8, 6)).astype(np.float32))
    assert [layer.kind for layer in load_model(net.path).layers] == ["sum", "sum"]


def test_what_others_read_is_not_changed(net):
    """A tensor with two readers: a bound of one of them is none of the other."""
    made = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("Reshape", "d shape", "e"),
        node("QuantizeLinear", "e s z", "p"),
        node("DequantizeLinear", "p s z", "f"),
        node("Relu", "f", "r"),
        node("Sub", "d r", "m"),
        node("QuantizeLinear", "m s z"),
    ]
    net.save(made, {**SCALES, "shape": np.array([1, 6])}, (1, 6), (TensorProto.FLOAT, U8))
    net.equals(np.random.default_rng(0).normal(0, 3, (8, 6)).astype(np.float32), act_bits=16)


def test_what_is_read_together_and_has_different_scales_is_rescaled(net):
    made = [
        node("QuantizeLinear", "x s z", "p"),
        node("DequantizeLinear", "p s z", "d"),
        node("QuantizeLinear", "x t o", "q"),
        node("DequantizeLinear", "q t o", "e"),
        node("Concat", "d e", "c", axis=1),
        node("MatMul", "c w"),
    ]
    weights = {**SCALES, "w": np.random.default_rng(5).normal(size=(8, 3)).astype(np.float32)}
    net.save(made, weights, (1, 4))
    x = np.random.default_rng(0).normal(0, 2, (8, 4)).astype(np.float32)
    expected = net.expected(x)
    assert np.abs(net.run(x, act_bits=14) - expected).max() < np.ptp(expected) / 500
    kinds = [layer.kind for layer in load_model(net.path).layers]
    assert kinds.count("sum") == 4
    with_pins = [layer.pin for layer in load_model(net.path).layers if layer.pin]
    assert {pin.zero_point for pin in with_pins} == {120, 100}


def quantised_matrix(net: Net, behind: list[onnx.NodeProto], more: dict[str, Any]) -> Matrix:
    """The matrix of a model whose weight is 3 by 4 integers."""
    weights = {
        **SCALES,
        "w": integers((4, 3), np.int8, 6),
        "ws": np.array([0.5, 0.25, 0.1], np.float32),
        "wz": np.zeros(3, np.int8),
        **more,
    }
    made = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("DequantizeLinear", "w ws wz", "v", axis=1),
        node("MatMul", "d v", "m"),
    ]
    net.save([*made, *behind], weights, (1, 4))
    (matrix,) = (one for one in load_model(net.path).layers if isinstance(one, Matrix))
    return matrix


def test_no_factor_goes_into_weights_of_the_model(net):
    matrix = quantised_matrix(net, [node("Mul", "m f")], {"f": np.float32(3)})
    assert np.array_equal(matrix.blocks[0].integers, integers((4, 3), np.int8, 6).T)
    assert isinstance(load_model(net.path).layers[-1], WeightedSum)


def test_an_offset_is_its_bias(net):
    matrix = quantised_matrix(net, [node("Add", "m f")], {"f": np.array([3, 4, 5], np.float32)})
    assert np.array_equal(matrix.blocks[0].bias, [3, 4, 5])
    assert matrix.blocks[0].scale is not None


@pytest.mark.parametrize(
    ("made", "shape", "axis", "weight"),
    [
        (node("Gemm", "x v b", transB=1, alpha=0.5, beta=2.0), (1, 4), 0, (3, 4)),
        (node("Gemm", "x v b"), (1, 4), 1, (4, 3)),
        (node("MatMul", "v x"), (1, 4, 2), 0, (3, 4)),
        (node("MatMul", "x v"), (1, 2, 2, 4), 2, (2, 4, 3)),
        (node("Conv", "x v b", strides=[2, 2]), (1, 4, 5, 5), 0, (3, 4, 2, 2)),
        (node("Conv", "x v b", group=3), (1, 6, 5, 5), 0, (3, 2, 2, 2)),
        (node("ConvTranspose", "x v b", strides=[2, 2]), (1, 4, 3, 3), 1, (4, 3, 2, 2)),
    ],
)
def test_weights_keep_their_integers(net, made, shape, axis, weight):
    weights = {
        "w": integers(weight, np.int8, 6),
        "ws": np.array([0.5, 0.25, 0.1], np.float32),
        "b": np.array([1, -2, 3], np.float32),
    }
    net.save(
        [node("DequantizeLinear", "w ws", "v", axis=axis), made], weights, shape, rank=len(shape)
    )
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    # ONNX Runtime itself makes a float input of some of these integers.
    expected = reference(net, x)
    network = load_model(net.path)
    found = network.forward(x.reshape(1, -1).astype(np.float64)).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    matrices = [layer for layer in network.layers if isinstance(layer, Matrix)]
    blocks = [block for layer in matrices for block in layer.blocks]
    kept = np.concatenate([block.integers.reshape(-1) for block in blocks])
    assert np.isin(kept, weights["w"]).all()
    assert np.isin(weights["w"], kept).all()
    for block in blocks:
        assert block.scale is not None
        assert np.array_equal(block.integers * block.scale[:, np.newaxis], block.weight)


def test_a_scale_along_the_inputs_is_refused(net):
    weights = {**SCALES, "w": integers((4, 3), np.int8), "ws": np.array([1, 2, 3, 4], np.float32)}
    made = [node("DequantizeLinear", "w ws", "v", axis=0), node("MatMul", "x v")]
    net.save(made, weights, (1, 4))
    net.refused("MatMul y", "not one for each output")


def test_blocks_along_the_outputs(net):
    """One scale for two outputs each; more blocks than numbers are refused."""
    weights = {
        "w": integers((4, 4), np.int8, 1),
        "ws": np.tile(np.array([1, 0.5], np.float32), (4, 1)),
    }
    made = [node("DequantizeLinear", "w ws", "v", axis=1, block_size=2), node("MatMul", "x v")]
    net.save(made, weights, (1, 4))
    block = only_block(net)
    assert block.scale is not None and np.array_equal(block.scale, [1, 1, 0.5, 0.5])
    assert np.array_equal(block.integers, weights["w"].T)
    made[0] = node("DequantizeLinear", "w ws", "v", axis=1, block_size=1)
    net.save(made, weights, (1, 4))
    net.refused("scales of blocks of 1")


def test_parts_of_weights(net):
    weights = {"w": integers((4, 6), np.int8, 1), "ws": np.arange(1, 7).astype(np.float32)}
    split = helper.make_node("Split", ["v"], ["a", "b"], name="split", axis=1, num_outputs=2)
    made = [node("DequantizeLinear", "w ws", "v", axis=1), split, node("MatMul", "x b")]
    net.save([*made, node("Identity", "a", "unused")], weights, (1, 4))
    block = only_block(net)
    assert block.scale is not None and np.array_equal(block.scale, [4, 5, 6])
    assert np.array_equal(block.integers, weights["w"][:, 3:].T)


def test_constants_of_any_size_are_refused(net):
    weights = {"w": np.array([[1]], np.int8), "s": np.float32(1), "n": np.array([4, 1 << 24])}
    made = [node("DequantizeLinear", "w s", "v"), node("Tile", "v n", "t"), node("MatMul", "x t")]
    net.save(made, weights, (1, 4), opset=21)
    net.refused("values, up to 16777216 are accepted")


@pytest.mark.parametrize(
    ("made", "shape", "words"),
    [
        ("QGemm x s z w s z b t o", (1, 4), "bias of shape (2,) is not for 3 outputs"),
        ("QGemm x s z c s z b t o", (1, 4), "weight has 1 dimensions"),
        ("QGemm x s z w d z b t o", (1, 4), "scales or the like for"),
        ("QLinearAdd x s z c s z t o", (1, 4), "do not fit each other"),
        ("QLinearAdd c s z c s z t o", (1, 4), "all inputs are constants"),
        ("QLinearGlobalAveragePool x s z t o", (1, 4), "no spatial axis"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(net, made, shape, words):
    op, _, inputs = made.partition(" ")
    weights = {
        **SCALES,
        "w": integers((4, 3)),
        "b": np.array([1, 2], np.int32),
        "c": integers((3,)),
        "d": np.ones((2, 2), np.float32),
    }
    net.save([node(op, inputs, domain="com.microsoft")], weights, shape, (U8, U8))
    net.refused(words)


def test_weights_of_four_bits(net):
    packed = helper.make_tensor("w", TensorProto.INT4, (3, 3), [-8, 7, 0, 1, 2, 3, -4, 5, 6])
    weights = {**SCALES, "w": packed, "ws": np.array([0.5, 0.25, 0.1], np.float32)}
    made = [node("DequantizeLinear", "w ws", "v", axis=1), node("MatMul", "x v")]
    net.save(made, weights, (1, 3))
    block = only_block(net)
    assert np.array_equal(block.integers, np.array([[-8, 7, 0], [1, 2, 3], [-4, 5, 6]]).T)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([node("QuantizeLinear", "x v z", axis=1)], "4 scales, one of an activation"),
        ([node("QuantizeLinear", "x n z")], "a scale of -1, one above 0"),
        ([node("QuantizeLinear", "x s z", "q"), node("Add", "q q")], "is of integers"),
    ],
)
def test_what_is_refused(net, made, words):
    weights = {**SCALES, "v": np.ones(4, np.float32), "n": np.float32(-1)}
    net.save(made, weights, (1, 4), (TensorProto.FLOAT, U8), opset=21)
    net.refused(words)


def test_scales_of_each_sample_are_refused_with_the_reason(held):
    nodes = [
        held.node("DynamicQuantizeLinear", ["x"], "q scale zero"),
        held.node("DequantizeLinear", ["q", "scale", "zero"]),
    ]
    held.refused(nodes, [1, 4], {}, "DynamicQuantizeLinear", "that of each sample")


# -- QONNX --------------------------------------------------------------------------------


class Quant(OpRun):
    """QONNX's operator as its specification has it."""

    op_domain = QONNX

    def _run(self, x, scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND"):
        low = -(2 ** (bits - 1)) + narrow if signed else 0.0
        high = 2 ** (bits - signed) - 1 - (narrow if not signed else 0)
        q = np.rint(np.clip(x / scale + zero, low, high))
        return (((q - zero) * scale).astype(np.float32),)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("narrow", [0, 1])
def test_quant_of_activations_and_weights(net, bits, narrow):
    rng = np.random.default_rng(bits)
    w = rng.normal(size=(4, 6)).astype(np.float32)
    weights = {
        **{"s": np.float32(0.8), "a": np.float32(1.5), "z": np.float32(0), "w": w},
        "ws": (np.abs(w).max(axis=1, keepdims=True) / 2 ** (bits - 1)).astype(np.float32),
        "n": np.float32(bits),
        "n8": np.float32(8),
    }

    def quant(inputs: str, output: str, signed: int) -> onnx.NodeProto:
        return node(
            "Quant", inputs, output, domain=QONNX, signed=signed, narrow=narrow,
            rounding_mode="ROUND",
        )  # fmt: skip

    made = [
        quant("x s z n", "q", 1),
        quant("w ws z n", "v", 1),
        node("Transpose", "v", "t", perm=[1, 0]),
        node("MatMul", "q t", "m"),
        node("Relu", "m", "r"),
        quant("r a z n8", "y", 0),
    ]
    net.save(made, weights, (1, 6))
    x = rng.normal(0, 1.5, (16, 6)).astype(np.float32)
    expected = reference(net, x, Quant)
    assert np.array_equal(net.run(x), expected)
    assert np.ptp(expected) > 1


def test_scales_that_do_not_fit_the_weight_are_refused(net):
    weights = {"w": np.eye(4, dtype=np.float32), "s": np.ones((3, 1), np.float32)}
    more = {"z": np.float32(0), "n": np.float32(4)}
    quant = node("Quant", "w s z n", "v", domain=QONNX, signed=1)
    net.save([quant, node("MatMul", "x v")], {**weights, **more}, (1, 4))
    net.refused("(3, 1) scales or the like for (4, 4) numbers")


def test_other_rounding_is_refused(net):
    quant = node("Quant", "x s z n", domain=QONNX, signed=1, narrow=0, rounding_mode="FLOOR")
    weights = {"s": np.float32(1), "z": np.float32(0), "n": np.float32(4)}
    net.save([quant], weights, (1, 4))
    net.refused("rounding_mode = FLOOR, ROUND is accepted")


def test_operators_of_other_domains_are_refused(net):
    net.save([node("Relu", "x", domain="com.microsoft")], {}, (1, 4))
    net.refused("of domain com.microsoft")


# -- codings ------------------------------------------------------------------------------


def test_codings():
    assert Coding.whole(np.dtype(np.int8)).pin == Scale(1.0, 128, 8)
    assert Coding.whole(np.dtype(np.int32)).pin == WHOLE
    assert Coding(0.5, 0, -(1 << 31), (1 << 31) - 1).pin is None
    assert Coding(0.5, 3, 0, 15).pin == Scale(0.5, 3, 4)
    assert Coding(0.5, 3, 0, 15).limits == (-1.5, 6.0)
    assert not Coding(0.5, 3, 0, 15).narrow
    assert Coding(0.5, 0, -7, 7).narrow
