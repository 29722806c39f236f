"""Conv and ConvTranspose: every attribute, alone and together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st


def weight(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@st.composite
def spatial(draw, axes: int):
    """Attributes of windows over some axes, and the size of each axis."""
    lists = st.lists(st.integers(1, 3), min_size=axes, max_size=axes)
    kernel, strides, dilations = draw(lists), draw(lists), draw(lists)
    size = draw(st.lists(st.integers(5, 8), min_size=axes, max_size=axes))
    attributes = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
    auto = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto == "NOTSET":
        attributes["pads"] = draw(st.lists(st.integers(0, 2), min_size=2 * axes, max_size=2 * axes))
    else:
        attributes["auto_pad"] = auto
        if auto != "VALID":  # of which ONNX Runtime knows none with dilations
            attributes["dilations"] = [1] * axes
    return attributes, size


@given(
    data=st.integers(1, 2).flatmap(spatial),
    groups=st.integers(1, 3),
    each=st.integers(1, 2),
    outputs=st.integers(1, 2),
    bias=st.booleans(),
    batch=st.integers(1, 2),
)
def test_conv(held, data, groups, each, outputs, bias, batch):
    attributes, size = data
    reach = [
        d * (k - 1) + 1
        for k, d in zip(attributes["kernel_shape"], attributes["dilations"], strict=True)
    ]
    assume(max(reach) <= min(size))
    weights = {"w": weight(groups * outputs, each, *attributes["kernel_shape"])}
    if bias:
        weights["b"] = weight(groups * outputs)
    node = held.node("Conv", ["x", *weights], group=groups, **attributes)
    held.agrees(node, [batch, groups * each, *size], weights)


@given(
    data=st.integers(1, 2).flatmap(spatial),
    groups=st.integers(1, 2),
    extra=st.integers(0, 1),
    bias=st.booleans(),
)
def test_conv_transpose(held, data, groups, extra, bias):
    attributes, size = data
    axes = len(size)
    assume(attributes.get("auto_pad") != "VALID" or not extra)
    if extra < min(attributes["strides"]):
        attributes["output_padding"] = [extra] * axes
    if attributes.get("auto_pad", "").startswith("SAME"):
        # ONNX Runtime pads only where the kernel reaches as far as the stride.
        attributes["output_padding"] = [0] * axes
        pairs = zip(attributes["kernel_shape"], attributes["strides"], strict=True)
        assume(all(k >= s for k, s in pairs))
    weights = {"w": weight(2 * groups, 2, *attributes["kernel_shape"])}
    if bias:
        weights["b"] = weight(2 * groups)
    node = held.node("ConvTranspose", ["x", *weights], group=groups, **attributes)
    held.agrees(node, [1, 2 * groups, *size], weights)


@pytest.mark.parametrize("auto", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("shape", [[8, 9], [9, 8], [10, 10]])
def test_the_output_shape_of_a_transposed_conv_says_what_is_cut(held, shape, auto):
    node = held.node("ConvTranspose", ["x", "w"], strides=[2, 2], output_shape=shape, auto_pad=auto)
    held.agrees(node, [1, 2, 4, 4], {"w": weight(2, 3, 4, 4)})


def test_same_lower_pads_at_the_begin(held):
    shape, weights = [1, 1, 4, 4], {"w": weight(1, 1, 2, 2)}
    lower = held.node("Conv", ["x", "w"], auto_pad="SAME_LOWER")
    upper = held.node("Conv", ["x", "w"], auto_pad="SAME_UPPER")
    x = np.ones((1, 16))
    networks = [held.agrees(node, shape, weights) for node in (lower, upper)]
    found = [network.forward(x).reshape(4, 4) for network in networks]
    assert not np.allclose(*found)
    np.testing.assert_allclose(found[0][1:, 1:], found[1][:-1, :-1])


def test_three_axes(held):
    node = held.node("Conv", ["x", "w"], strides=[1, 2, 1], pads=[1, 0, 1, 0, 1, 0])
    held.agrees(node, [1, 2, 4, 5, 4], {"w": weight(3, 2, 2, 2, 3)})


def test_depthwise_is_a_matrix_for_each_channel(held):
    node = held.node("Conv", ["x", "w"], group=4, pads=[1, 1, 1, 1])
    network = held.agrees(node, [1, 4, 5, 5], {"w": weight(4, 1, 3, 3)})
    (layer,) = [layer for layer in network.layers if layer.kind == "matrix"]
    assert [(block.outputs, block.inputs) for block in layer.blocks] == [(1, 9)] * 4


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
def test_on_the_engine(held, operator):
    node = held.node(operator, ["x", "w", "b"], strides=[2, 2], pads=[1, 1, 1, 1], group=2)
    weights = {"w": weight(4, 2, 3, 3), "b": weight(4)}
    held.runs(node, [1, 4, 5, 5], weights)


def test_pads_that_leave_nothing_are_refused(held):
    node = held.node("ConvTranspose", ["x", "w"], pads=[4, 4, 4, 4])
    held.refused(node, [1, 2, 4, 4], {"w": weight(2, 2, 2, 2)}, "its output would have the shape")


@pytest.mark.parametrize("bias", [False, True])
def test_places_that_no_tap_reaches_have_the_bias(held, bias):
    weights = {"w": weight(1, 2, 1, 1)} | ({"b": weight(2)} if bias else {})
    node = held.node("ConvTranspose", ["x", *weights], strides=[2, 2], output_padding=[1, 1])
    held.agrees(node, [1, 1, 3, 3], weights)
    held.runs(node, [1, 1, 3, 3], weights)


def test_computed_weights_are_refused(held):
    nodes = [held.node("Abs", ["x"], "a"), held.node("Conv", ["x", "a"])]
    held.refused(nodes, [2, 2, 3, 3], {}, "a constant is accepted")
