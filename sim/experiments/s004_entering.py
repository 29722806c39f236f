"""Seed 004, the way into the power mode: only slow sweeps in air, under a ductile electrode.

Any other recipe leaves the device analog, and nothing leads back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..array import Array, Unsupported
from ..devices import TransitionError
from ..figure import OURS, QUIET, SEED, SERIES
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .record import Definition, Kind, Result, Row
from .tolerance import exact

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEVICE = "all_in_one"
_CELLS = 16
_V, _WIDTH = 5.0, 5e-3
_STROKES = 6  # pulses of each polarity after a refusal
_PROBE = 0.1  # V; moves nothing
_SLOW: dict[str, Any] = {"rate_v_s": 0.05, "atmosphere": "air", "electrode": "Pt"}
_ACCEPTED: dict[str, dict[str, Any]] = {
    "50 mV/s, air, Pt": {},
    "10 mV/s, air, Pt": {"rate_v_s": 0.01},
    "50 mV/s, air, Ag": {"electrode": "Ag"},
}
_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "1 V/s, air, Pt": ({"rate_v_s": 1.0}, "sec. 2.6 and Fig. S11 a, b"),
    "50 mV/s, vacuum, Pt": ({"atmosphere": "vacuum"}, "sec. 2.6 and Fig. S11 c, d"),
    "50 mV/s, air, Ti": ({"electrode": "Ti"}, "sec. 2.6 and Fig. S12, S13"),
    "50 mV/s, air, ITO": ({"electrode": "ITO"}, "sec. 2.6 and Fig. S12, S13"),
}


def _row(quantity: str, ours: bool, place: str, kind: Kind) -> Row:
    return Row(quantity, "", True, ours, exact(), kind, f"seed 004, {place}")


def _enters(array: Array, mode: str, recipe: dict[str, Any]) -> bool:
    """Whether an array takes a recipe for a mode."""
    try:
        array.set_mode(mode, **recipe)
    except TransitionError:
        return False
    return True


def _stores(array: Array, cells: IntArray) -> bool:
    """Whether cells have the open-circuit voltage that only those in the power mode have."""
    try:
        array.sense_voltage(cells)
    except Unsupported:
        return False
    return True


def _probe(array: Array, cells: IntArray) -> FloatArray:
    """Current [A] of each cell at a voltage that moves nothing."""
    return array.sweep(cells, [_PROBE], 1e-3, None)[..., 0]


def _strokes(array: Array, cells: IntArray) -> FloatArray:
    """Conductances [S] before and after pulses of -5 V, then of +5 V; (1 + pulses, cells)."""
    found = [_probe(array, cells) / _PROBE]
    for volts in np.repeat((-_V, _V), _STROKES):
        array.pulse(cells, float(volts), _WIDTH, None)
        found.append(_probe(array, cells) / _PROBE)
    return np.array(found)


def entering(bench: Bench) -> Result:
    """Which recipes lead to the power mode, and that the others leave an analog device."""
    cells = np.arange(_CELLS)
    rows: list[Row] = []
    curves: dict[str, FloatArray] = {}
    for name, other in _ACCEPTED.items():
        array = bench.array(DEVICE, 1, _CELLS)
        taken = _enters(array, "power", {**_SLOW, **other}) and _stores(array, cells)
        place = "sec. 2.6 and Fig. S12 a, b" if "Ag" in name else "sec. 2.3 and Fig. 3d"
        rows.append(_row(f"{name}: power mode", taken, place, Kind.INPUT))
    for name, (other, place) in _REFUSED.items():
        array = bench.array(DEVICE, 1, _CELLS)
        array.pulse(cells, -_V, _WIDTH, None)
        before = _probe(array, cells)
        refused = not _enters(array, "power", {**_SLOW, **other}) and not _stores(array, cells)
        unchanged = refused and bool(np.array_equal(before, _probe(array, cells)))
        rows.append(_row(f"{name}: refused, nothing changes", unchanged, place, Kind.INPUT))
        analog = False
        if refused:
            curves[name] = found = _strokes(array, cells)
            steps = np.diff(found, axis=0)
            analog = bool((steps[:_STROKES] > 0).all() and (steps[_STROKES:] < 0).all())
        rows.append(_row(f"{name}: still analog", analog, place, Kind.PREDICTED))
    array = bench.array(DEVICE, 1, _CELLS)
    kept = False
    if _enters(array, "power", _SLOW):
        array.charge(cells, 5e-9, 100.0)
        before = array.sense_voltage(cells)
        back = _enters(array, "analog", {}) or not _stores(array, cells)
        kept = not back and bool(np.array_equal(before, array.sense_voltage(cells)))
    rows.append(_row("irreversible: no way back to analog, and its charge is kept", kept,
                     "sec. 2.3 and 2.6", Kind.INPUT))  # fmt: skip

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        _plot_recipes(left, rows)
        for n, (name, curve) in enumerate(curves.items()):  # they lie on one another
            right.plot(
                np.median(curve, axis=1) * 1e6, color=SERIES[n], linewidth=8.0 - 2.0 * n, label=name
            )
        right.axvline(_STROKES, color=QUIET, linewidth=0.8)
        right.set(
            xlabel=f"pulse: {_STROKES} of -5 V, {_STROKES} of +5 V",
            ylabel="conductance (uS)",
            title="after a refused recipe",
        )
        right.legend()

    influences = {
        "modes.analog.up": "how far the device that is still analog goes up",
        "modes.analog.down": "how fast it comes back",
        "modes.analog.conductance": "the scale of its readings",
        "modes.analog.short_term.gain": "would add a part that decays",
        "modes.power.store": "the voltage that the stored charge gives",
    }
    return Result(tuple(rows), plot, {DEVICE: influences})


def _plot_recipes(axes: Axes, rows: list[Row]) -> None:
    """One line for each recipe: where the source says it leads, and where it led."""
    names = [*_ACCEPTED, *_REFUSED]
    led = [row for row in rows if row.quantity.endswith((": power mode", "nothing changes"))]
    passed = {row.quantity.partition(":")[0]: row.passed for row in led}
    for place, name in enumerate(names):
        power = name in _ACCEPTED
        axes.plot(int(power), -place, "s", color=SEED, markersize=9, fillstyle="none",
                  label="seed" if place == 0 else None)  # fmt: skip
        axes.plot(int(power == passed[name]), -place, "o", color=OURS, markersize=5,
                  label="ours" if place == 0 else None)  # fmt: skip
    axes.set(xticks=(0, 1), xlim=(-0.5, 1.5), title="where a recipe leads")
    axes.set_xticklabels(["stays\nanalog", "power\nmode"])
    axes.set_yticks([-n for n in range(len(names))], names)
    axes.set_ylim(-len(names) + 0.4, 1.2)
    axes.legend(loc="upper right", ncols=2)


EXPERIMENTS: tuple[Definition, ...] = (
    Definition("004/entering", "Ways into the power mode", "Fig. 3d, S11 to S13", entering),
)
