"""What can be wrong with a device entry or with what is asked of a device."""

from __future__ import annotations

from ...errors import OhmloomError


class DeviceError(OhmloomError, ValueError):
    """A device entry that cannot be used: one sentence naming file and field."""


class ComplianceError(DeviceError):
    """A SET with a compliance current outside the range in which the device is described."""
