"""Engines in Python: what executes a compiled network on the simulated array."""

from .errors import EngineError
from .numpy_engine import NumpyEngine
from .protocol import Engine, Trace

__all__ = ["Engine", "EngineError", "NumpyEngine", "Trace"]
