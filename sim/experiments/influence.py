"""What the parameters of a two-state cell change in a measurement, in groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..devices import Device

Group = Mapping[str, str]
"""A parameter's dotted name inside a mode, or the front of one, to what it changes."""

_WRITES = "whether the pulses of the experiment switch the cell"
PULSED: Final[Group] = {
    "set.volts": _WRITES,
    "set.width_min": _WRITES,
    "set.threshold": _WRITES,
    "set.device_spread": _WRITES,
    "set.cycle_spread": _WRITES,
    "reset": _WRITES,
    "compliance.i_cc_min": _WRITES,
    "compliance.i_cc_max": _WRITES,
}
READ: Final[Group] = {"read.noise": "scatter of the readings"}
SCALE: Final[Group] = {
    "lrs.conductance": "ON/OFF together with that of the HRS; by itself the absolute scale",
    "hrs.conductance": "ON/OFF together with that of the LRS",
}
_WIDTH = "width of the distributions of LRS and HRS"
SPREAD: Final[Group] = {
    f"{state}.{spread}": _WIDTH
    for state in ("lrs", "hrs")
    for spread in ("device_spread", "cycle_spread")
}
THRESHOLD: Final[Group] = {
    f"{event}.{spread}": "scatter of the switching voltages, and whether a pulse switches"
    for event in ("set", "reset")
    for spread in ("device_spread", "cycle_spread")
}
BRANCH: Final[Group] = {
    "conduction": "shape of the high-resistance branch of a sweep, in the figure",
    "compliance.i_cc_max": "where the current of a sweep is clipped, and whether it switches",
}
HEAT: Final[Group] = {
    "lrs.activation": "ON/OFF when hot, together with that of the HRS",
    "hrs.activation": "ON/OFF when hot, together with that of the LRS",
}


def influence(device: Device, *groups: Group, mode: str | None = None) -> dict[str, str]:
    """The groups together, with the full names in a mode: the device's first one if not named."""
    mode = device.modes[0].name if mode is None else mode
    return {f"modes.{mode}.{name}": text for group in groups for name, text in group.items()}
