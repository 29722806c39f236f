"""Operators of quantised models."""

from __future__ import annotations


def test_scales_of_each_sample_are_refused_with_the_reason(held):
    nodes = [
        held.node("DynamicQuantizeLinear", ["x"], "q scale zero"),
        held.node("DequantizeLinear", ["q", "scale", "zero"]),
    ]
    held.refused(nodes, [1, 4], {}, "DynamicQuantizeLinear", "that of each sample")
