"""Operators of quantised models: integers with the scales that the model says.

A tensor of integers is held as the values that they stand for, with a ``Coding`` that says
which integers these are. What makes it has the coding's scale, so that the controller's
words are the model's integers less their zero point.
"""

from __future__ import annotations

from math import inf

import numpy as np
import onnx
from onnx import TensorProto

from ..lowering import STANDARD_DOMAINS, Activation, Coding, Handler, Node, Unsupported, Values
from .conv import convolution
from .gemm import product

BITS = 16
"""Of integers, at most; those of sums are whole numbers in a word."""
RUNTIME_DOMAINS = ("com.microsoft",)
EITHER = STANDARD_DOMAINS + RUNTIME_DOMAINS
QONNX_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")


def lower_quantize(node: Node) -> None:
    """QuantizeLinear: the scale of the layer that makes the values, if it has none."""
    if not isinstance(node.value(0), Activation):
        raise Unsupported("its input is a constant")
    if node.attribute("precision", 0) not in (0, TensorProto.FLOAT):
        raise Unsupported("precision is not that of FLOAT")
    wanted = node.attribute("output_dtype", 0)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(wanted) if wanted else np.dtype(np.uint8)
    zero = node.constant(2, np.zeros((), dtype))
    coding = _coding(node.constant(1), zero)
    source = node.activation()
    _emit_from(node, source, node.builder.pinned(node.name, source, coding), coding)


def lower_dequantize(node: Node) -> None:
    """DequantizeLinear: the values of integers; of constants the integers with their scale."""
    value = node.value(0)
    if isinstance(value, Activation):
        zero = node.constant(2, np.zeros((), np.int64))
        # Its type is that of the integers, which the coding has.
        made = _as(node, value, _number(node.constant(1)), _integer(zero))
        _emit_from(node, value, made)
        return
    _limits(value.dtype)
    zero = node.constant(2, np.zeros((), np.int64)).astype(np.float64)
    blocks = int(node.attribute("block_size", 0))
    spread = [
        _spread(array, value.shape, int(node.attribute("axis", 1)), blocks)
        for array in (_scales(node.constant(1)), zero)
    ]
    node.emit_constant((value.astype(np.float64) - spread[1]) * spread[0], spread[0])


def lower_conv(node: Node) -> None:
    """QLinearConv: zero points are padding, which drives nothing."""
    source = node.activation()
    x = _as(node, source, _number(node.constant(1)), _integer(node.constant(2)))
    weight, scale = _weight(node, 3, 4, 5, axis=0)
    bias = None
    if node.has(8):
        # In units of the accumulator, which are float32 products of scales.
        each = scale.reshape(len(scale), -1)[:, 0].astype(np.float32)
        unit = np.float32(_number(node.constant(1))) * each
        bias = _broadcast(node.weights(8), unit.shape) * unit.astype(np.float64)
    made = convolution(node, x, weight, bias, scale)
    _emit_integers(node, made, 6, 7)


def lower_matmul(node: Node) -> None:
    """QLinearMatMul: of a tensor and a constant, on either side."""
    left = isinstance(node.value(0), Activation)
    parts = []
    scale = None
    for position, axis in ((0, -2), (3, -1)):
        value = node.value(position)
        if isinstance(value, Activation):
            own = _number(node.constant(position + 1)), _integer(node.constant(position + 2))
            parts.append(_as(node, value, *own))
        else:
            weight, scale = _weight(node, position, position + 1, position + 2, axis=axis)
            parts.append(weight)
    if scale is None or not (left or isinstance(node.value(3), Activation)):
        raise Unsupported("both factors are computed, one constant is accepted")
    _emit_integers(node, product(node, parts[0], parts[1], scale), 6, 7)


