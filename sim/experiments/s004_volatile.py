"""Seed 004, volatile digital mode of the all-in-one device: threshold switching.

The off-current is kept as the current that the source gives, 1e-7 A: the 1e-3 A/cm2
beside it would be three times that over the circle of 200 um.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..array import Array
from ..figure import OURS, SEED, SERIES
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .measure import staircase
from .record import Definition, Kind, Result, Row
from .s004_digital import (
    DEVICE,
    PARTS,
    PATHS,
    STEP_S,
    UNIFORM,
    closely,
    formed,
    variation,
)
from .tolerance import exact, order_of_magnitude, spread, ten_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_V_TOP = 10.0
_I_CC = (1e-6, 3e-6, 1e-5)  # A; the last one for the 100 cycles
_CYCLES = 100
_DEVICES = 16
_ON = 3.0  # times the first conductance of a sweep
_OFF_A, _DENSITY, _AREA_CM2 = 1e-7, 1e-3, 3.14159265e-4


def _voltages(volts: FloatArray, current: FloatArray) -> tuple[FloatArray, FloatArray]:
    """V_th and V_hold [V] of sweeps up and back: middles of the steps that switch.

    NaN where a sweep does not switch, or starts switched. Shapes: (n,), and (..., n) to (...).
    """
    driven = volts > 0
    v, g = volts[driven], current[..., driven] / volts[driven]
    on = g > _ON * g[..., :1]
    first, last = np.argmax(on, axis=-1), v.size - 1 - np.argmax(on[..., ::-1], axis=-1)
    middle = (v[1:] + v[:-1]) / 2
    switched = on.any(axis=-1) & (last < v.size - 1)
    up, down = np.maximum(first - 1, 0), np.minimum(last, middle.size - 1)
    return np.where(switched, middle[up], np.nan), np.where(switched, middle[down], np.nan)


@dataclass(frozen=True)
class Sweeps:
    """Volatile sweeps: the staircase, currents (cycles, devices, n), V_th and V_hold of each."""

    volts: FloatArray
    current: FloatArray
    threshold: FloatArray
    hold: FloatArray
    variations: tuple[float, float]


def threshold_sweeps(array: Array, cells: IntArray, cycles: int, i_cc: float) -> Sweeps:
    """Sweeps 0 to 10 V and back; a first, coarse one finds where to look closely."""
    rough = staircase(_V_TOP, 0.5)
    found = _voltages(rough, array.sweep(cells, rough, STEP_S, i_cc))
    centres = [float(np.median(one)) for one in found]
    volts = closely(_V_TOP, *np.nan_to_num(centres, nan=_V_TOP / 2))
    current = np.stack([array.sweep(cells, volts, STEP_S, i_cc) for _ in range(cycles)])
    threshold, hold = _voltages(volts, current)
    spreads = [
        variation(one, centre / PARTS)
        for one, centre in zip((threshold, hold), centres, strict=True)
    ]
    return Sweeps(volts, current, threshold, hold, (spreads[0], spreads[1]))


def _off_and_on(found: Sweeps) -> tuple[float, float]:
    """Current [A] just below V_th, and ON over OFF midway between V_hold and V_th; medians."""
    volts, current = found.volts, found.current
    top = int(np.argmax(volts))
    below = np.where(volts[:top] < found.threshold[..., None], current[..., :top], 0.0)
    middle = float(np.median(found.threshold) + np.median(found.hold)) / 2
    up = int(np.argmin(abs(volts[:top] - middle)))
    down = top + int(np.argmin(abs(volts[top:] - middle)))
    on_off = (current[..., down] / volts[down]) / (current[..., up] / volts[up])
    return float(np.median(below.max(axis=-1))), float(np.median(on_off))


def _returns(found: Sweeps) -> bool:
    """Whether every sweep switches ON above V_hold, and its last step is OFF."""
    first, last = (found.current[..., k] / found.volts[k] for k in (1, -2))
    return bool((found.hold < found.threshold).all() and (last < _ON * first).all())


def volatile(bench: Bench) -> Result:
    """100 sweeps of devices of both paths: V_th, V_hold, selectivity, off-current."""
    cells = np.arange(_DEVICES)
    found = {
        path.name: [
            threshold_sweeps(
                formed(bench, "volatile", path, _DEVICES, seed), cells, _CYCLES, _I_CC[-1]
            )
            for seed in bench.seeds
        ]
        for path in PATHS
    }
    uniform = found[UNIFORM.name]
    limited = [
        threshold_sweeps(formed(bench, "volatile", UNIFORM, _DEVICES), cells, 2, i_cc)
        for i_cc in _I_CC
    ]
    clip = max(
        abs(float(one.current.max()) / i_cc - 1) for one, i_cc in zip(limited, _I_CC, strict=True)
    )
    off, off_spread = bench.summarise([_off_and_on(one)[0] for one in uniform])
    ratio, ratio_spread = bench.summarise([_off_and_on(one)[1] for one in uniform])
    place = "seed 004, sec. 2.4"
    circle = _DENSITY * _AREA_CM2
    rows = [
        Row("off-current, just below V_th", "A", _OFF_A, off, order_of_magnitude(), Kind.FITTED,
            f"{place}: ~1e-7 A; the 1e-3 A/cm2 beside it would be {circle:.1e} A over 200 um",
            off_spread),
        Row("selectivity, between V_hold and V_th", "1", 1e2, ratio, order_of_magnitude(),
            Kind.FITTED, place, ratio_spread),
        Row("OFF again below V_hold, in every cycle of both paths", "", True,
            all(_returns(one) for each in found.values() for one in each), exact(), Kind.INPUT,
            place),
        Row("largest current away from I_cc, at 1, 3 and 10 uA", "1", 0.0, clip, exact(),
            Kind.INPUT, f"{place} and Fig. 3h"),
    ]  # fmt: skip
    for name, of_i_cc, part in (
        ("V_th", [one.threshold for one in limited], UNIFORM.v_th),
        ("V_hold", [one.hold for one in limited], UNIFORM.v_hold),
    ):
        same = float(np.median(of_i_cc[0]) / np.median(of_i_cc[-1]))
        rows.append(
            Row(f"{name} at 1 uA over that at 10 uA", "1", 1.0, same,
                spread(part, f"variation of {name}"), Kind.INPUT, f"{place} and Fig. 3h")
        )  # fmt: skip
    for path in PATHS:
        for column, (name, value) in enumerate((("V_th", path.v_th), ("V_hold", path.v_hold))):
            ours, interval = bench.summarise([one.variations[column] for one in found[path.name]])
            rows.append(
                Row(f"variation of {name}, {path.name}", "1", value, ours, ten_percent(value),
                    Kind.INPUT, path.volatile, interval)
            )  # fmt: skip
    first = {path.name: found[path.name][0] for path in PATHS}
    return Result(
        tuple(rows),
        lambda figure: _plot_volatile(figure, limited, first),
        {DEVICE: INFLUENCES},
    )


def _plot_volatile(figure: Figure, limited: list[Sweeps], first: dict[str, Sweeps]) -> None:
    left, middle, right = figure.subplots(1, 3)
    middle.sharey(left)
    for sweeps, i_cc, colour in zip(limited, _I_CC, SERIES, strict=False):
        driven = sweeps.volts > 0
        left.semilogy(sweeps.volts[driven], sweeps.current[0, 0, driven], color=colour,
                      label=f"{i_cc * 1e6:g} uA")  # fmt: skip
    left.set(xlabel="voltage [V]", ylabel="current [A]", title="I_cc", ylim=(3e-9, 1.5e-4))
    left.legend(loc="upper left", ncols=2)
    sweeps = first[UNIFORM.name]
    driven = sweeps.volts > 0
    middle.semilogy(sweeps.volts[driven], sweeps.current[:, 0, driven].T, color=OURS, alpha=0.15,
                    linewidth=0.7)  # fmt: skip
    middle.axhline(_OFF_A, color=SEED, linestyle="--", linewidth=1.0, label="seed: 1e-7 A")
    middle.axhline(_DENSITY * _AREA_CM2, color=SEED, linestyle=":", linewidth=1.0,
                   label="1e-3 A/cm2 of 200 um")  # fmt: skip
    middle.set(xlabel="voltage [V]", title=f"{len(sweeps.current)} cycles")
    middle.tick_params(labelleft=False)
    middle.legend(loc="upper left")
    for path in PATHS:
        right.ecdf(first[path.name].hold[:, 0], color=path.colour)
        right.ecdf(first[path.name].threshold[:, 0], color=path.colour, label=path.name)
    right.text(3.4, 0.62, "V_hold")
    right.text(7.0, 0.62, "V_th")
    right.set(xlabel="voltage [V]", ylabel="cumulative probability", xlim=(2.0, 13.0),
              xticks=(2, 4, 6, 8, 10), title="one device of each path")  # fmt: skip
    right.legend(loc="center right", bbox_to_anchor=(1.03, 0.3), handlelength=1.0)


_SWITCHES = "where a sweep switches and lets go, and whether it does"
INFLUENCES = {
    f"modes.{mode}.{name}": text
    for mode in ("volatile_uniform", "volatile_direct")
    for name, text in (
        ("conductance.off", "off-current and selectivity"),
        ("conductance.on", "selectivity, and where the current reaches I_cc"),
        ("switching", _SWITCHES),
        ("growth", "whether a sweep switches within one step"),
        ("relaxation", "whether a sweep is OFF again within one step"),
        ("spread", "scatter of V_th and V_hold"),
    )
}

EXPERIMENTS: tuple[Definition, ...] = (
    Definition("004/volatile", "Volatile digital mode", "Fig. 3h, 3i, S4, S14", volatile),
)
