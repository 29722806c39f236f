"""Scales of a quantised model where tensors are read together, and against words."""

from __future__ import annotations

import numpy as np
import pytest

from ohmloom.compiler.errors import TargetError
from ohmloom.compiler.graph import Network
from ohmloom.compiler.layers import Copy, WeightedSum
from ohmloom.compiler.pins import check_words, settled
from ohmloom.compiler.quantise import calibrate, choose_scales
from ohmloom.compiler.scales import WHOLE, Scale, whole

ONE, TWO = Scale(0.5, 10, 8), Scale(0.25, 200, 8)


def scaled(name: str, source: list[int], first: int, pin: Scale | None) -> WeightedSum:
    count = len(source)
    return WeightedSum(
        name=name,
        first=first,
        terms=np.array([source]),
        factors=np.full((1, count), 2.0),
        offset=np.zeros(count),
        pin=pin,
    )


def network(first: Scale | None, second: Scale | None) -> Network:
    """Two tensors of two values, and a copy that reads both."""
    layers = (
        scaled("a", [0, 1], 2, first),
        scaled("b", [1, 0], 4, second),
        Copy(name="c", first=6, source=np.array([4, 2, -1, 5])),
        scaled("d", [6, 7, 8, 9], 10, ONE),
    )
    return Network("x", (2,), layers, (4,), TWO)


def test_without_pins_nothing_is_done():
    plain = network(None, None)
    layers = (*plain.layers[:3], scaled("d", [6, 7, 8, 9], 10, None))
    plain = Network("x", (2,), layers, (4,))
    assert settled(plain) is plain


@pytest.mark.parametrize(("first", "second"), [(ONE, ONE), (None, None)])
def test_what_has_one_scale_stays(first, second):
    made = settled(network(first, second))
    assert [layer.name for layer in made.layers] == ["a", "b", "c", "d"]
    assert made.pins == (TWO, first, second, first, ONE)


@pytest.mark.parametrize(
    ("first", "second", "sums"), [(ONE, TWO, ["c/scale", "c/scale/2"]), (ONE, None, ["c/scale"])]
)
def test_different_scales_go_through_sums(first, second, sums):
    before = network(first, second)
    made = settled(before)
    assert [layer.name for layer in made.layers] == ["a", "b", *sums, "c", "d"]
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert np.array_equal(made.forward(x), before.forward(x))
    # The tensors keep their scales, and what is read together has one.
    ranges = calibrate(made, x.astype(np.float32))
    scales = choose_scales(made, ranges, 8, 16)
    assert scales[1] == ONE
    group = made.same_scale()
    assert len({scales[t] for t in range(len(group)) if group[t] == group[len(sums) + 3]}) == 1
    for layer in made.layers:
        for values in layer.reads:
            assert len({scales[t] for t in made.tensors_of(values)}) == 1


def test_scales_of_the_model_are_taken_as_they_are():
    made = network(ONE, ONE)
    ranges = [(-1e3, 1e3)] * 5
    assert choose_scales(made, ranges, 4, 16) == (TWO, ONE, ONE, ONE, ONE)
    numbers = network(WHOLE, WHOLE)
    assert choose_scales(numbers, ranges, 4, 12)[1:4] == (whole(12),) * 3


def test_integers_have_to_fit_the_words():
    ranges = [(0.0, 0.0)] * 5
    check_words(network(ONE, ONE), ranges, 9)
    with pytest.raises(TargetError, match=r"'x' has integers from -200 to 55 .* hold -128 to 127"):
        check_words(network(ONE, ONE), ranges, 8)
    ranges[2] = (-5.0, 40_000.0)
    with pytest.raises(TargetError, match=r"layer 'b' has integers from -5 to 40000"):
        check_words(network(ONE, WHOLE), ranges, 16)
