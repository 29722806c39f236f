"""ONNX file to :class:`~ohmloom.compiler.graph.Network`, treating the file as hostile.

The order matters: sizes and claims are checked before anything is allocated,
external data is read only from the model's own folder, and only then do the ONNX
checker, shape inference, the simplifying passes and the operator handlers see the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    checker,
    numpy_helper,
    shape_inference,
)
from onnx.helper import make_tensor_value_info

from .errors import ModelError, UnsupportedNode, UnsupportedOperatorsError
from .external import load_external
from .graph import Network, finished
from .heap import trim
from .hosting import Hosting, kinds, read_by
from .lowering import STANDARD_DOMAINS, Activation, Builder, Coding, Handler, Node, Unsupported
from .operators import handlers
from .pins import settled
from .prepare import MAX_NODES, prepare

MAX_FILE_BYTES = 1 << 30
"""Of the model and its external weights together: VGG-19 has 574 MB."""
MAX_SAMPLE_VALUES = 1 << 20
SMALL_VALUES = 1 << 10
"""Initialisers of no more values stay in the model: shapes and the like are among them."""
OPSET_MIN = 9
INPUTS = {"FLOAT": None, "UINT8": np.dtype(np.uint8), "INT8": np.dtype(np.int8)}
"""Types of inputs that are accepted; of integers the type, whose range samples have."""
_PACKED = {
    number: 8 // bits
    for bits in (2, 4)
    for name, number in TensorProto.DataType.items()
    if name in (f"INT{bits}", f"UINT{bits}", f"FLOAT{bits}E2M1")
}
"""Types of which several values are stored in a byte, and how many."""


def load_model(
    path: str | Path, shape: Sequence[int] | None = None, *, host: bool = True
) -> Network:
    """Read, check and lower an ONNX file.

    Parameters
    ----------
    shape:
        Of the input, with or without the batch, where the model leaves dimensions open.
    host:
        Whether nodes that have no lowering run on the host; else they are refused.

    Raises
    ------
    ModelError
        If the file is missing, too large, broken, refers to data outside its folder,
        has more than one input or output, or weights that are not finite.
    UnsupportedOperatorsError
        If nodes have no lowering, and cannot run on the host; all of them are listed.
    HostError
        If what runs on the host has no fixed shape, or onnxruntime refuses it.
    """
    path = Path(path)
    source = path.name
    proto = _read(path)
    _check_claims(proto, source)
    _load_external(proto, path, source)
    weights = _taken(proto)
    # What was taken leaves with the old message alone.
    proto = ModelProto.FromString(proto.SerializeToString())
    trim()
    _check_model(proto, source)
    if shape is not None:
        _set_shape(proto, source, shape, weights)
    _check_finite(proto, weights, source, infinite=host)
    _fix_batch(proto, source, weights)
    proto = prepare(proto, source, weights)
    trim()
    _check_finite(proto, weights, source, infinite=host)
    network = _network(proto, source, weights, host=host)
    trim()
    return network


def _read(path: Path) -> ModelProto:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ModelError(f"{path} is not a file")
        if not 0 < size <= MAX_FILE_BYTES:
            raise ModelError(f"{path} has {size} bytes, 1 to {MAX_FILE_BYTES} are accepted")
        return ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX file or is cut short") from error


def _tensors(proto: ModelProto) -> Iterator[TensorProto]:
    """Every dense tensor of the model: of its graphs, the graphs inside, and its functions."""
    waiting: list[GraphProto | FunctionProto] = [proto.graph, *proto.functions]
    while waiting:
        graph = waiting.pop()
        if isinstance(graph, GraphProto):
            yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                yield from attribute.tensors
                waiting += attribute.graphs


def _stored_values(tensor: TensorProto) -> int:
    """Values that a tensor's own data can hold, whatever its shape claims."""
    if tensor.HasField("raw_data"):
        return (
            len(tensor.raw_data) // onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        )
    return max(
        len(tensor.float_data),
        len(tensor.int32_data),
        len(tensor.int64_data),
        len(tensor.double_data),
        len(tensor.uint64_data),
        len(tensor.string_data),
    )


def _check_claims(proto: ModelProto, source: str) -> None:
    """Refuse claims about sizes and places that the file itself does not back."""
    if len(proto.graph.node) > MAX_NODES:
        raise ModelError(f"{source} has {len(proto.graph.node)} nodes, {MAX_NODES} are accepted")
    if proto.graph.sparse_initializer:
        raise ModelError(f"{source} has sparse weights, dense ones are accepted")
    known_types = set(onnx.helper.get_all_tensor_dtypes())
    for tensor in _tensors(proto):
        if tensor.data_type not in known_types:
            raise ModelError(f"{source} tensor '{tensor.name}' has unknown type {tensor.data_type}")
        if tensor.data_location == TensorProto.EXTERNAL:
            continue
        stored = _stored_values(tensor)
        claimed = -(-prod(tensor.dims) // _PACKED.get(tensor.data_type, 1))
        if min(tensor.dims, default=1) < 0 or claimed != stored:
            raise ModelError(
                f"{source} tensor '{tensor.name}' claims shape {list(tensor.dims)} "
                f"but holds {stored} values"
            )


def _load_external(proto: ModelProto, path: Path, source: str) -> None:
    left = MAX_FILE_BYTES - path.stat().st_size
    for tensor in _tensors(proto):
        if tensor.data_location == TensorProto.EXTERNAL:
            left -= load_external(tensor, path.parent, source, left)
        elif tensor.external_data:
            raise ModelError(f"{source} tensor '{tensor.name}' has values inside and outside")


def _taken(proto: ModelProto) -> dict[str, np.ndarray]:
    """Large initialisers by name; the model has inputs in place of them.

    Every pass that takes a message copies it, some of them twice.
    """
    taken: dict[str, np.ndarray] = {}
    inputs = {value.name for value in proto.graph.input}
    small = []
    for tensor in proto.graph.initializer:
        if prod(tensor.dims) <= SMALL_VALUES or not tensor.name or tensor.name in taken:
            small.append(TensorProto.FromString(tensor.SerializeToString()))
            continue
        taken[tensor.name] = numpy_helper.to_array(tensor)
        if tensor.name not in inputs:
            kind, shape = tensor.data_type, list(tensor.dims)
            proto.graph.input.append(make_tensor_value_info(tensor.name, kind, shape))
    if taken:
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(small)
    return taken


def _check_model(proto: ModelProto, source: str) -> None:
    opsets = [o.version for o in proto.opset_import if o.domain in STANDARD_DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if len(opsets) != 1 or not OPSET_MIN <= opsets[0] <= newest:
        raise ModelError(
            f"{source} has operator set {opsets}, one of {OPSET_MIN} to {newest} is accepted"
        )
    try:
        checker.check_model(proto)
        shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        text = " ".join(str(error).split())
        raise ModelError(f"{source} is not a valid ONNX model: {text}") from error


def _check_finite(
    proto: ModelProto, weights: Mapping[str, np.ndarray], source: str, *, infinite: bool
) -> None:
    """Refuse values that are no numbers, or infinite ones unless these may run on the host."""

    def check(name: str, values: np.ndarray) -> None:
        if values.dtype.kind != "f":
            return
        if np.isnan(values).any() if infinite else not np.isfinite(values).all():
            raise ModelError(f"{source} tensor '{name}' has values that are not finite")

    for tensor in _tensors(proto):
        check(tensor.name, numpy_helper.to_array(tensor))
    for name, values in weights.items():
        check(name, values)


def _set_shape(
    proto: ModelProto, source: str, shape: Sequence[int], weights: Mapping[str, np.ndarray]
) -> None:
    """Give the input the dimensions that the model leaves open."""
    for value in _inputs(proto, weights)[:1]:
        dims = value.type.tensor_type.shape.dim
        given = [dim.dim_value for dim in dims]
        whole = [1, *shape] if len(shape) == len(given) - 1 else shape
        fits = len(whole) == len(given) and all(
            want > 0 and have in (0, want) for want, have in zip(whole, given, strict=False)
        )
        if not fits:
            raise ModelError(
                f"{source} input '{value.name}' has shape {given}, 0 where it is open, "
                f"which {list(shape)} is not"
            )
        for dim, size in zip(dims, whole, strict=True):
            dim.dim_value = size


def _inputs(proto: ModelProto, weights: Mapping[str, np.ndarray]) -> list[ValueInfoProto]:
    """Inputs that are not weights."""
    constant = {*weights, *(tensor.name for tensor in proto.graph.initializer)}
    return [value for value in proto.graph.input if value.name not in constant]


def _input(
    proto: ModelProto, source: str, weights: Mapping[str, np.ndarray]
) -> tuple[str, tuple[int, ...], np.dtype | None]:
    """Name, shape and, of integers, type of the one input; a batch of any size is one of 1."""
    inputs = _inputs(proto, weights)
    if len(inputs) != 1 or len(proto.graph.output) != 1:
        raise ModelError(
            f"{source} has {len(inputs)} inputs and {len(proto.graph.output)} outputs, "
            "one of each is accepted"
        )
    tensor = inputs[0].type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type)
    if kind not in INPUTS:
        accepted = ", ".join(INPUTS)
        raise ModelError(f"{source} input '{inputs[0].name}' is {kind}, {accepted} is accepted")
    # A dimension that is symbolic or absent reads as 0.
    sizes = [dim.dim_value for dim in tensor.shape.dim]
    if len(sizes) < 2 or min(sizes[1:]) < 1 or prod(sizes[1:]) > MAX_SAMPLE_VALUES or sizes[0] < 0:
        raise ModelError(
            f"{source} input '{inputs[0].name}' has shape {sizes}, a batch dimension and a fixed "
            f"sample shape of 1 to {MAX_SAMPLE_VALUES} values are accepted"
        )
    return inputs[0].name, (sizes[0] or 1, *sizes[1:]), INPUTS[kind]


def _fix_batch(proto: ModelProto, source: str, weights: Mapping[str, np.ndarray]) -> None:
    """Give the input its batch of one, so that what depends on it can be folded."""
    name, shape, _ = _input(proto, source, weights)
    (value,) = (value for value in proto.graph.input if value.name == name)
    for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    # What was said of the sizes behind it may be of another batch.
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")


def _network(
    proto: ModelProto, source: str, weights: dict[str, np.ndarray], *, host: bool
) -> Network:
    input_name, shape, dtype = _input(proto, source, weights)
    output_name = proto.graph.output[0].name
    consumers = Counter(name for node in proto.graph.node for name in read_by(node))
    consumers[output_name] += 1
    opset = next(o.version for o in proto.opset_import if o.domain in STANDARD_DOMAINS)
    builder = Builder(dict(consumers), opset, prod(shape))
    builder.values.update({t.name: numpy_helper.to_array(t) for t in proto.graph.initializer})
    builder.values.update(weights)
    hosting = _hosting(proto, weights, builder) if host else None
    infinite = {n for n, v in weights.items() if v.dtype.kind == "f" and np.isinf(v).any()}
    weights.clear()  # each goes when the last node that uses it has been lowered
    numbers = np.arange(prod(shape)).reshape(shape)
    coding = None if dtype is None else Coding.whole(dtype)
    builder.values[input_name] = Activation(numbers, consumers[input_name] == 1, coding)
    builder.input_pin = None if coding is None else coding.pin
    _lower_nodes(proto, source, builder, hosting, infinite)
    trim()
    values = hosting.finish(output_name) if hosting else None
    if values is None:
        output = builder.values[output_name]
        if not isinstance(output, Activation) or not output.values.size:
            raise ModelError(f"{source} has no layer between its input and its output")
        values = output.values
        if output.coding is not None:
            values = builder.integers(output_name, output)
    sample = shape[1:] if shape[0] == 1 else shape
    return settled(finished(input_name, sample, builder.layers, values, builder.input_pin))


def _hosting(proto: ModelProto, weights: Mapping[str, np.ndarray], builder: Builder) -> Hosting:
    known = handlers()
    asked = {
        name
        for node in proto.graph.node
        if node.op_type in known and not known[node.op_type].stays
        for name in node.input
    }
    return Hosting(proto, kinds(proto, weights), builder, asked)


def _lower_nodes(
    proto: ModelProto,
    source: str,
    builder: Builder,
    hosting: Hosting | None,
    infinite: set[str],
) -> None:
    """Run every handler; a node behind an unsupported one is only looked up by name.

    ``infinite`` are constants for the host alone.
    """
    unsupported = []
    left = Counter(builder.consumers)
    taken: set[str] = set()
    for number, node in enumerate(proto.graph.node):
        name = f"'{node.name}'" if node.name else f"#{number}"
        unique = node.name or node.op_type
        while unique in taken:
            unique += f"#{number}"
        taken.add(unique)
        read = read_by(node)
        made = [each for each in dict.fromkeys(read) if hosting and hosting.makes(each)]
        ready = all(each in builder.values or each in made for each in read)
        why = _no_handler(node)
        if not why and ready:
            why = _not_finite(node, source, builder, infinite)
        if not why and ready:
            why = _not_lowered(Node(node, unique, builder), made, left, hosting)
        if why and hosting is None:
            unsupported.append(UnsupportedNode(name, node.op_type, why))
        elif why and hosting:
            never = hosting.refusal(node)
            if never:
                told = UnsupportedNode(name, node.op_type, f"{why}; on the host it {never}")
                unsupported.append(told)
            elif ready:
                hosting.add(node, UnsupportedNode(name, node.op_type, why))
        if ready:
            for value in read:
                left[value] -= 1
                if not left[value]:
                    builder.values.pop(value, None)
    if unsupported:
        raise UnsupportedOperatorsError(source, unsupported)


def _no_handler(node: NodeProto) -> str:
    """Why no handler takes such a node, or nothing."""
    known = handlers()
    handler = known.get(node.op_type)
    if node.domain not in (handler.domains if handler else STANDARD_DOMAINS):
        return f"of domain {node.domain}"
    return "" if handler else "no lowering"


def _not_finite(node: NodeProto, source: str, builder: Builder, infinite: set[str]) -> str:
    """Why a node that reads infinite constants is for the host, or nothing.

    What a node makes of constants alone may be infinite too.

    Raises
    ------
    ModelError
        If they are weights.
    """
    found = next((name for name in read_by(node) if name in infinite), None)
    if found is None:
        return ""
    if not handlers()[node.op_type].stays:
        raise ModelError(f"{source} tensor '{found}' has values that are not finite")
    if all(isinstance(builder.values.get(name), np.ndarray) for name in read_by(node)):
        infinite.update(node.output)
        return ""
    return f"input '{found}' has values that are not finite"


def _not_lowered(
    node: Node, made: Sequence[str], left: Counter[str], hosting: Hosting | None
) -> str:
    """Run the handler of a node; why it does not take the node, or nothing.

    ``made`` are the tensors among its inputs that the host makes.
    """
    builder, handler = node.builder, handlers()[node.operator]
    computed = [
        name
        for name in read_by(node.proto)
        if name in made or isinstance(builder.values.get(name), Activation)
    ]
    if made and handler.stays and set(computed) <= set(made):
        return "all that it reads is on the host"
    before, crossing = builder.snapshot(), hosting and hosting.crossing
    try:
        if hosting:
            hosting.offer(made, left)
        _check_types(node.proto, handler, builder)
        handler.lower(node)
    except Unsupported as reason:
        builder.restore(before)
        if hosting and crossing is not None:
            hosting.crossing = crossing
        return str(reason)
    if hosting:
        hosting.demanded.update(made)
    return ""


def _check_types(node: NodeProto, handler: Handler, builder: Builder) -> None:
    """Tensors of integers only for operators that take them."""
    for name in node.input:
        value = builder.values[name] if name else None
        if isinstance(value, Activation) and value.coding and not handler.integers:
            raise Unsupported(f"input '{name}' is of integers, DequantizeLinear before it")
