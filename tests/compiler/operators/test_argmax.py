"""ArgMax and ArgMin: places, not values."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_axes(held, operator, axis, keepdims):
    held.agrees(held.node(operator, ["x"], axis=axis, keepdims=keepdims), [2, 3, 4])


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_of_equal_values_the_first_or_the_last_counts(held, operator, last):
    node = held.node(operator, ["x"], axis=1, select_last_index=last)
    network = held.agrees(node, [1, 5])
    row = np.array([[0.0, 2.0, 1.0, 2.0, 0.0]])
    assert network.forward(row if operator == "ArgMax" else -row).item() == (3 if last else 1)


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
def test_on_the_engine(held, operator):
    held.runs(held.node(operator, ["x"], axis=1, keepdims=0), [1, 6, 5], tolerance=0.0)


def test_an_axis_that_is_not_there_is_refused(held):
    """By the model checker of ONNX, or by the handler where it lets it pass."""
    with pytest.raises(Exception, match="axis|Axis"):
        held.agrees(held.node("ArgMax", ["x"], axis=4), [1, 5])
