"""What goes wrong on a bench."""

from __future__ import annotations

from ...errors import OhmloomError


class BenchError(OhmloomError, RuntimeError):
    """A controller that is not for this, or something that it did not do, in one sentence."""
