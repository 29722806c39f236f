"""What the chip models share: edges, minimum times, and faults that stay."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from amaranth import Const, Module, Mux, Signal, Value

from ....hw.afe.interface import cycles_from_ps

SKIPPED_BITS = 64


class SerialPart(Protocol):
    """A driver file with the limits of its part's serial clock."""

    SCLK_MAX_HZ: int
    SCLK_MIN_HZ: int
    SCLK_HIGH_PERCENT: int
    CS_TO_SCLK_PS: int
    CS_HIGH_PS: int


class Watch:
    """Builds the checks of one model.

    Parameters
    ----------
    m : Module
        The model being elaborated.
    clk_hz : int
        Clock on which the pins are seen.
    fault : Signal
        Sticky fault code; 0 is none.
    skipped : Signal
        Cycles that time jumps have skipped since reset; waits end that much sooner.
    """

    def __init__(self, m: Module, clk_hz: int, fault: Signal, skipped: Signal | None) -> None:
        self.m = m
        self.clk_hz = clk_hz
        self.fault = fault
        self.jumped: Value = Const(0)
        if skipped is not None:
            before = Signal(SKIPPED_BITS, name="skipped_before")
            m.d.sync += before.eq(skipped)
            self.jumped = skipped - before

    def edges(self, pin: Signal, idle: int) -> tuple[Value, Value]:
        """``(rising, falling)`` of a pin that starts at ``idle``, in the cycle of the change."""
        before = Signal(init=idle, name=f"{pin.name}_before")
        self.m.d.sync += before.eq(pin)
        return pin & ~before, ~pin & before

    def too_soon(self, event: Value, minimum_ps: int, name: str, *, armed: bool = False) -> Value:
        """High while less than ``minimum_ps`` has passed since ``event``.

        ``armed``: the time also runs from reset.
        """
        cycles = cycles_from_ps(minimum_ps, self.clk_hz)
        if cycles <= 1:
            return Const(0)
        left = Signal(range(cycles + 1), init=cycles if armed else 0, name=f"{name}_left")
        gone = 1 + self.jumped
        with self.m.If(event):
            self.m.d.sync += left.eq(cycles - 1)
        with self.m.Elif(left != 0):
            self.m.d.sync += left.eq(Mux(left > gone, left - gone, 0))
        return left != 0

    def later(self, event: Value, duration_ps: int, name: str) -> Value:
        """``event`` as many cycles later as still leave what it brings valid within its time."""
        for i in range(cycles_from_ps(duration_ps, self.clk_hz) - 1):
            delayed = Signal(name=f"{name}_{i}")
            self.m.d.sync += delayed.eq(event)
            event = delayed
        return event

    def serial_clock(
        self, part: SerialPart, rise: Value, fall: Value, select: Value, deselect: Value,
        released: Value, code: IntEnum,
    ) -> None:  # fmt: skip
        """Levels, period, lead and gap of a clock whose falling edges count, and the longest
        period while the part is selected, ``released`` low."""
        period_ps = 10**12 // part.SCLK_MAX_HZ
        level_ps = period_ps * part.SCLK_HIGH_PERCENT // 100
        low, high = self.too_soon(fall, level_ps, "low"), self.too_soon(rise, level_ps, "high")
        self.fail((rise & low) | (fall & high), code)
        self.fail(fall & self.too_soon(fall, period_ps, "period"), code)
        slowest = cycles_from_ps(10**12 // part.SCLK_MIN_HZ, self.clk_hz)
        since = Signal(range(slowest + 2))
        self.m.d.sync += since.eq(Mux(fall | released, 1, Mux(since > slowest, since, since + 1)))
        self.fail((since > slowest) & ~released, code)
        lead = self.too_soon(select, part.CS_TO_SCLK_PS, "lead")
        self.fail(fall & (select | lead), code)
        self.fail(select & self.too_soon(deselect, part.CS_HIGH_PS, "gap"), code)

    def fail(self, condition: Value, code: IntEnum) -> None:
        """``code`` stays in ``fault`` from the first time that ``condition`` holds."""
        with self.m.If(condition & (self.fault == 0)):
            self.m.d.sync += self.fault.eq(code)
