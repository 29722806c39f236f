"""A model before it is lowered: functions inlined, constants folded, BatchNorm in its layer.

The passes are those of onnx-ir and onnxscript. What is ours is what keeps a hostile model
from making them work for ever: inlining is counted first, and nothing is folded whose size
is not known beforehand, nor more than so many values together.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx_ir as ir
from onnx import FunctionProto, ModelProto
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants_ir
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

from .errors import ModelError

MAX_NODES = 10_000
MAX_FOLDED_VALUES = 1 << 26
"""Of all constants that are computed, together."""
ROUNDS = 3
"""What folding has made constant, a rule may use, and the other way round."""

_KEPT = frozenset(("QuantizeLinear", "DequantizeLinear"))
"""Their scales are what a quantised model says of itself."""
_ALWAYS = (
    rules.cast_cast_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
    rules.reshape_reshape_rule,
    rules.mul_by_1_rule,
    rules.div_by_1_rule,
    rules.add_0_rule,
    rules.sub_0_rule,
    rules.successive_relu_rule,
    rules.fuse_batchnorm_into_conv_rule,
    rules.fuse_batchnorm_into_conv_transpose_rule,
    rules.fuse_batchnorm_into_gemm_rule,
)
_SINCE = {
    11: (
        rules.successive_clip_rule,
        rules.successive_clip_relu_rule,
        rules.successive_relu_clip_rule,
        rules.normalize_pad_format_conv_rule,
        rules.fuse_pad_into_conv_rule,
    ),
    13: (rules.unsqueeze_unsqueeze_rule, rules.materialize_reshape_shape_rule),
}
"""Rules that look for inputs which were attributes before that operator set."""


def prepare(
    proto: ModelProto, source: str, weights: dict[str, np.ndarray] | None = None
) -> ModelProto:
    """The same network, simpler; inputs and outputs keep their names.

    Parameters
    ----------
    weights:
        Initialisers by name that the model has as inputs. With it, what the result's
        initialisers would hold is in there afterwards, and nothing else.

    Raises
    ------
    ModelError
        If its functions would become more than 10,000 nodes, or a pass cannot digest it.
    """
    _check_inlined(proto, source)
    try:
        model = ir.serde.deserialize_model(proto)
        given = _give(model.graph, weights or {})
        if weights is not None:
            weights.clear()
        _simplify(model)
        if weights is not None:
            _take(model.graph, weights)
        for value in given:  # which rules and nodes remember for longer than they are used
            value.const_value = None
        return ir.serde.serialize_model(model)
    except Exception as error:
        # Other people's passes raise whatever they meet in a model from outside; it is told
        # in one sentence, and nothing of the model is used.
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = " ".join(str(cause).split()) or type(cause).__name__
        raise ModelError(f"{source} cannot be simplified: {text[:200]}") from error


def _give(graph: ir.Graph, weights: Mapping[str, np.ndarray]) -> list[ir.Value]:
    """Make initialisers of inputs; which they are."""
    given = []
    for value in list(graph.inputs):
        if value.name is not None and value.name in weights:
            value.const_value = ir.tensor(weights[value.name], name=value.name)
            graph.register_initializer(value)
            given.append(value)
    return given


def _take(graph: ir.Graph, weights: dict[str, np.ndarray]) -> None:
    """Take all initialisers from a graph."""
    for name, value in graph.initializers.items():
        if value.const_value is not None:
            weights[name] = value.const_value.numpy()
    for name in weights:
        graph.initializers.pop(name).const_value = None


def _simplify(model: ir.Model) -> None:
    opset = model.opset_imports.get("", 0)
    since = [rule for first, some in _SINCE.items() if opset >= first for rule in some]
    lift = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
    ir.passes.Sequential(
        common.RemoveInitializersFromInputsPass(), common.InlinePass(), lift
    )(model)  # fmt: skip
    # It would take the only node from a branch of an If that gives back what is outside of it.
    inner = len(list(ir.traversal.RecursiveGraphIterator(model.graph))) > len(model.graph)
    rewrite = ir.passes.Sequential(
        RewritePass((*_ALWAYS, *since)),
        *(() if inner else (common.IdentityEliminationPass(),)),
        common.RemoveUnusedNodesPass(),
    )
    budget = _Budget()
    for _ in range(ROUNDS):
        folded = fold_constants_ir(
            model,
            onnx_shape_inference=True,
            input_size_limit=MAX_FOLDED_VALUES,
            output_size_limit=MAX_FOLDED_VALUES,
            should_fold=budget.takes,
        )
        if not (rewrite(model).modified or folded.modified):
            break
    ir.passes.Sequential(
        lift,
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
        common.NameFixPass(),
    )(model)


class _Budget:
    """What may still be computed: memory that no bytes of the file answer for."""

    def __init__(self) -> None:
        self.left = MAX_FOLDED_VALUES

    def takes(self, node: ir.Node) -> bool:
        """Whether a node with constant inputs is computed; then it is paid for."""
        if node.op_type in _KEPT:
            return False
        values = 0
        for output in node.outputs:
            if output.shape is None:
                return False
            sizes = [size for size in output.shape if isinstance(size, int)]
            if len(sizes) < len(output.shape):
                return False
            values += prod(sizes)
        if values > self.left:
            return False
        self.left -= values
        return True


def _check_inlined(proto: ModelProto, source: str) -> None:
    """Refuse functions that call functions until there are too many nodes."""
    functions = {(f.domain, f.name, f.overload): f for f in proto.functions}
    counted: dict[tuple[str, str, str], int] = {}
    open_calls: set[tuple[str, str, str]] = set()

    def size(function: FunctionProto) -> int:
        key = (function.domain, function.name, function.overload)
        if key in open_calls:
            raise ModelError(f"{source} has a function '{function.name}' that calls itself")
        if key not in counted:
            open_calls.add(key)
            counted[key] = sum(map(nodes, function.node))
            open_calls.discard(key)
        return counted[key]

    def nodes(node) -> int:
        called = functions.get((node.domain, node.op_type, node.overload))
        inner = sum(
            nodes(each)
            for attribute in node.attribute
            for graph in (attribute.g, *attribute.graphs)
            for each in graph.node
        )
        return inner + (1 if called is None else size(called))

    try:
        total = sum(map(nodes, proto.graph.node))
    except RecursionError:
        raise ModelError(f"{source} nests functions or graphs too deep") from None
    if total > MAX_NODES:
        raise ModelError(f"{source} has {total} nodes, {MAX_NODES} are accepted")
