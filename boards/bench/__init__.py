"""An array on the bench: the :class:`~ohmloom.sim.array.Array` protocol over the command link."""

from .array import LinkArray
from .errors import BenchError

__all__ = ["BenchError", "LinkArray"]
