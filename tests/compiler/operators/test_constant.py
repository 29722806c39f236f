"""Constant: whichever attribute holds the number."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper


@pytest.mark.parametrize(
    "attribute",
    [
        {"value": numpy_helper.from_array(np.array([1.0, 2.0, 3.0], np.float32))},
        {"value_float": 1.5},
        {"value_floats": [1.0, 2.0, 3.0]},
    ],
)
def test_numbers(held, attribute):
    constant = helper.make_node("Constant", [], ["c"], name="c", **attribute)
    held.agrees([constant, held.node("Add", ["x", "c"])], [2, 3])


@pytest.mark.parametrize("attribute", [{"value_int": 1}, {"value_ints": [1, 0]}])
def test_whole_numbers(held, attribute):
    constant = helper.make_node("Constant", [], ["c"], name="c", **attribute)
    held.agrees([constant, held.node("Gather", ["x", "c"], axis=1)], [2, 3])
