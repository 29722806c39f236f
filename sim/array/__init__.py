"""The array protocol, and the array on the device model."""

from .errors import ArrayError, Unsupported
from .half_select import HALF_SELECT_MAX, pulse_lines
from .metered import MeteredArray
from .operands import Lines, Operands
from .protocol import Array, Limits
from .simulated import SimulatedArray

__all__ = [
    "HALF_SELECT_MAX",
    "Array",
    "ArrayError",
    "Limits",
    "Lines",
    "MeteredArray",
    "Operands",
    "SimulatedArray",
    "Unsupported",
    "pulse_lines",
]
