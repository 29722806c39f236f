"""Pins wiggled by hand: frames with every time given in clock cycles."""

from dataclasses import dataclass

import pytest
from amaranth.sim import Simulator


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


def read_bank(dut, clk_hz, cycles, idle, codes, *outputs):
    """Play pin cycles to a bank of converters: ``(words per data line, fault code)``.

    A bit is taken before each falling edge of the serial clock. The values of ``outputs`` at
    the end follow.
    """
    lines = [[] for _ in range(len(dut.dout))]
    fault = []

    async def bench(ctx):
        for i, code in enumerate(codes):
            ctx.set(dut.codes[i], code)
        before, shown = idle, 0
        for pins in cycles:
            if before["sclk"] and not pins["sclk"]:
                for i, bits in enumerate(lines):
                    bits.append(shown >> i & 1)
            for name, level in pins.items():
                ctx.set(getattr(dut, name), level)
            before, shown = pins, ctx.get(dut.dout)
            await ctx.tick()
        fault.extend(ctx.get(output) for output in (dut.fault, *outputs))

    sim = Simulator(dut)
    sim.add_clock(1 / clk_hz)
    sim.add_testbench(bench)
    sim.run()
    words = [
        [int("".join(map(str, bits[k : k + 16])), 2) for k in range(0, len(bits), 16)]
        for bits in lines
    ]
    return words, *fault


@pytest.fixture
def shape() -> Shape:
    """A frame that keeps every part's minima at 200 MHz."""
    return Shape()
