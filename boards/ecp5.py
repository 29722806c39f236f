"""What the Lattice ECP5 has, by size."""

from __future__ import annotations

from collections.abc import Mapping

from .budget import ECP5_SHAPES, Budget

BUDGETS: Mapping[str, Budget] = {
    size: Budget(luts, luts, blocks, ECP5_SHAPES, multipliers)
    for size, luts, blocks, multipliers in (
        ("12F", 12_000, 32, 28),
        ("25F", 24_000, 56, 28),
        ("45F", 44_000, 108, 72),
        ("85F", 84_000, 208, 156),
    )
}
"""ECP5 and ECP5-5G Family Data Sheet (Lattice FPGA-DS-02012), Table 1.1, in its thousands."""
