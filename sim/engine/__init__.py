"""Engines in Python: what executes a compiled network on the simulated array."""

from .accelerator import Accelerator, accelerator_of
from .errors import EngineError
from .numpy_engine import NumpyEngine
from .protocol import Engine, Trace

__all__ = ["Accelerator", "Engine", "EngineError", "NumpyEngine", "Trace", "accelerator_of"]
