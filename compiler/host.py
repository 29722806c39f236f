"""What runs on the host: parts of a network as small ONNX models, executed by onnxruntime.

A segment takes whole tensors of the controller as flat floats, and makes tensors for it or
the network's result. It keeps nothing from one call to the next, so that the same words
give the same words whoever asks: the numpy engine, a co-simulation or a board.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, shape_inference

from .errors import HostError, UnsupportedNode
from .scales import Scale

if TYPE_CHECKING:
    import onnxruntime

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Whose operators onnxruntime has by itself; no library of others is ever loaded."""
RANDOM = frozenset(
    ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike")
)  # fmt: skip
"""Operators that give something else each time."""
NO_NUMBERS = (
    TensorProto.UNDEFINED, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128,
)  # fmt: skip
"""Types of tensors that are no result; undefined is what is no tensor."""
MAX_NODES = 10_000
MAX_VALUES = 1 << 28
"""Of a tensor, as far as its size is known beforehand."""


@dataclass(frozen=True)
class Segment:
    """A part of a network that runs on the host.

    Attributes
    ----------
    name:
        For messages and the report; unique in the network.
    model:
        Serialised ONNX model: inputs are float32 of shape (values,), and outputs float32
        or, of the network's result, numbers of any type.
    nodes:
        What runs there, and why not on the controller.
    """

    name: str
    model: bytes
    nodes: tuple[UnsupportedNode, ...]

    @cached_property
    def signature(self) -> tuple[dict[str, int], dict[str, int]]:
        """Values of each input and of each output, by their names in the model.

        Raises
        ------
        HostError
            If the model is none that a segment may have.
        """
        graph = checked(self.model, self.name).graph
        inputs, outputs = (
            {v.name: prod(_shape(v)) for v in s} for s in (graph.input, graph.output)
        )
        return inputs, outputs

    @property
    def inputs(self) -> tuple[int, ...]:
        """Values of each input."""
        return tuple(self.signature[0].values())

    @property
    def outputs(self) -> tuple[int, ...]:
        """Values of each output."""
        return tuple(self.signature[1].values())

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """The executor, made when it is first needed.

        Raises
        ------
        HostError
            If the model is none that a segment may have, or onnxruntime does not take it.
        """
        _ = self.signature  # nothing runs that was not checked
        return session(self.model, self.name)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run samples one by one, so that no result depends on how many there are.

        Parameters
        ----------
        inputs:
            Each of shape (n, values).

        Returns
        -------
        The outputs, each of shape (n, values).

        Raises
        ------
        HostError
            If onnxruntime cannot run it, the shape of an output is another one than it
            was, or an output is not a number.
        """
        last = self._last
        if last and all(np.array_equal(a, b) for a, b in zip(last[0], inputs, strict=True)):
            return last[1]
        names, wanted = (list(each) for each in self.signature)
        rows = []
        for sample in range(len(inputs[0])):
            feed = {n: x[sample].astype(np.float32) for n, x in zip(names, inputs, strict=True)}
            rows.append(perform(self.session, wanted, feed, self.name))
        made = []
        for place, (name, count) in enumerate(zip(wanted, self.outputs, strict=True)):
            each = [np.asarray(row[place]).reshape(-1) for row in rows]
            found = next((len(one) for one in each if len(one) != count), count)
            if found != count:
                raise HostError(
                    f"host segment '{self.name}' makes {found} values of '{name}', {count} before: "
                    "its shape depends on the values"
                )
            made.append(np.stack(each) if each else np.empty((0, count), np.float32))
            if made[-1].dtype.kind == "f" and np.isnan(made[-1]).any():
                raise HostError(f"host segment '{self.name}' makes '{name}' not a number")
        self._last[:] = [list(inputs), made]
        return made

    @cached_property
    def _last(self) -> list[Any]:
        """What was run last, and what it made: several layers ask for the same."""
        return []


@dataclass(frozen=True)
class HostStep:
    """A segment with what its words mean.

    Attributes
    ----------
    takes:
        Scale of each input.
    gives:
        Outputs that the controller gets, each by its number and with its scale; none where
        the first one is the network's result.
    """

    segment: Segment
    takes: tuple[Scale, ...]
    gives: tuple[tuple[int, Scale], ...]


class Executor:
    """The host of a compiled network: :class:`~ohmloom.sim.engine.protocol.Host`.

    Parameters
    ----------
    steps :
        Its segments in order.
    """

    def __init__(self, steps: Sequence[HostStep]) -> None:
        self._steps = steps

    def __call__(self, number: int, words: np.ndarray) -> np.ndarray:
        """Words (n, words out) that segment ``number`` makes of words (n, words in), integers.

        Raises
        ------
        HostError
            See :meth:`Segment.run`.
        """
        step = self._steps[number]
        made = _run(step, words)
        parts = [scale.quantise(made[which]) for which, scale in step.gives]
        return np.concatenate(parts, axis=1).astype(np.int64)

    def result(self, words: np.ndarray) -> np.ndarray:
        """The network's result (n, values), as the model gives it, of words (n, words in)."""
        return _run(self._steps[-1], words)[0].copy()


