"""Nodes that run on the host: collected while a graph is lowered, then put into segments.

A value that the host makes goes to the controller where a node there reads it, if it is a
tensor of floats of a fixed shape. What only the host reads never leaves it: a segment that
needs a value of an earlier one computes it again, unless the controller has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

from .errors import HostError, UnsupportedNode
from .host import NO_NUMBERS, Segment, graphs_in, perform, refusal, session
from .layers import ZERO, Host, Layer, Values
from .lowering import Activation, Builder, Coding, Unsupported, Value

SMALL_VALUES = 1 << 10
"""Constants of no more values are among what shapes are inferred from."""
IR_VERSION = 10
"""That ONNX Runtime knows since the version that is asked for."""
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
BYTES = (TensorProto.UINT8, TensorProto.INT8)
_NOTHING = Segment("", b"", ())
"""In place of a segment until all of them are known."""


def read_by(node: NodeProto) -> list[str]:
    """Names of the tensors that a node reads, those that graphs inside it take included."""
    names = [name for name in node.input if name]
    for graph in graphs_in(node):
        names += sorted(_free(graph))
    return names


def _free(graph: GraphProto) -> set[str]:
    """Names that a graph uses and does not make."""
    made = {value.name for value in graph.input} | {each.name for each in graph.initializer}
    used = {value.name for value in graph.output}
    for node in graph.node:
        used |= set(read_by(node))
        made |= set(node.output)
    return used - made


@dataclass(frozen=True)
class Kind:
    """Type of a tensor's elements, 0 where it is not known, and its shape, if that is fixed."""

    type: int = 0
    shape: tuple[int, ...] | None = None


def kinds(proto: ModelProto, weights: Mapping[str, np.ndarray]) -> dict[str, Kind]:
    """What shape inference says of the tensors of a model whose initialisers are ``weights``."""
    model = ModelProto()
    model.CopyFrom(proto)
    inputs = {value.name for value in model.graph.input}
    for name, values in weights.items():
        tensor = numpy_helper.from_array(values if values.size <= SMALL_VALUES else values[:0])
        if values.size <= SMALL_VALUES:
            tensor.name = name
            model.graph.initializer.append(tensor)
        elif name not in inputs:
            told = helper.make_tensor_value_info(name, tensor.data_type, values.shape)
            model.graph.input.append(told)
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except (shape_inference.InferenceError, ValueError):
        graph = model.graph
    found = {v.name: _kind(v) for v in (*graph.input, *graph.value_info, *graph.output)}
    for name, values in weights.items():
        found[name] = Kind(helper.np_dtype_to_tensor_dtype(values.dtype), values.shape)
    return found


def _kind(value: ValueInfoProto) -> Kind:
    if not value.type.HasField("tensor_type"):
        return Kind()
    tensor = value.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    fixed = tensor.HasField("shape") and min(sizes, default=0) >= 0
    return Kind(tensor.elem_type, tuple(sizes) if fixed else None)


