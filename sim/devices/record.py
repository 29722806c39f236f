"""A device as JSON: a bundle or a co-simulation runs on the very device it was made for."""

from __future__ import annotations

from typing import Any

from .catalogue import build
from .device import Device


def to_record(device: Device) -> dict[str, Any]:
    """The whole entry as plain Python; floats keep their bits through JSON."""
    return device.document()


def from_record(record: object) -> Device:
    """The device of a record, every rule of an entry checked again.

    Raises
    ------
    DeviceError
        If the record is not that of a device.
    """
    return build(record, "the device record")
