"""What use does to a cell: the cycles it lasts, what it is afterwards, how warm it gets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numerics import FloatArray
from .errors import EnduranceError
from .family import REFERENCE_K, Stress, once
from .schema import HeatingPoint, Wear
from .state import CellState, Health

_ENDS = {
    "stuck_on": (Health.STUCK_ON, "stuck ON"),
    "stuck_volatile": (Health.STUCK_VOLATILE, "volatile"),
    "collapsed": (Health.COLLAPSED, "without a window"),
}


def endurance(wear: Wear, temperature_k: ArrayLike) -> FloatArray:
    """Cycles that a cell lasts at a temperature, linear between the points given."""
    kelvin = [REFERENCE_K, *(point.temperature.value for point in wear.at)]
    cycles = [wear.endurance.value, *(point.endurance.value for point in wear.at)]
    given = np.asarray(temperature_k, dtype=np.float64)
    return once(lambda t: np.interp(t, kelvin, cycles), given)


def worn_out(wear: Wear, state: CellState, stress: Stress) -> NDArray[np.bool_]:
    """Which cells have had their cycles."""
    limit = endurance(wear, stress.temperature_k)
    return _reached(state.cycles, limit) | (state.health != Health.OK)


def refuse_worn(wear: Wear, state: CellState, stress: Stress, switching: NDArray[np.bool_]) -> None:
    """Raise for a pulse that would switch a cell which has had its cycles.

    Raises
    ------
    EnduranceError
        Naming the cycles and what the cell is now.
    """
    worn = switching & worn_out(wear, state, stress)
    if worn.any():
        limit = endurance(wear, stress.temperature_k)
        had = int(state.cycles[worn][0])
        raise EnduranceError(
            f"a switching pulse on a cell that has had {had} cycles of the "
            f"{float(limit[worn][0]):g} that it lasts: it is {_ENDS[wear.end][1]}"
        )


def count(wear: Wear, state: CellState, stress: Stress, cycled: NDArray[np.bool_]) -> CellState:
    """The cells after a further cycle where ``cycled``, and what the last one makes of them."""
    cycles = state.cycles + cycled
    worn = cycled & _reached(cycles, endurance(wear, stress.temperature_k))
    if worn.any():
        state = state.with_(health=np.where(worn, np.uint8(_ENDS[wear.end][0]), state.health))
    return state.with_(cycles=cycles)


def _reached(cycles: NDArray[np.uint32], limit: FloatArray) -> NDArray[np.bool_]:
    """Where a count of cycles is at or above a limit."""
    least = once(lambda value: np.minimum(np.ceil(value), 2.0**32 - 1).astype(np.uint32), limit)
    return cycles >= least


def surface_rise(heating: list[HeatingPoint], cycles: ArrayLike) -> FloatArray:
    """Rise of the surface temperature [K] in a RESET, linear between the points given.

    NaN outside the points, and everywhere without any.
    """
    cycles = np.asarray(cycles, dtype=np.float64)
    if not heating:
        return np.full(cycles.shape, np.nan)
    at = [point.cycles.value for point in heating]
    rise = [point.rise.value for point in heating]
    return np.interp(cycles, at, rise, left=np.nan, right=np.nan)
