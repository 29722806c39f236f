"""What several experiments measure, written against the array protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..array import Array
from ..devices import EnduranceError
from ..numerics import FloatArray, IntArray

_WIDTHS = 10.0  # a pulse is this much longer than the shortest that switches
_JUMP = 1.2  # a conductance that changes by this factor within one step has switched


def pulse(array: Array, cells: IntArray, volts: float) -> None:
    """One pulse, wide enough to switch; above 0 V with the largest compliance current."""
    limits = array.limits
    i_cc = limits.i_cc_max if volts > 0 else None
    array.pulse(cells, volts, _WIDTHS * limits.width_min_s, i_cc)


def write(array: Array, cells: IntArray) -> None:
    """One SET pulse of the largest amplitude on each cell."""
    pulse(array, cells, array.limits.v_max)


def erase(array: Array, cells: IntArray) -> None:
    """One RESET pulse of the largest amplitude on each cell."""
    pulse(array, cells, array.limits.v_min)


def cycle_resistances(array: Array, cells: IntArray, cycles: int) -> tuple[FloatArray, FloatArray]:
    """Resistances [ohm] read after each SET and each RESET.

    Returns
    -------
    LRS and HRS, shape (cycles, *cells.shape).
    """
    lrs, hrs = np.empty((2, cycles, *cells.shape))
    for cycle in range(cycles):
        write(array, cells)
        lrs[cycle] = 1.0 / array.read(cells)
        erase(array, cells)
        hrs[cycle] = 1.0 / array.read(cells)
    return lrs, hrs


def durability(array: Array, cells: IntArray, most: int) -> tuple[FloatArray, FloatArray]:
    """Cycles until a pulse is refused for wear, ``most`` at most.

    Returns
    -------
    Resistances [ohm] after each SET and each RESET that was done, shapes
    (sets, *cells.shape) and (resets, *cells.shape).
    """
    lrs: list[FloatArray] = []
    hrs: list[FloatArray] = []
    try:
        for _ in range(most):
            write(array, cells)
            lrs.append(1.0 / array.read(cells))
            erase(array, cells)
            hrs.append(1.0 / array.read(cells))
    except EnduranceError:
        pass  # what the cells have done until then is the result
    return np.array(lrs), np.array(hrs)


def staircase(stop: float, step: float) -> FloatArray:
    """Voltages [V] from 0 to ``stop`` and back, both ends included."""
    count = round(abs(stop) / step)
    up = np.linspace(0.0, stop, count + 1)
    return np.concatenate((up, up[-2::-1]))


def switching_voltage(volts: FloatArray, current: FloatArray) -> FloatArray:
    """The voltage [V] of the first step at which the conductance jumps.

    Infinite, with the sign of the staircase, where none does: a median then takes
    the cell for one that would switch beyond the end.

    Parameters
    ----------
    volts:
        The staircase, shape (n,).
    current:
        Shape (..., n) [A].
    """
    driven = volts != 0
    conductance = np.abs(current[..., driven] / volts[driven])
    ratio = conductance[..., 1:] / conductance[..., :-1]
    jumps = (ratio >= _JUMP) | (ratio <= 1.0 / _JUMP)
    found = volts[driven][1:][np.argmax(jumps, axis=-1)]
    return np.where(jumps.any(axis=-1), found, np.copysign(np.inf, volts[-1]))


def probability(readings: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Sorted readings and their cumulative probability [%]."""
    values = np.sort(np.asarray(readings, dtype=np.float64), axis=None)
    return values, np.linspace(50.0 / values.size, 100.0 - 50.0 / values.size, values.size)
