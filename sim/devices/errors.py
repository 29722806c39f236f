"""What can be wrong with a device entry or with what is asked of a device."""

from __future__ import annotations

from ...errors import OhmloomError


class DeviceError(OhmloomError, ValueError):
    """A device entry that cannot be used: one sentence naming file and field."""


class ComplianceError(DeviceError):
    """A SET with a compliance current outside the range in which the device is described."""


class EnduranceError(DeviceError):
    """A pulse on a cell that has had all the cycles its device lasts."""


class WriteOnceError(DeviceError):
    """A second write of a cell that can be written once."""


class TransitionError(DeviceError):
    """A change of mode that the device does not make, or not by this recipe."""


class TemperatureError(DeviceError):
    """A temperature outside the range in which the device is described."""
