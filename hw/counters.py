"""Counters that are loaded: how an iCE40 has them in one logic cell a bit."""

from __future__ import annotations

from amaranth import Mux
from amaranth.hdl import Signal, Value, ValueLike


def count_or_load(
    count: Signal, load: Value, value: ValueLike, step: ValueLike = 1, *, compact: bool
) -> Value:
    """What follows ``count``: ``value`` where ``load``, else ``count + step``.

    The look-up table beside a carry of the iCE40 has the bit, its carry, the addend's bit
    and one input more, for that of ``value``; so the addend has to say what to take, and
    is all ones where nothing looks at the sum. Where not ``compact`` no carry waits for
    ``load``.
    """
    addend = Value.cast(step)
    if compact:
        addend = addend | load.replicate(len(count))
    return Mux(load, value, (count + addend)[: len(count)])
