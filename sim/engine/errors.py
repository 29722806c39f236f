"""What an engine refuses."""

from __future__ import annotations

from ...errors import OhmloomError


class EngineError(OhmloomError, ValueError):
    """An image, input or array that the engine cannot execute; names the instruction."""
