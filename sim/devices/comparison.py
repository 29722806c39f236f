"""The comparison table of a device paper: one line for each mode of each device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .datasheet import Bound, ModeSheet, Reading, Sheet
from .device import Device, Mode
from .schema import Quantity, quantities


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes
    ----------
    value, up_to:
        The number, or the ends of a range.
    bound:
        Set where only a bound is known.
    assumed:
        Whether no source gives it.
    """

    value: float
    up_to: float | None = None
    bound: Bound | None = None
    assumed: bool = False


@dataclass(frozen=True)
class Entry:
    """One line: a mode of a device. None is: not reported, or no such thing.

    Attributes
    ----------
    name, title, mode:
        The device and its mode.
    v_set, v_reset:
        Switching voltages [V]; a volatile mode has its threshold and hold voltage.
    on_off, on_off_hot, celsius_hot:
        ON/OFF ratio at room temperature, and at the highest temperature reported. Of a
        model: ratio of its two states, or of the ends of its weight window.
    endurance, retention:
        Cycles, and how long a state is kept [s].
    levels:
        Levels that a weight can have; 2 where only ON and OFF are known.
    """

    name: str
    title: str
    mode: str
    v_set: Cell | None = None
    v_reset: Cell | None = None
    on_off: Cell | None = None
    on_off_hot: Cell | None = None
    celsius_hot: Cell | None = None
    endurance: Cell | None = None
    retention: Cell | None = None
    levels: int | None = None


def of_sheet(sheet: Sheet) -> list[Entry]:
    """The lines of a data sheet."""
    return [_of_mode(sheet, name, mode) for name, mode in sheet.modes.items()]


def _of_mode(sheet: Sheet, name: str, mode: ModeSheet) -> Entry:
    return Entry(
        name=sheet.name,
        title=sheet.title,
        mode=name,
        v_set=_cell(mode.v_set),
        v_reset=_cell(mode.v_reset),
        on_off=_cell(mode.on_off),
        on_off_hot=_cell(mode.on_off_hot),
        celsius_hot=_cell(mode.temperature),
        endurance=_cell(mode.endurance),
        retention=_cell(mode.retention),
        levels=2,
    )


def _cell(reading: Reading | None) -> Cell | None:
    return None if reading is None else Cell(reading.value, reading.up_to, reading.bound)


@dataclass(frozen=True)
class _Columns:
    """Where a family keeps the numbers of the table: dotted names inside a mode."""

    v_set: str | None = None
    v_reset: str | None = None
    on: str | None = None
    off: str | None = None


_ICC_LINE = _Columns(
    "pulses.v_set_threshold", "pulses.v_reset_threshold", "levels.g_max", "hrs.conductance"
)
COLUMNS: Final[dict[str, _Columns]] = {
    "icc_line": _ICC_LINE,
    "emulated": _ICC_LINE,
    "filament": _Columns("set.threshold", "reset.threshold", "lrs.conductance", "hrs.conductance"),
    "diffusive": _Columns(
        "switching.v_threshold", "switching.v_hold", "conductance.on", "conductance.off"
    ),
    "ionic": _Columns(
        "up.v_threshold", "down.v_threshold", "conductance.g_max", "conductance.g_min"
    ),
    "capacitor": _Columns(),
}
"""Each family of :data:`.families.FAMILIES`."""


def of_model(device: Device) -> list[Entry]:
    """The lines of a device with a model."""
    return [_of_section(device, mode) for mode in device.modes]


def _of_section(device: Device, mode: Mode) -> Entry:
    found = dict(quantities(mode.p))
    columns = COLUMNS[mode.p.family]

    def cell(name: str | None) -> Cell | None:
        quantity = found.get(name or "")
        return quantity and Cell(quantity.value, assumed=quantity.assumed is not None)

    return Entry(
        name=device.name,
        title=device.title,
        mode=mode.name,
        v_set=cell(columns.v_set),
        v_reset=cell(columns.v_reset),
        on_off=_ratio(device, found.get(columns.on or ""), found.get(columns.off or "")),
        endurance=cell("wear.endurance"),
        retention=cell("wear.retention"),
        levels=len(device.levels) if device.weights and device.weights.mode == mode.name else None,
    )


def _ratio(device: Device, on: Quantity | None, off: Quantity | None) -> Cell | None:
    """ON/OFF of the model.

    It counts as assumed if a conductance is, unless the reason says that it was made
    from the other one and something in a source.
    """
    if on is None or off is None:
        return None
    references = device.document()["references"]
    reasons = [quantity.assumed for quantity in (on, off) if quantity.assumed is not None]
    cited = any(key in reason for key in references for reason in reasons)
    return Cell(on.value / off.value, assumed=bool(reasons) and not cited)
