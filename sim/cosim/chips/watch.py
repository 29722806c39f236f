"""What the chip models share: edges, minimum times, and faults that stay."""

from __future__ import annotations

from enum import IntEnum

from amaranth import Const, Module, Mux, Signal, Value

from ....hw.afe.interface import cycles_from_ps

SKIPPED_BITS = 64


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

    def fail(self, condition: Value, code: IntEnum) -> None:
        """``code`` stays in ``fault`` from the first time that ``condition`` holds."""
        with self.m.If(condition & (self.fault == 0)):
            self.m.d.sync += self.fault.eq(code)