def lower_gemm(node: Node) -> None:
    """QGemm of ONNX Runtime: QLinearMatMul with an int32 bias, and floats without a scale."""
    node.refuse_other(alpha=1.0, transA=0)
    source = node.activation()
    x_scale = _number(node.constant(1))
    x = _as(node, source, x_scale, _integer(node.constant(2)))
    turned = bool(node.attribute("transB", 0))
    weight, scale = _weight(node, 3, 4, 5, axis=0 if turned else -1)
    if weight.ndim != 2:
        raise Unsupported(f"weight has {weight.ndim} dimensions, 2 are accepted")
    if turned:
        weight, scale = weight.T, scale.T
    made = product(node, x, weight, scale)
    if node.has(6):
        units = (np.float32(x_scale) * scale[0].astype(np.float32)).astype(np.float64)
        bias = node.weights(6)
        if bias.size != units.size or made.ndim != 2:
            raise Unsupported(f"bias of shape {bias.shape} is not for {units.size} outputs")
        whole = Activation(made, alone=True)
        bias = bias.reshape(-1) * units
        made = node.builder.scaled(f"{node.name}/C", whole, np.ones(()), bias)
    if node.has(7):
        _emit_integers(node, made, 7, 8)
    else:
        node.emit(made)


def lower_add(node: Node) -> None:
    """QLinearAdd of ONNX Runtime: of tensors and constants."""
    terms, offset = [], np.zeros(())
    for position in (0, 3):
        own = _number(node.constant(position + 1)), _integer(node.constant(position + 2))
        value = node.value(position)
        if isinstance(value, Activation):
            terms.append(_as(node, value, *own))
        else:
            offset = own[0] * (node.weights(position) - own[1])
    if not terms:
        raise Unsupported("all inputs are constants")
    try:
        shape = np.broadcast_shapes(offset.shape, *(term.shape for term in terms))
    except ValueError as error:
        raise Unsupported(f"its shapes do not fit each other: {error}") from error
    terms = [np.broadcast_to(term, shape) for term in terms]
    _emit_integers(node, node.builder.weighted_sum(node.name, terms, offset=offset), 6, 7)


def lower_mean(node: Node) -> None:
    """QLinearGlobalAveragePool of ONNX Runtime."""
    node.refuse_other(channels_last=0)
    x = _as(node, node.activation(), _number(node.constant(1)), _integer(node.constant(2)))
    if x.ndim < 3:
        raise Unsupported(f"values of shape {x.shape} have no spatial axis")
    found = x.reshape(x.shape[0] * x.shape[1], -1)
    made = node.builder.mean(node.name, found, np.full(len(found), float(found.shape[1])))
    _emit_integers(node, made.reshape(*x.shape[:2], *(1,) * (x.ndim - 2)), 3, 4)


def lower_integer_conv(node: Node) -> None:
    """ConvInteger: whole numbers, as many as a word holds."""
    x = _whole(node, node.activation(), 2)
    weight, scale = _whole_weight(node, 1, 3, axis=0)
    _emit_whole(node, convolution(node, x, weight, None, scale))


def lower_integer_matmul(node: Node) -> None:
    """MatMulInteger, likewise."""
    parts, scale = [], None
    for position, axis in ((0, -2), (1, -1)):
        value = node.value(position)
        if isinstance(value, Activation):
            parts.append(_whole(node, value, position + 2))
        else:
            weight, scale = _whole_weight(node, position, position + 2, axis=axis)
            parts.append(weight)
    if scale is None:
        raise Unsupported("both factors are computed, one constant is accepted")
    _emit_whole(node, product(node, parts[0], parts[1], scale))


def lower_cast(node: Node) -> None:
    """Cast of integers to floats."""
    source = node.activation()
    if source.coding is None or node.attribute("to", 0) != TensorProto.FLOAT:
        raise Unsupported("casts other than of integers to FLOAT")
    _emit_from(node, source, node.builder.integers(node.name, source))


