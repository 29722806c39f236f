"""Cycles of an ``MVM``. Plain Python."""

from __future__ import annotations

from ..geometry import Geometry
from ..tables import CALIBRATION_CYCLES
from .front_end import FrontEndCycles


def mvm_cycles(
    geometry: Geometry,
    front_end: FrontEndCycles,
    planes: int,
    tia_range: int = 0,
    *,
    clear: bool = True,
    configured: bool = True,
) -> int:
    """Cycles from the engine's start strobe to its ``done``.

    Follows the engine from event to event (``docs/gateware.md``, "The plane pipeline").
    Zeros in the data do not change it.

    Parameters
    ----------
    geometry : Geometry
        Of the controller: rows, accumulators and whether samples are calibrated count.
    front_end : FrontEndCycles
        See there.
    planes : int
        Input planes.
    tia_range : int
        The range on the pins.
    clear : bool
        The accumulators are zeroed first, a cycle for each.
    configured : bool
        Columns and gates are still connected from an ``MVM`` before.
    """
    return _events(geometry, front_end, planes, tia_range, clear, configured)[-1]


def driven_cycles(
    geometry: Geometry, front_end: FrontEndCycles, planes: int, tia_range: int = 0
) -> tuple[int, ...]:
    """Cycles for which an ``MVM`` drives the rows of each plane, shape (planes,).

    From a plane's ``latch`` to the next one's, of the last plane to ``done``. Parameters are
    those of :func:`mvm_cycles`.
    """
    events = _events(geometry, front_end, planes, tia_range, True, True)
    return tuple(end - begin for begin, end in zip(events, events[1:], strict=False))


def _events(
    geometry: Geometry,
    front_end: FrontEndCycles,
    planes: int,
    tia_range: int,
    clear: bool,
    configured: bool,
) -> list[int]:
    """Cycles at which each plane is latched, and that of ``done``."""
    # A wait of no cycles is one of one.
    settle = max(1, front_end.settle[tia_range])
    readout = front_end.readout + CALIBRATION_CYCLES * geometry.calibration
    latched, gather = -front_end.recover, 1
    if not configured:
        for _group in ("columns", "gates"):
            latched = max(gather, latched + front_end.recover) + front_end.load
            gather = latched + 1
    idle = geometry.accumulators + 1 if clear else 1
    converted, events = -front_end.hold, []
    for _plane in range(planes):
        accepted = max(gather + geometry.rows + 1, latched + front_end.recover)
        latched = max(accepted + front_end.load, converted + front_end.hold)
        converted = max(latched + settle, idle)
        idle, gather = converted + readout, latched + 1
        events.append(latched)
    return [*events, idle]
