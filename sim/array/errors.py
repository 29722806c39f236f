"""What an array refuses."""

from __future__ import annotations

from ...errors import OhmloomError


class ArrayError(OhmloomError, ValueError):
    """A cell, tile or argument that the array does not have or take."""


class Unsupported(OhmloomError, RuntimeError):
    """Something that the array's device has no physics for."""