def _run(step: HostStep, words: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum(step.segment.inputs)[:-1]
    parts = np.split(words, ends, axis=1)
    floats = [scale.dequantise(part) for scale, part in zip(step.takes, parts, strict=True)]
    return step.segment.run(floats)


def session(model: bytes, name: str) -> onnxruntime.InferenceSession:
    """An executor of a model on one core, with nothing of its own loaded.

    Raises
    ------
    HostError
        With what onnxruntime says.
    """
    import onnxruntime  # imported where there is something to run: it takes its time

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # Its errors have no class in common, and a model from outside may raise any of them.
        raise HostError(f"onnxruntime refuses host segment '{name}': {_words(error)}") from error


def perform(
    session: onnxruntime.InferenceSession, outputs: Sequence[str], feed: dict[str, Any], name: str
) -> list[Any]:
    """Outputs of one run.

    Raises
    ------
    HostError
        With what onnxruntime says.
    """
    try:
        return list(session.run(list(outputs), feed))
    except Exception as error:
        raise HostError(f"onnxruntime cannot run host segment '{name}': {_words(error)}") from error


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def checked(model: bytes, name: str) -> ModelProto:
    """A segment's model, which may be from outside.

    Raises
    ------
    HostError
        If it is no ONNX model of operators that onnxruntime has, has data outside, functions,
        operators that draw random numbers, tensors that are too large, or inputs and outputs
        of open shapes.
    """

    def refuse(why: str) -> HostError:
        return HostError(f"the model of host segment '{name}' {why}")

    try:
        proto = ModelProto.FromString(model)
    except DecodeError as error:
        raise refuse("is not ONNX or is cut short") from error
    if proto.functions:
        raise refuse("has functions of its own")
    nodes = list(nodes_of(proto.graph))
    if len(nodes) > MAX_NODES:
        raise refuse(f"has {len(nodes)} nodes, {MAX_NODES} are accepted")
    for node in nodes:
        if why := refusal(node):
            raise refuse(f"has a {node.op_type} that {why}")
    for tensor in _tensors(proto.graph):
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
            raise refuse(f"has tensor '{tensor.name}' outside of its file")
        if min(tensor.dims, default=1) < 0 or prod(tensor.dims) > MAX_VALUES:
            raise refuse(f"has tensor '{tensor.name}' of shape {list(tensor.dims)}")
    try:
        checker.check_model(proto)
        inferred = shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        raise refuse(f"is not valid: {_words(error)}") from error
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        if prod(_shape(value)) > MAX_VALUES:
            raise refuse(f"has '{value.name}' of shape {list(_shape(value))}")
    for value in proto.graph.input:
        kind, shape = value.type.tensor_type.elem_type, _shape(value)
        if kind != TensorProto.FLOAT or len(shape) != 1 or shape[0] < 1:
            raise refuse(f"has input '{value.name}', float32 of one dimension is accepted")
    if not proto.graph.input or not proto.graph.output:
        raise refuse("has no inputs or no outputs")
    for value in proto.graph.output:
        kind = value.type.tensor_type.elem_type
        if kind in NO_NUMBERS or min(_shape(value), default=1) < 1:
            raise refuse(f"has output '{value.name}', numbers of a fixed shape are accepted")
    return proto


def refusal(node: NodeProto) -> str:
    """Why a node runs nowhere on the host, or nothing."""
    if node.domain not in DOMAINS:
        return f"is of domain {node.domain}, which onnxruntime has not got"
    if node.op_type in RANDOM or (node.op_type == "Dropout" and len(node.input) > 2):
        return "draws random numbers"
    return ""


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """Nodes of a graph and of the graphs in their attributes."""
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            yield node
            waiting += graphs_in(node)


def graphs_in(node: NodeProto) -> list[GraphProto]:
    """Graphs that a node has as attributes."""
    return [g for a in node.attribute for g in ([a.g] if a.HasField("g") else a.graphs)]


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    waiting = [graph]
    while waiting:
        some = waiting.pop()
        yield from some.initializer
        for sparse in some.sparse_initializer:
            yield sparse.values
            yield sparse.indices
        for node in some.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
            waiting += graphs_in(node)


def _shape(value: Any) -> tuple[int, ...]:
    """Sizes of a tensor, -1 where one is open."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)
