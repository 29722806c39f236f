# Amaranth makes the members of a component at run time.
# pyright: reportAttributeAccessIssue=false
"""The Artix-7's PLL: an exact clock from integers.

Source: Artix-7 FPGAs Data Sheet (AMD DS181), "PLL Specification" of the slowest speed grade, for
the ranges; 7 Series FPGAs Clocking Resources (AMD UG472) for the dividers.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from .board import BoardError

VCO_HZ = (800_000_000, 1_600_000_000)
FEEDBACK_MAX = 64
DIVIDER_MAX = 128


def find_dividers(in_hz: int, out_hz: int) -> tuple[int, int]:
    """Feedback multiplier and output divider that make exactly ``out_hz``, VCO as fast as can be.

    Raises
    ------
    BoardError
        If there are none.
    """
    for multiplier in range(min(FEEDBACK_MAX, VCO_HZ[1] // in_hz), 1, -1):
        divider, remainder = divmod(in_hz * multiplier, out_hz)
        if in_hz * multiplier >= VCO_HZ[0] and not remainder and divider <= DIVIDER_MAX:
            return multiplier, divider
    raise BoardError(f"an Artix-7 PLL cannot make {out_hz} Hz exactly from {in_hz} Hz")


class Artix7Clock:
    """Domain ``sync`` of an Artix-7 from an oscillator through its PLL, in reset until it locks.

    Parameters
    ----------
    resource:
        The platform's resource of the oscillator.
    in_hz, out_hz:
        Its frequency, and the one that is made, exactly.
    """

    def __init__(self, resource: str, in_hz: int, out_hz: int) -> None:
        self.resource, self.in_hz, self.out_hz = resource, in_hz, out_hz
        self.multiplier, self.divider = find_dividers(in_hz, out_hz)

    def __call__(self, m: Module, platform: Any) -> None:
        port = platform.request(self.resource, 0, dir="-")
        m.submodules[self.resource] = oscillator = io.Buffer("i", port)
        feedback, made, sync, locked = Signal(), Signal(), Signal(), Signal()
        m.submodules.pll = Instance(
            "PLLE2_BASE",
            p_CLKIN1_PERIOD=1e9 / self.in_hz,
            p_DIVCLK_DIVIDE=1,
            p_CLKFBOUT_MULT=self.multiplier,
            p_CLKOUT0_DIVIDE=self.divider,
            i_CLKIN1=oscillator.i,
            i_CLKFBIN=feedback,
            i_RST=0,
            i_PWRDWN=0,
            o_CLKFBOUT=feedback,
            o_CLKOUT0=made,
            o_LOCKED=locked,
        )
        m.submodules.sync_buffer = Instance("BUFG", i_I=made, o_O=sync)
        platform.add_clock_constraint(sync, self.out_hz)
        m.domains.sync = ClockDomain("sync")
        m.d.comb += ClockSignal().eq(sync)
        m.submodules.reset = ResetSynchronizer(~locked)
