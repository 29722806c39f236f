"""The device catalogue and the models behind it."""

from .catalogue import catalogue, load
from .device import Device, Parameter
from .errors import ComplianceError, DeviceError
from .model import apply_pulse, pristine, switching

__all__ = [
    "ComplianceError",
    "Device",
    "DeviceError",
    "Parameter",
    "apply_pulse",
    "catalogue",
    "load",
    "pristine",
    "switching",
]
