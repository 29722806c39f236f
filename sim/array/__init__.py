"""The array protocol, and the array on the device model."""

from .errors import ArrayError, Unsupported
from .protocol import Array, Limits
from .simulated import SimulatedArray

__all__ = ["Array", "ArrayError", "Limits", "SimulatedArray", "Unsupported"]