def lower_quant(node: Node) -> None:
    """Quant of QONNX: integers and floats again in one."""
    bits = _number(node.constant(3), positive=False)
    signed, narrow = bool(node.attribute("signed", 1)), bool(node.attribute("narrow", 0))
    rounding = str(node.attribute("rounding_mode", "ROUND")).upper()
    if rounding != "ROUND":
        raise Unsupported(f"rounding_mode = {rounding}, ROUND is accepted")
    if bits != int(bits) or not 2 <= bits <= BITS:
        raise Unsupported(f"{bits:g} bits, whole numbers of 2 to {BITS} are accepted")
    low = -(1 << int(bits) - 1) + narrow if signed else 0
    high = (1 << int(bits) - signed) - 1 - (narrow and not signed)
    value = node.value(0)
    if isinstance(value, Activation):
        zero = node.weights(2)
        coding = Coding(_number(node.constant(1)), _integer(zero), low, high)
        _check_zero(coding)
        _emit_from(node, value, node.builder.pinned(node.name, value, coding))
        return
    scale = _broadcast(_scales(node.constant(1)), value.shape)
    zero = _broadcast(node.weights(2), value.shape)
    # As on an activation, in float32.
    quotient = (value.astype(np.float32) / scale.astype(np.float32)).astype(np.float64)
    integers = np.rint(np.clip(quotient + zero, low, high)) - zero
    if (zero != np.rint(zero)).any():
        raise Unsupported("a zero point is no whole number")
    node.emit_constant(integers * scale, scale)


def refuse_dynamic(node: Node) -> None:
    """DynamicQuantizeLinear: a scale of each sample has no place in a program."""
    raise Unsupported(
        "its scale is that of each sample, the program's are those of the calibration; "
        "QuantizeLinear has one that is constant"
    )


# -- integers -----------------------------------------------------------------------------


def _coding(scale: np.ndarray, zero: np.ndarray) -> Coding:
    """Of a tensor of integers, whose type the zero point has."""
    low, high = _limits(zero.dtype)
    if (high - low).bit_length() > BITS:
        raise Unsupported(f"integers of type {zero.dtype}, up to {BITS} bits are accepted")
    coding = Coding(_number(scale), _integer(zero), low, high)
    _check_zero(coding)
    return coding


def _limits(dtype: np.dtype) -> tuple[int, int]:
    """Smallest and largest integer of a type; those of less than a byte are not numpy's own."""
    name = TensorProto.DataType.Name(onnx.helper.np_dtype_to_tensor_dtype(dtype))
    if not name.startswith(("INT", "UINT")):
        raise Unsupported(f"numbers are {name}, integers are accepted")
    bits = int(name.lstrip("UINT"))
    low = 0 if name.startswith("U") else -(1 << bits - 1)
    return low, low + (1 << bits) - 1


def _check_zero(coding: Coding) -> None:
    if not coding.low <= coding.zero <= coding.high:
        raise Unsupported(
            f"zero point {coding.zero} is outside its integers, {coding.low} to {coding.high}"
        )


def _number(array: np.ndarray, *, positive: bool = True) -> float:
    """A scale of a whole tensor."""
    if array.size != 1:
        raise Unsupported(f"{array.size} scales, one of an activation is accepted")
    number = float(array.reshape(-1)[0])
    if positive and not 0 < number < inf:
        raise Unsupported(f"a scale of {number:g}, one above 0 is accepted")
    return number


def _integer(array: np.ndarray) -> int:
    """A zero point of a whole tensor."""
    number = _number(array, positive=False)
    if number != int(number):
        raise Unsupported(f"a zero point of {number:g}, whole numbers are accepted")
    return int(number)


def _scales(array: np.ndarray) -> np.ndarray:
    """Scales of constants, float64."""
    if array.dtype.kind != "f" or not (array > 0).all():
        raise Unsupported("a scale of its constant is not above 0")
    return array.astype(np.float64)


def _spread(array: np.ndarray, shape: tuple[int, ...], axis: int, block: int) -> np.ndarray:
    """Scales or zero points of a tensor, of an axis or of blocks along it, of each number."""
    if array.size == 1:
        return np.broadcast_to(array.reshape(()), shape)
    if not -len(shape) <= axis < len(shape):
        raise Unsupported(f"axis {axis} of a constant of shape {shape}")
    axis %= len(shape)
    if block:
        places = np.arange(shape[axis]) // block
        if block < 0 or array.ndim != len(shape) or shape[axis] > block * array.shape[axis]:
            raise Unsupported(f"{array.shape} scales of blocks of {block} for {shape} numbers")
        array = array.take(places, axis=axis)
    elif array.shape == (shape[axis],):
        array = array.reshape([-1 if n == axis else 1 for n in range(len(shape))])
    return _broadcast(array, shape)


