"""Spans of activation memory, and where a network's output is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ohmloom.hw.geometry import Geometry
from ohmloom.hw.image import Image, LayerSpan, Span
from ohmloom.hw.isa import Op, instruction


def test_a_span_indexes_its_words():
    memory = np.arange(20)
    assert memory[Span(3, 4).words].tolist() == [3, 4, 5, 6]
    assert memory[Span(19, 1).words].tolist() == [19]


def test_the_output_is_the_last_layer():
    image = Image(
        geometry=Geometry(),
        code=(instruction(Op.HALT),),
        entries={"setup": 0, "infer": 0},
        params=np.zeros(0, np.uint64),
        tiles=1,
        input=Span(0, 4),
        layers=(LayerSpan("hidden", Span(4, 8)), LayerSpan("out", Span(12, 2))),
    )
    assert image.outputs == (Span(12, 2),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.tiles = 2  # pyright: ignore[reportAttributeAccessIssue]
