"""The wait before a conversion, which follows the TIA range."""

from __future__ import annotations

from amaranth import Const, Module, Signal, Value

from .afe.interface import FrontEndTiming, cycles_from_ps
from .ranges import RANGE_BITS


def longest_settle_cycles(timing: FrontEndTiming, clk_hz: int) -> int:
    """The longest of these waits."""
    durations = (timing.settle_ps, *timing.range_settle_ps)
    return max(cycles_from_ps(duration, clk_hz) for duration in durations)


def settle_by_range(timing: FrontEndTiming, clk_hz: int) -> tuple[int, ...]:
    """Cycles from ``latch`` to ``convert``, by the number on the range pins.

    A range that the front end does not say anything of takes the longest.
    """
    cycles = [cycles_from_ps(duration, clk_hz) for duration in timing.range_settle_ps]
    missing = (1 << RANGE_BITS) - len(cycles)
    return (*cycles, *[longest_settle_cycles(timing, clk_hz)] * missing)


def settle_cycles(m: Module, timing: FrontEndTiming, clk_hz: int, tia_range: Value) -> Value:
    """Cycles from ``latch`` to ``convert`` in ``tia_range``, two cycles after it has changed.

    Those of :func:`settle_by_range`; a constant where all ranges take the same.
    """
    cycles = settle_by_range(timing, clk_hz)
    longest = longest_settle_cycles(timing, clk_hz)
    if all(count == longest for count in cycles):
        return Const(longest)
    chosen = Signal(RANGE_BITS)
    found = Signal(range(longest + 1), init=longest)
    m.d.sync += [chosen.eq(tia_range), found.eq(longest)]
    with m.Switch(chosen):
        for number, count in enumerate(cycles[: len(timing.range_settle_ps)]):
            with m.Case(number):
                m.d.sync += found.eq(count)
    return found
