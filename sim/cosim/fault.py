"""Faults that can be planted in a co-simulation, to show that the comparison sees them."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What to plant."""

    CONDUCTANCE = "conductance"
    """One bit of one cell's G code flips after programming."""
    ADC = "adc"
    """One bit of one ADC code is wrong in one conversion."""
    SETTLING = "settling"
    """The ADC's input filter is slower than its data sheet says: samples come too early."""
