"""Pins wiggled by hand: frames with every time given in clock cycles."""

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Shape:
    """Times of a frame, in cycles; ``active`` edges are those that take data.

    ``change`` is when data moves to the next bit, after the active edge: it is the
    hold time, and ``period - change`` the set-up time.
    """

    lead: int = 5
    width: int = 5
    period: int = 10
    change: int = 5
    lag: int = 10
    gap: int = 30

    def frame(self, bits: list[int], idle_clock: int) -> list[tuple[int, int, int]]:
        """``(select_n, clock, data)`` of each cycle, then ``gap`` cycles of rest."""
        edges = [self.lead + i * self.period for i in range(len(bits))]
        end = (edges[-1] if edges else self.lead) + self.lag
        cycles = []
        for t in range(end):
            started = [i for i, edge in enumerate(edges) if edge <= t < edge + self.width]
            shown = sum(1 for edge in edges if t >= edge + self.change)
            data = bits[min(shown, len(bits) - 1)] if bits else 0
            cycles.append((0, idle_clock ^ bool(started), data))
        return cycles + [(1, idle_clock, 0)] * self.gap


@pytest.fixture
def shape() -> Shape:
    """A frame that keeps every part's minima at 200 MHz."""
    return Shape()
