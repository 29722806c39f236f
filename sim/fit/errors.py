"""What can be wrong with measured data, or with what is asked of them."""

from __future__ import annotations

from ...errors import OhmloomError


class FitError(OhmloomError, ValueError):
    """Data that no device can be fitted to: one sentence naming file and place."""