@dataclass
class Hosting:
    """The nodes of a graph that run on the host.

    Attributes
    ----------
    proto:
        The model.
    kinds:
        Of its tensors, as far as they are known.
    builder:
        What its other nodes are lowered to.
    asked:
        Names of tensors that go to the controller wherever they are made: what reads them
        needs tiles, or has a scale of the model's.
    crossing:
        Tensors of the host that may go to the controller, by name.
    demanded:
        Names of those that nodes there read.
    """

    proto: ModelProto
    kinds: dict[str, Kind]
    builder: Builder
    asked: Collection[str]
    crossing: dict[str, Activation] = field(default_factory=dict)
    demanded: set[str] = field(default_factory=set)
    _nodes: list[tuple[NodeProto, UnsupportedNode]] = field(default_factory=list)
    _maker: dict[str, int] = field(default_factory=dict)
    """Of a tensor that the host makes, the node."""
    _outer: dict[str, Value] = field(default_factory=dict)
    """What its nodes read that it does not make."""
    _computed: set[str] = field(default_factory=set)
    """Tensors of the host that depend on the network's input."""

    # -- while nodes are lowered --------------------------------------------------------

    def makes(self, name: str) -> bool:
        """Whether the host makes a tensor."""
        return name in self._maker

    def refusal(self, node: NodeProto) -> str:
        """Why a node cannot run on the host, or nothing."""
        why = next((why for each in (node, *_inside(node)) if (why := refusal(each))), "")
        for name in () if why else read_by(node):
            value = self.builder.values.get(name)
            if not isinstance(value, Activation):
                continue
            if not value.values.size:
                return f"has input '{name}' without values"
            coding = value.coding
            if coding and not _whole(coding) and self._type(name) not in BYTES:
                return f"has input '{name}' of integers that are neither uint8 nor int8"
        return why

    def add(self, node: NodeProto, told: UnsupportedNode) -> None:
        """Let a node run on the host."""
        computed = False
        for name in read_by(node):
            if not self.makes(name):
                self._outer[name] = self.builder.values[name]
                computed |= isinstance(self._outer[name], Activation)
            computed |= name in self._computed
        for name in filter(None, node.output):
            self._maker[name] = len(self._nodes)
            if computed:
                self._computed.add(name)
        self._nodes.append((node, told))

    def offer(self, names: Sequence[str], left: Counter[str]) -> None:
        """Give the builder tensors that the host makes.

        With them go those that nodes to come will ask for: it is one call of the host.

        Raises
        ------
        Unsupported
            If one of them stays on the host.
        """
        for name in names:
            if why := self._at_home(name):
                raise Unsupported(f"input '{name}' is made on the host, {why}")
        crossing = dict(self.crossing)
        for name in self._maker if names else ():
            coming = name in self.asked and left[name] and not self._at_home(name)
            if name not in crossing and (name in names or coming):
                values = self.builder.host(name, _NOTHING, self._settled(name).shape or ())
                alone = self.builder.consumers.get(name, 0) == 1
                crossing[name] = Activation(values, alone)
        self.crossing = crossing
        self.builder.values.update({name: crossing[name] for name in names})

    def _at_home(self, name: str) -> str:
        """Why a tensor stays on the host, or nothing."""
        if name not in self._computed:
            return "from constants alone, more of them than are folded"
        kind = self._settled(name)
        if kind.type not in FLOATS:
            told = TensorProto.DataType.Name(kind.type) if kind.type else "of no type"
            return f"it is {told}, floats go to the controller"
        if kind.shape is None:
            return "with a shape that depends on the values"
        return "" if prod(kind.shape) else "without values"

    def _type(self, name: str) -> int:
        return self.kinds.get(name, Kind()).type or TensorProto.FLOAT

    # -- when all of them are known -----------------------------------------------------

    def finish(self, output: str) -> Values | None:
        """Put the segments together; values of the result if the host makes it.

        Raises
        ------
        HostError
            If the result is no tensor of numbers of a fixed shape.
        """
        result = None
        if self.makes(output) and output not in self.demanded:
            kind = self._settled(output)
            if output not in self._computed or kind.shape is None or not prod(kind.shape):
                raise HostError(
                    f"output '{output}' is made on the host with a shape that depends on the "
                    "values, without values, or from constants alone"
                )
            if kind.type in NO_NUMBERS:
                raise HostError(f"output '{output}' is not of numbers")
            result = self.builder.host(output, _NOTHING, kind.shape, result=True)
            self.crossing[output] = Activation(result)
            self.demanded.add(output)
        name_of = {int(self.crossing[n].values.min()): n for n in self.demanded}
        layers = self.builder.layers
        layers[:] = [x for x in layers if not isinstance(x, Host) or x.first in name_of]
        earlier: set[str] = set()
        for number, group in enumerate(_groups(list(layers))):
            names = [name_of[layer.first] for _, layer in group]
            built = _Built(self, names, earlier)
            segment = built.segment(f"host/{number}", group[0][1].result)
            for which, (place, layer) in enumerate(group):
                layers[place] = replace(layer, segment=segment, output=which, sources=built.sources)
            earlier.update(names)
        return result

    def needed(self, names: Sequence[str], earlier: Collection[str]) -> tuple[list[int], set[str]]:
        """Nodes behind tensors of the host, in order, and what they read from elsewhere."""
        nodes, outer = set[int](), set[str]()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in earlier or not self.makes(name):
                outer.add(name)
            elif self._maker[name] not in nodes:
                nodes.add(self._maker[name])
                waiting += read_by(self._nodes[self._maker[name]][0])
        return sorted(nodes), outer

    def node(self, number: int) -> tuple[NodeProto, UnsupportedNode]:
        """A node, and why it is on the host."""
        return self._nodes[number]

    def outer(self, name: str) -> Value:
        """What a node on the host reads that the host does not make, or gave away."""
        return self.crossing[name] if self.makes(name) else self._outer[name]

    def _settled(self, name: str) -> Kind:
        """Type and shape of a tensor of the host; by running it where nothing else says them."""
        kind = self.kinds.get(name, Kind())
        if kind.type and kind.shape is not None:
            return kind
        made = _Built(self, [name], ())
        ready = session(made.model(0).SerializeToString(), name)
        found: list[np.ndarray] = []
        for seed in range(2):
            rng = np.random.default_rng(seed)
            feed = {n: rng.normal(size=count).astype(np.float32) for n, count in made.inputs}
            found += map(np.asarray, perform(ready, [name], feed, name))
        told = ready.get_outputs()[0]
        if told.type.startswith("tensor("):
            fixed = found[0].shape == found[1].shape
            fixed = fixed and all(isinstance(size, int) for size in told.shape)
            dtype = helper.np_dtype_to_tensor_dtype(found[0].dtype)
            kind = Kind(dtype, found[0].shape if fixed else None)
        self.kinds[name] = kind
        return kind


