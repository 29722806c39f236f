"""What an engine refuses."""

from __future__ import annotations


class EngineError(ValueError):
    """An image, input or array that the engine cannot execute; names the instruction."""
