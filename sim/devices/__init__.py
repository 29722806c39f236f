"""The device catalogue and the models behind it."""

from .catalogue import build, catalogue, changed, load
from .device import Device, Mode, Parameter, Weights
from .draws import Draws
from .errors import (
    ComplianceError,
    DeviceError,
    EnduranceError,
    TemperatureError,
    TransitionError,
    WriteOnceError,
)
from .family import REFERENCE_K, LevelPulses, Stress
from .modes import Recipe
from .state import CellState, Health

__all__ = [
    "REFERENCE_K",
    "CellState",
    "ComplianceError",
    "Device",
    "DeviceError",
    "Draws",
    "EnduranceError",
    "Health",
    "LevelPulses",
    "Mode",
    "Parameter",
    "Recipe",
    "Stress",
    "TemperatureError",
    "TransitionError",
    "Weights",
    "WriteOnceError",
    "build",
    "catalogue",
    "changed",
    "load",
]
