"""Gemm and MatMul: the activation times a constant matrix, at every row."""

from __future__ import annotations

import numpy as np

from ..lowering import Activation, Handler, Node, Unsupported, Values


def lower_gemm(node: Node) -> None:
    """``alpha * A' @ B' + beta * C``; A or B is the activation, the other one constant."""
    turned = [bool(node.attribute(name, 0)) for name in ("transA", "transB")]
    rows, columns = (_matrix(node, n, transposed=t) for n, t in enumerate(turned))
    scales = [node.scale(n) for n in (0, 1)]
    of_rows, of_columns = (
        s.T if t and s is not None else s for s, t in zip(scales, turned, strict=True)
    )
    if rows.shape[1] != columns.shape[0]:
        raise Unsupported(f"shapes {rows.shape} and {columns.shape} do not fit each other")
    alpha, beta = float(node.attribute("alpha", 1.0)), float(node.attribute("beta", 1.0))
    scale = of_rows if of_columns is None else of_columns
    inside = alpha if scale is None else 1.0
    made = _product(node, rows, columns, inside, scale)
    if alpha != inside:
        whole = Activation(made, alone=True)
        factor = np.array(alpha)
        made = node.builder.scaled(f"{node.name}/alpha", whole, factor, np.zeros(()))
    if not node.has(2):
        node.emit(made)
        return
    addend = node.value(2)
    if isinstance(addend, Activation):
        node.emit(node.builder.weighted_sum(f"{node.name}/C", [made, addend.values], [1.0, beta]))
        return
    offset = beta * addend.astype(np.float64)
    try:
        np.broadcast_to(offset, made.shape)
    except ValueError:
        raise Unsupported(
            f"bias of shape {offset.shape} is not for a product of shape {made.shape}"
        ) from None
    whole = Activation(made, alone=True)
    node.emit(node.builder.scaled(f"{node.name}/C", whole, np.ones(()), offset))


def _matrix(node: Node, position: int, *, transposed: bool) -> np.ndarray:
    """An input of Gemm: numbers of values, int64, or constants, floats, as it is multiplied."""
    value = node.value(position)
    matrix = value.values if isinstance(value, Activation) else node.matrix(position, 2)
    if matrix.ndim != 2:
        raise Unsupported(f"input of shape {matrix.shape} is no matrix")
    return matrix.T if transposed else matrix


def _product(
    node: Node,
    rows: np.ndarray,
    columns: np.ndarray,
    alpha: float = 1.0,
    scale: np.ndarray | None = None,
) -> np.ndarray:
    """Numbers of the values of ``rows @ columns``, one of which is constant.

    ``scale`` is that of each number of the constant of a quantised model.
    """
    if rows.dtype.kind == "i" and columns.dtype.kind == "f":
        turned = None if scale is None else scale.T
        return node.builder.matrix(node.name, rows, alpha * columns.T, scale=turned)
    if rows.dtype.kind == "f" and columns.dtype.kind == "i":
        return node.builder.matrix(node.name, columns.T, alpha * rows, scale=scale).T
    raise Unsupported("both factors are computed, one constant is accepted")


def lower_matmul(node: Node) -> None:
    """MatMul."""
    a, b = (
        value.values if isinstance(value, Activation) else node.matrix(position)
        for position, value in enumerate((node.value(0), node.value(1)))
    )
    scale = node.scale(0) if a.dtype.kind == "f" else node.scale(1)
    node.emit(product(node, a, b, scale))


def product(node: Node, a: np.ndarray, b: np.ndarray, scale: np.ndarray | None) -> Values:
    """Values of ``a @ b`` of any number of axes: all but the last two are broadcast.

    Parameters
    ----------
    a, b:
        Numbers of values, int64, of one, and constants, float64, of the other.
    scale:
        Of each number of the constant of a quantised model, of its shape.
    """
    left, right = (a[np.newaxis] if a.ndim == 1 else a), (b[:, np.newaxis] if b.ndim == 1 else b)
    if min(a.ndim, b.ndim) == 0 or left.shape[-1] != right.shape[-2]:
        raise Unsupported(f"shapes {a.shape} and {b.shape} do not fit each other")
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*batch, left.shape[-2], right.shape[-1])
    if scale is not None:
        scale = scale.reshape(right.shape if right.dtype.kind == "f" else left.shape)
    if right.dtype.kind == "f" and right.ndim == 2:
        rows = left.reshape(-1, left.shape[-1])
        made = _product(node, rows, right, scale=scale).reshape(shape)
    elif left.dtype.kind == "f" and left.ndim == 2:
        # Every column of every matrix on the right is a position.
        columns = np.moveaxis(right, -2, -1).reshape(-1, right.shape[-2])
        made = node.builder.matrix(node.name, columns, left, scale=scale)
        made = np.moveaxis(made.reshape(*batch, right.shape[-1], left.shape[0]), -1, -2)
    else:
        lefts = np.broadcast_to(left, (*batch, *left.shape[-2:])).reshape(-1, *left.shape[-2:])
        rights = np.broadcast_to(right, (*batch, *right.shape[-2:])).reshape(-1, *right.shape[-2:])
        if scale is None:
            scales = [None] * len(lefts)
        else:
            scales = np.broadcast_to(scale, (*batch, *scale.shape[-2:]))
            scales = scales.reshape(-1, *scale.shape[-2:])
        pairs = zip(lefts, rights, scales, strict=True)
        made = np.stack([_product(node, a, b, scale=s) for a, b, s in pairs])
        made = made.reshape(shape)
    if a.ndim == 1:
        made = made[..., 0, :]
    if b.ndim == 1:
        made = made[..., 0]
    return made


HANDLERS = (
    Handler(("Gemm",), lower_gemm, stays=False),
    Handler(("MatMul",), lower_matmul, stays=False),
)
