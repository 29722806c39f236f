"""The physics of a cell of family ``icc_line``: what a pulse does to its conductance.

Every operation is elementwise on float64, and every random number is named by
cell and pulse count, so a cell's state does not depend on which other cells are
updated with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numerics import Domain, FloatArray, IntArray, draw_normal, exp
from .device import Device
from .errors import ComplianceError

_LN10 = 2.302585092994046
_Z_UNIT = 1.0 / 4096.0


def _hrs(device: Device, z: IntArray) -> FloatArray:
    """Conductance [S] of the high-resistance state for the deviates ``z``."""
    return device.g_hrs * exp((_LN10 * device.hrs_spread) * (z * _Z_UNIT))


def _lrs(device: Device, z: IntArray, i_cc: FloatArray) -> FloatArray:
    """Conductance [S] after a SET with ``i_cc`` [A] for the deviates ``z``."""
    g = device.mean(i_cc) + device.sigma(i_cc) * (z * _Z_UNIT)
    if device.exact_levels:
        middles = (device.levels[1:] + device.levels[:-1]) * 0.5
        g = device.levels[np.searchsorted(middles, g)]
    return np.maximum(g, device.g_hrs)


def pristine(device: Device, cells: IntArray, seed: int) -> FloatArray:
    """Conductance [S] of cells as made, one draw per cell number."""
    return _hrs(device, draw_normal(seed, Domain.DEVICE, cells, 0, 0))


def switching(
    device: Device, volts: ArrayLike, width_s: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pulses SET and which RESET a cell: at least the threshold, for at least the width."""
    volts, width_s = np.asarray(volts), np.asarray(width_s)
    sets = (volts >= device.v_set_threshold) & (width_s >= device.set_width_min_s)
    resets = (volts <= device.v_reset_threshold) & (width_s >= device.reset_width_min_s)
    return sets, resets


def apply_pulse(
    device: Device,
    g: ArrayLike,
    pulses: ArrayLike,
    cells: ArrayLike,
    volts: ArrayLike,
    width_s: ArrayLike,
    i_cc: ArrayLike | None,
    seed: int,
) -> FloatArray:
    """Conductance [S] of cells after one pulse each; the arguments broadcast.

    A pulse of at least the SET threshold and width draws a new filament from the
    line at its I_cc; one of at least the RESET threshold and width draws a new
    high-resistance state; any other leaves the cell as it is.

    Parameters
    ----------
    g:
        Conductance before the pulse [S].
    pulses:
        Lifetime pulse count of each cell before the pulse: with the cell number,
        the name of the draw.
    cells:
        Flat cell numbers.
    volts, width_s:
        Amplitude [V] and width [s].
    i_cc:
        Compliance current [A]; None is no limit, which a RESET needs and a SET
        must not have.

    Raises
    ------
    ComplianceError
        If a SET's compliance current is outside the line's range.
    """
    g, pulses, cells, volts, width_s = np.broadcast_arrays(g, pulses, cells, volts, width_s)
    sets, resets = switching(device, volts, width_s)
    after = g.astype(np.float64)
    if sets.any():
        limit = np.broadcast_to(np.inf if i_cc is None else np.asarray(i_cc, float), g.shape)[sets]
        outside = ~((limit >= device.i_cc_min) & (limit <= device.i_cc_max))
        if outside.any():
            raise ComplianceError(
                f"SET of {device.name} with I_cc = {limit[outside][0]:.4g} A: its line is "
                f"described from {device.i_cc_min:g} to {device.i_cc_max:g} A"
            )
        z = draw_normal(seed, Domain.PULSE, cells[sets], pulses[sets], 0)
        after[sets] = _lrs(device, z, limit)
    if resets.any():
        z = draw_normal(seed, Domain.PULSE, cells[resets], pulses[resets], 0)
        after[resets] = _hrs(device, z)
    return after