def _broadcast(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scales, zero points or biases of each number."""
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise Unsupported(f"{array.shape} scales or the like for {shape} numbers") from None


def _as(node: Node, tensor: Activation, scale: float, zero: int) -> Values:
    """What the integers of a tensor stand for with a scale and a zero point."""
    if tensor.coding is None:
        raise Unsupported("its input is of floats, QuantizeLinear before it")
    coding = Coding(scale, zero, tensor.coding.low, tensor.coding.high)
    return node.builder.recoded(f"{node.name}/scale", tensor, coding)


def _whole(node: Node, tensor: Activation, zero: int) -> Values:
    """Integers less a zero point."""
    return _as(node, tensor, 1.0, _integer(node.constant(zero, np.zeros((), np.int64))))


def _weight(
    node: Node, position: int, scale: int, zero: int, *, axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """A constant of integers: what they stand for, and the scale of each."""
    integers = node.weights(position)
    found = []
    for array in (_scales(node.constant(scale)), node.weights(zero)):
        if array.ndim > 1 and array.ndim == integers.ndim:
            found.append(_broadcast(array, integers.shape))
        else:
            found.append(_spread(array.reshape(-1), integers.shape, axis, 0))
    return (integers - found[1]) * found[0], found[0]


def _whole_weight(
    node: Node, position: int, zero: int, *, axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """A constant of integers less their zero point, and scales of 1."""
    integers = node.weights(position)
    points = node.weights(zero) if node.has(zero) else np.zeros(())
    if points.ndim < 2:
        points = _spread(points.reshape(-1), integers.shape, axis, 0)
    return integers - _broadcast(points, integers.shape), np.ones(integers.shape)


def _emit_from(node: Node, source: Activation, made: Values, coding: Coding | None = None) -> None:
    """A tensor that may have values of the one that it is made of."""
    own = source.alone or not np.isin(made[made >= 0], source.values).any()
    node.emit(made, of=[Activation(made, own, coding)])


def _emit_integers(node: Node, made: Values, scale: int, zero: int) -> None:
    """A tensor of integers with the node's scale and zero point."""
    coding = _coding(node.constant(scale), node.constant(zero))
    made = node.builder.pinned(f"{node.name}/y", Activation(made, alone=True), coding)
    node.emit(made, coding=coding)


def _emit_whole(node: Node, made: Values) -> None:
    """A tensor of int32 that stand for themselves."""
    coding = Coding.whole(np.dtype(np.int32))
    made = node.builder.pinned(f"{node.name}/y", Activation(made, alone=True), coding)
    node.emit(made, coding=coding)


HANDLERS = (
    Handler(("QuantizeLinear",), lower_quantize, stays=False, domains=EITHER),
    Handler(("DequantizeLinear",), lower_dequantize, stays=False, integers=True, domains=EITHER),
    Handler(("QLinearConv",), lower_conv, stays=False, integers=True),
    Handler(("QLinearMatMul",), lower_matmul, stays=False, integers=True),
    Handler(("QGemm",), lower_gemm, stays=False, integers=True, domains=RUNTIME_DOMAINS),
    Handler(("QLinearAdd",), lower_add, stays=False, integers=True, domains=RUNTIME_DOMAINS),
    Handler(
        ("QLinearGlobalAveragePool",),
        lower_mean,
        stays=False,
        integers=True,
        domains=RUNTIME_DOMAINS,
    ),
    Handler(("ConvInteger",), lower_integer_conv, stays=False, integers=True),
    Handler(("MatMulInteger",), lower_integer_matmul, stays=False, integers=True),
    Handler(("Cast",), lower_cast, integers=True),
    Handler(("Quant",), lower_quant, stays=False, domains=QONNX_DOMAINS),
    Handler(("DynamicQuantizeLinear",), refuse_dynamic),
)
