"""What the experiments on the power mode of seed 004 have in common.

Voltages are those at the terminals: the open-circuit voltage that the array senses
and the drop over the series resistance, which is measured first. Capacitance is I t / V
over the whole window; the window is in no text, it is what the array accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..array import Array
from ..numerics import FloatArray, IntArray
from .bench import Bench

DEVICE: Final = "all_in_one"
AREA: Final = np.pi * 100e-6**2  # m2: a circle of 200 um diameter
CAPACITANCE: Final = 41.0  # F/m2
LOW: Final = 5e-9  # A; the currents of Fig. S3a are not in the text
HOLD_S: Final = 60.0  # after this long at a voltage a cell has it
STORE: Final = {
    "modes.power.store": "the window, the shape of the curves, the scatter of the cells"
}
LOSS: Final = {
    "modes.power.loss.resistance": "peak of a fast sweep; how capacitance falls with current",
    "modes.power.loss.self_discharge": "what slow charges and hours of rest lose",
    "modes.power.loss.fade": "what many cycles take; of one nothing is seen",
}
_STEPS = 24  # of a charge at constant current, about
_NEAR = 1e-3  # V from the end of a charge


def stores(bench: Bench, cells: int = 1, seed: int | None = None) -> Array:
    """Empty cells, brought into the power mode by slow sweeps in air."""
    array = bench.array(DEVICE, 1, cells, seed)
    array.set_mode("power", rate_v_s=0.05, atmosphere="air", electrode="Pt")
    return array


def resistance(array: Array, cells: IntArray) -> FloatArray:
    """Series resistance [ohm] of empty cells: the current at the start of a step of 0.1 V."""
    current = array.sweep(cells, [0.1], 1e-4, None)[..., 0]
    array.sweep(cells, [0.0], HOLD_S, None)
    return 0.1 / current


@dataclass(frozen=True)
class Leg:
    """A charge or discharge at constant current.

    Attributes
    ----------
    seconds:
        Times, shape (n,), from 0 on.
    volts:
        Terminal voltages, shape (n, cells).
    amperes:
        The current; below 0 in a discharge.
    """

    seconds: FloatArray
    volts: FloatArray
    amperes: float

    @property
    def coulombs(self) -> float:
        return abs(self.amperes) * float(self.seconds[-1])

    @property
    def joules(self) -> float:
        """Energy through the terminals of all cells, the integral of V I dt."""
        power = self.volts.sum(axis=1) * abs(self.amperes)
        return float(np.trapezoid(power, self.seconds))


def constant_current(
    array: Array, cells: IntArray, amperes: float, stop: float, ohms: FloatArray
) -> Leg:
    """A constant current through each cell until the first one's terminals reach ``stop`` [V]."""
    sign, step = np.sign(amperes), CAPACITANCE * AREA * array.limits.v_max / _STEPS / abs(amperes)
    seconds, volts = [0.0], [array.sense_voltage(cells) + amperes * ohms]
    per_volt, left = 0.0, float((sign * (stop - volts[0])).min())
    while left > _NEAR:
        # Full steps; near the end nine tenths of what is left, so as not to overshoot.
        ahead = step if per_volt == 0 or per_volt * left > 2 * step else 0.9 * per_volt * left
        array.charge(cells, np.full(cells.shape, amperes), ahead)
        seconds.append(seconds[-1] + ahead)
        volts.append(array.sense_voltage(cells) + amperes * ohms)
        before, left = left, float((sign * (stop - volts[-1])).min())
        per_volt = ahead / (before - left)
    return Leg(np.array(seconds), np.array(volts), amperes)


def hold(array: Array, cells: IntArray, volts: float) -> None:
    """Bring cells to a voltage by applying it."""
    array.sweep(cells, [volts], HOLD_S, None)


def areal(array: Array, leg: Leg) -> float:
    """Capacitance I t / (V A) over the whole window [F/m2]."""
    return leg.coulombs / array.limits.v_max / AREA
