"""Lines with resistance: exact currents and voltages of a tile, and estimates with a bound."""

from .bias import Bias, line_volts
from .estimate import Estimate, estimate
from .network import Network, Solution
from .newton import Law, Operating, operate
from .wires import Wires

__all__ = [
    "Bias",
    "Estimate",
    "Law",
    "Network",
    "Operating",
    "Solution",
    "Wires",
    "estimate",
    "line_volts",
    "operate",
]
