"""What can run the RTL in a co-simulation."""

from __future__ import annotations

from enum import StrEnum


class Simulator(StrEnum):
    """All give the same report."""

    ICARUS = "icarus"
    """Icarus Verilog under cocotb."""
    VERILATOR = "verilator"
    """Verilator under cocotb."""
    CXXRTL = "cxxrtl"
    """The design compiled to C++: see ``sim/cosim/fast``."""
