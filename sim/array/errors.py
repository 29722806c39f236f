"""What an array refuses."""

from __future__ import annotations


class ArrayError(ValueError):
    """A cell, tile or argument that the array does not have or take."""


class Unsupported(RuntimeError):
    """Something that the array's device has no physics for."""
