"""What is right, by labels or by floats."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.errors import InputError
from ohmloom.compiler.frontend import load_model
from ohmloom.compiler.judge import Judge, standard_error
from ohmloom.compiler.samples import flat_samples


@pytest.fixture(scope="module")
def network(digits):
    return load_model(digits.model)


def test_floats_are_right_where_nothing_else_is_said(network, digits):
    x = flat_samples(digits.x[:20], network.input_shape, "x", InputError)
    judge = Judge.of(network, x, None)
    assert judge.right(judge.scores).tolist() == [1.0] * 20
    labelled = Judge.of(network, x, np.roll(judge.wanted, 1))
    right = labelled.right(judge.scores)
    assert (right == (judge.wanted == np.roll(judge.wanted, 1))).all() and not right.all()
    with pytest.raises(InputError, match=r"shape \(20,\) are accepted"):
        Judge.of(network, x, np.zeros(19, dtype=np.int64))


def test_the_spread_of_samples_stays_however_many_arrays():
    one = np.array([[1.0, 0.0, 0.0, 1.0]])
    assert standard_error(one) == standard_error(np.repeat(one, 5, axis=0)) == 0.25
    assert standard_error(np.ones((3, 4))) == 0.0
