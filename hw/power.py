"""What the controller's FPGA takes. Plain Python."""

from __future__ import annotations

from .afe.power import Consumer

STATIC_W = 0.25
CYCLE_J = 5e-9


def controller(clk_hz: int) -> Consumer:
    """The FPGA at a clock, with its regulators left out."""
    return Consumer(
        "controller",
        STATIC_W + CYCLE_J * clk_hz,
        f"assumed: an LFE5U-85F, {STATIC_W:g} W without a clock and {CYCLE_J * 1e9:g} nJ a cycle; "
        "to be measured on a board",
    )