def _groups(layers: Sequence[Layer]) -> Iterator[list[tuple[int, Host]]]:
    """Places of tensors of the host that follow each other; a result is by itself."""
    group: list[tuple[int, Host]] = []
    for place, layer in enumerate(layers):
        if group and not (isinstance(layer, Host) and not layer.result):
            yield group
            group = []
        if isinstance(layer, Host):
            group.append((place, layer))
    if group:
        yield group


def _inside(node: NodeProto) -> Iterator[NodeProto]:
    for graph in graphs_in(node):
        for each in graph.node:
            yield each
            yield from _inside(each)


def _whole(coding: Coding) -> bool:
    """Whether integers stand for themselves."""
    return (coding.scale, coding.zero) == (1.0, 0)


class _Built:
    """The model of a segment in the making.

    Parameters
    ----------
    hosting :
        The nodes.
    names :
        Tensors that it makes.
    earlier :
        Tensors of segments before it that the controller has.

    Attributes
    ----------
    sources :
        Numbers of the values of each of its inputs.
    inputs :
        Names and sizes of its inputs.
    """

    def __init__(self, hosting: Hosting, names: Sequence[str], earlier: Collection[str]) -> None:
        self._hosting, self._names = hosting, names
        self._chosen, outer = hosting.needed(names, earlier)
        self._outer = {name: hosting.outer(name) for name in sorted(outer)}
        read = [v for v in self._outer.values() if isinstance(v, Activation)]
        bounds: dict[int, tuple[int, int]] = {}
        for each in read:
            numbers = each.values.reshape(-1)
            makers = hosting.builder.makers(numbers)
            for maker in np.unique(makers[numbers >= 0]):
                here = numbers[makers == maker]
                low, high = bounds.get(int(maker), (int(here[0]), int(here[0])))
                bounds[int(maker)] = (min(low, int(here.min())), max(high, int(here.max())))
        self._makers = sorted(bounds)
        self.sources = tuple(range(bounds[m][0], bounds[m][1] + 1) for m in self._makers)
        taken = {n for number in self._chosen for n in self._used(number)} | set(self._outer)
        self._prefix = "words"
        while any(name.startswith(self._prefix) for name in taken):
            self._prefix += "_"
        self.inputs = [
            (f"{self._prefix}/{n}", len(source)) for n, source in enumerate(self.sources)
        ]
        self._made: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def _used(self, number: int) -> list[str]:
        node, _ = self._hosting.node(number)
        inner = [n for each in _inside(node) for n in (*each.input, *each.output)]
        return [*node.input, *node.output, *inner]

    def segment(self, name: str, result: bool) -> Segment:
        """The segment, its outputs in float32 unless they are the network's result."""
        told = tuple(self._hosting.node(number)[1] for number in self._chosen)
        model = self.model(0 if result else TensorProto.FLOAT)
        return Segment(name, model.SerializeToString(), told)

    def model(self, kind: int) -> ModelProto:
        """The model, with outputs of a type, or of the type that they have."""
        hosting, proto = self._hosting, self._hosting.proto
        for name, value in self._outer.items():
            if isinstance(value, Activation):
                self._take(name, value)
            else:
                self._constants.append(self._constant(name, value))
        nodes = [*self._made, *(hosting.node(number)[0] for number in self._chosen)]
        outputs = []
        for name in self._names:
            own = hosting.kinds.get(name, Kind())
            told = name
            if kind and own.type != kind:
                told = f"{self._prefix}/output/{len(outputs)}"
                nodes.append(helper.make_node("Cast", [name], [told], to=kind))
            outputs.append(
                helper.make_tensor_value_info(told, kind or own.type, own.shape)
                if own.type
                else ValueInfoProto(name=told)
            )
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [count])
            for name, count in self.inputs
        ]
        graph = helper.make_graph(nodes, "host", inputs, outputs, self._constants)
        domains = {node.domain for node in graph.node} | {""}
        opsets = [o for o in proto.opset_import if o.domain in domains or o.domain == "ai.onnx"]
        version = min(proto.ir_version, IR_VERSION)
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)

    def _constant(self, name: str, value: np.ndarray) -> TensorProto:
        kind = self._hosting.kinds.get(name, Kind()).type
        if kind:  # handlers compute in double precision
            value = value.astype(helper.tensor_dtype_to_np_dtype(kind))
        return numpy_helper.from_array(value, name)

    def _new(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{self._prefix}/made/{len(self._made)}"
        self._made.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def _fixed(self, values: np.ndarray) -> str:
        name = f"{self._prefix}/constant/{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def _take(self, name: str, tensor: Activation) -> None:
        """Make a tensor of the words that it lies in."""
        numbers = tensor.values
        makers = self._hosting.builder.makers(numbers.reshape(-1)).reshape(numbers.shape)
        own = [m for m in self._makers if (makers == m).any()]
        parts, places, begin = [], np.empty(numbers.shape, np.int64), 0
        for maker in own:
            which = self._makers.index(maker)
            here, source = makers == maker, self.sources[which]
            places[here] = begin + numbers[here] - source.start
            parts.append(self.inputs[which][0])
            begin += len(source)
        if (numbers == ZERO).any():
            places[numbers == ZERO] = begin
            parts.append(self._fixed(np.zeros(1, np.float32)))
            begin += 1
        flat = parts[0] if len(parts) == 1 else self._new("Concat", parts, axis=0)
        order = np.argsort([-abs(step) for step in _steps(places)], kind="stable")
        if np.array_equal(places.transpose(order).reshape(-1), np.arange(begin)):
            shape = [places.shape[axis] for axis in order]
            made = self._new("Reshape", [flat, self._fixed(np.array(shape, np.int64))])
            if list(order) != sorted(order):
                perm = np.argsort(order).tolist()
                made = self._new("Transpose", [made], perm=perm)
        else:
            made = self._new("Gather", [flat, self._fixed(places)], axis=0)
        kind, coding = self._hosting.kinds.get(name, Kind()).type, tensor.coding
        if coding and not _whole(coding):
            dtype = helper.tensor_dtype_to_np_dtype(kind)
            scale = self._fixed(np.array(coding.scale, np.float32))
            zero = self._fixed(np.array(coding.zero, dtype))
            made = self._new("QuantizeLinear", [made, scale, zero])
        elif kind not in (0, TensorProto.FLOAT):
            made = self._new("Cast", [made], to=kind)
        self._made.append(helper.make_node("Identity", [made], [name]))


def _steps(places: np.ndarray) -> list[int]:
    """By how much each axis moves the place; 0 of an axis of one."""
    first = (0,) * places.ndim
    return [
        int(places[tuple(int(a == axis) for a in range(places.ndim))] - places[first])
        if places.shape[axis] > 1
        else 0
        for axis in range(places.ndim)
    ]
