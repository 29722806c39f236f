"""The families of device models, by the name that a device entry gives."""

from __future__ import annotations

from typing import Final

from ..family import ChargeFamily, Family, PulseFamily, WeightFamily
from . import capacitor, diffusive, emulated, filament, icc_line, ionic

FAMILIES: Final[dict[str, Family]] = {
    "icc_line": icc_line,
    "filament": filament,
    "diffusive": diffusive,
    "ionic": ionic,
    "capacitor": capacitor,
    "emulated": emulated,
}

WEIGHT_FAMILIES: Final[dict[str, WeightFamily]] = {
    "icc_line": icc_line,
    "filament": filament,
    "emulated": emulated,
}
"""Those that RESET and SET with a compliance current place on levels."""

PULSE_FAMILIES: Final[dict[str, PulseFamily]] = {
    "ionic": ionic,
}
"""Those that pulses of chosen amplitude and width place on levels."""

CHARGE_FAMILIES: Final[dict[str, ChargeFamily]] = {
    "capacitor": capacitor,
}
"""Those whose cells store charge."""
