"""What can be wrong with a device entry or with what is asked of a device."""

from __future__ import annotations


class DeviceError(ValueError):
    """A device entry that cannot be used: one sentence naming file and field."""


class ComplianceError(DeviceError):
    """A SET with a compliance current outside the range in which the device is described."""
