"""Operators of quantised models."""

from __future__ import annotations

from ..lowering import Handler, Node, Unsupported


def refuse_dynamic(node: Node) -> None:
    """DynamicQuantizeLinear: a scale of each sample has no place in a program."""
    raise Unsupported(
        "its scale is that of each sample, the program's are those of the calibration; "
        "QuantizeLinear has one that is constant"
    )


HANDLERS = (Handler(("DynamicQuantizeLinear",), refuse_dynamic),)
