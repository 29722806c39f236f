"""Pools, and extremes, means and sums along axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st


@st.composite
def windows(draw, axes: int):
    """Attributes of a pool, and the size of each axis."""
    lists = st.lists(st.integers(1, 3), min_size=axes, max_size=axes)
    kernel, strides, dilations = draw(lists), draw(lists), draw(lists)
    size = draw(st.lists(st.integers(5, 9), min_size=axes, max_size=axes))
    attributes = {"kernel_shape": kernel, "strides": strides}
    auto = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto == "NOTSET":
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        assume(max(reach) <= min(size))
        # A pool may not have a window of padding only.
        pads = [draw(st.integers(0, k - 1)) for k in kernel * 2]
        attributes |= {"pads": pads, "dilations": dilations}
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    else:
        attributes["auto_pad"] = auto
        # Where a window is smaller than a step, ONNX Runtime's pools begin behind the first
        # value, its convolutions and others' pools do not.
        assume(all(k >= s for k, s in zip(kernel, strides, strict=True)))
    return attributes, size


@given(data=st.integers(1, 2).flatmap(windows), channels=st.integers(1, 2))
def test_max(held, data, channels):
    attributes, size = data
    held.agrees(held.node("MaxPool", ["x"], **attributes), [2, channels, *size])


@given(data=st.integers(1, 2).flatmap(windows), include=st.integers(0, 1))
def test_average(held, data, include):
    attributes, size = data
    # ONNX Runtime counts padding differently where both are there at once.
    dilated = max(attributes.get("dilations", [1])) > 1
    assume(not (dilated and (include or attributes["ceil_mode"])))
    node = held.node("AveragePool", ["x"], count_include_pad=include, **attributes)
    held.agrees(node, [1, 2, *size])


def test_what_ceil_mode_adds_is_no_padding(held):
    """The last window has two values: its mean is by 2, with padding counted or not."""
    for include in (0, 1):
        node = held.node(
            "AveragePool", ["x"], kernel_shape=[3], strides=[3], ceil_mode=1,
            count_include_pad=include,
        )  # fmt: skip
        network = held.agrees(node, [1, 1, 5])
        np.testing.assert_allclose(network.forward(np.ones((1, 5))), [[1.0, 1.0]])


def test_padding_counts_only_if_it_is_asked_for(held):
    found = []
    for include in (0, 1):
        node = held.node(
            "AveragePool", ["x"], kernel_shape=[2], pads=[1, 0], count_include_pad=include
        )
        found.append(held.agrees(node, [1, 1, 3]).forward(np.ones((1, 3)))[0].tolist())
    assert found == [[1.0, 1.0, 1.0], [0.5, 1.0, 1.0]]


def test_no_window_begins_behind_the_values(held):
    node = held.node(
        "MaxPool", ["x"], kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1, pads=[0, 0, 0, 0]
    )
    held.agrees(node, [1, 1, 2, 2])


@pytest.mark.parametrize("operator", ["GlobalMaxPool", "GlobalAveragePool"])
@pytest.mark.parametrize("shape", [[1, 3, 4], [2, 3, 4, 5]])
def test_global(held, operator, shape):
    held.agrees(held.node(operator, ["x"]), shape)


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum"])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[0], [-1], [1, 2], [2, 0], None])
def test_reduce(held, operator, keepdims, axes):
    weights = {} if axes is None else {"axes": np.array(axes, np.int64)}
    node = held.node(operator, ["x", *weights], keepdims=keepdims)
    held.agrees(node, [2, 3, 4], weights)


@pytest.mark.parametrize("noop", [0, 1])
def test_reduce_over_no_axes(held, noop):
    node = held.node("ReduceSum", ["x", "axes"], noop_with_empty_axes=noop)
    held.agrees(node, [2, 3], {"axes": np.zeros(0, np.int64)})


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [3, 2], "pads": [1, 1, 1, 0]}),
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 3]}),
        ("GlobalAveragePool", {}),
    ],
)
def test_on_the_engine(held, operator, attributes):
    held.runs(held.node(operator, ["x"], **attributes), [1, 2, 6, 6])


def test_windows_of_three_axes_on_the_engine(held):
    """No rectangle: they are laid out, as many at once as memory has room for."""
    held.runs(held.node("AveragePool", ["x"], kernel_shape=[2, 2, 2]), [1, 1, 4, 4, 4])
    held.runs(held.node("ReduceMin", ["x"], axes=[3]), [1, 2, 3, 4], opset=13)


def test_places_of_maxima_are_refused(held):
    node = held.node("MaxPool", ["x"], "y places", kernel_shape=[2, 2])
    both = [node, held.node("Cast", ["places"], "z", to=1)]
    held.refused(both, [1, 1, 4, 4], {}, "the places of the maxima", output="z")
    held.agrees(node, [1, 1, 4, 4])  # nobody reads them


def test_a_window_larger_than_the_values_is_refused(held):
    node = held.node("MaxPool", ["x"], kernel_shape=[1, 3], dilations=[1, 2], auto_pad="VALID")
    held.refused(node, [1, 1, 4, 4], {}, "larger than the values")
