"""Gemm and MatMul: constant matrices on either side, and every kind of bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

RNG = np.random.default_rng(3)
W = RNG.normal(size=(6, 4)).astype(np.float32)
B = RNG.normal(size=4).astype(np.float32)


@settings(deadline=None)
@given(
    transposed=st.booleans(),
    alpha=st.floats(-2, 2, width=32),
    beta=st.floats(-2, 2, width=32),
    bias=st.sampled_from([None, (4,), (1, 4), (1,), (5, 1), (5, 4), ()]),
)
def test_gemm(held, transposed, alpha, beta, bias):
    weights = {"w": W.T.copy() if transposed else W}
    if bias is not None:
        weights["b"] = RNG.normal(size=bias).astype(np.float32)
    node = held.node("Gemm", ["x", *weights], transB=int(transposed), alpha=alpha, beta=beta)
    held.agrees(node, [5, 6], weights)


def test_an_omitted_bias(held):
    held.agrees(held.node("Gemm", ["x", "w", ""]), [5, 6], {"w": W})


def test_a_transposed_activation(held):
    held.agrees(held.node("Gemm", ["x", "w"], transA=1), [6, 5], {"w": W})


@pytest.mark.parametrize("trans", [0, 1])
def test_the_constant_is_the_first_factor(held, trans):
    weights = {"w": W if trans else W.T.copy()}
    held.agrees(held.node("Gemm", ["w", "x"], transA=trans), [6, 3], weights)


def test_a_computed_bias(held):
    nodes = [held.node("Abs", ["x"], "a"), held.node("Gemm", ["x", "w", "a"], beta=0.5)]
    held.agrees(nodes, [4, 4], {"w": W[:4]})


@pytest.mark.parametrize(
    ("shape", "weight"),
    [
        ([5, 6], (6, 4)),
        ([2, 5, 6], (6, 4)),
        ([2, 5, 6], (2, 6, 3)),
        ([1, 3, 5, 6], (2, 1, 6, 3)),
        ([5, 6], (6,)),
        ([2, 5, 6], (6,)),
    ],
)
@pytest.mark.parametrize("left", [False, True])
def test_matmul(held, shape, weight, left):
    w = RNG.normal(size=weight).astype(np.float32)
    if left:
        w, shape = (w if w.ndim == 1 else w.swapaxes(-1, -2)), [*shape[:-2], shape[-1], shape[-2]]
    held.agrees(held.node("MatMul", ["w", "x"] if left else ["x", "w"]), shape, {"w": w})


@pytest.mark.parametrize("bias", [B, B[np.newaxis], B[:1], np.float32(0.5)])
def test_a_bias_behind_it_costs_nothing(held, bias):
    nodes = [held.node("MatMul", ["x", "w"], "m"), held.node("Add", ["b", "m"])]
    assert len(held.agrees(nodes, [5, 6], {"w": W, "b": bias}).layers) == 1


def test_a_bias_for_each_row_is_a_sum(held):
    nodes = [held.node("MatMul", ["x", "w"], "m"), held.node("Add", ["m", "b"])]
    held.agrees(nodes, [5, 6], {"w": W, "b": np.arange(5, dtype="f").reshape(5, 1)})


def test_two_activations_are_refused(held):
    held.refused(held.node("MatMul", ["x", "x"]), [5, 5], {}, "both factors are computed")


@pytest.mark.parametrize("bias", [0.5, 100.0])
def test_on_the_engine(held, bias):
    """A bias that is large against the weights makes them no coarser."""
    node = held.node("Gemm", ["x", "w", "b"])
    held.runs(node, [5, 6], {"w": W, "b": np.full(4, bias, "f")}, tolerance=2.0**-9)
