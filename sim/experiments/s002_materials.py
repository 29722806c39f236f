"""Seed 002: its three cells, and how an experiment drives them in their two modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ...errors import OhmloomError
from ..array import Array
from ..numerics import FloatArray, IntArray
from .bench import Bench
from .influence import Group

I_VOLATILE, I_NONVOLATILE = 1e-6, 1e-3
"""Compliance currents of the two modes [A] (Suppl. Note 2)."""
REST_S = 30.0
"""A wait after which a volatile cell has forgotten [s]; not given."""
_VOLATILE_V, _VOLATILE_S = 1.0, 20e-3  # the write pulse of Suppl. Fig. 25
_WIDTHS = 2.0  # a pulse is this much longer than the shortest that switches
_PROBE_V, _PROBE_S = 0.05, 1e-3  # of a measurement that moves nothing


@dataclass(frozen=True)
class Material:
    """One of the cells.

    Attributes
    ----------
    device, label:
        Its name in the catalogue, and in a row.
    mode:
        Its non-volatile mode at 1 mA.
    """

    device: str
    label: str
    mode: str

    def volatile(self, bench: Bench, cells: int, seed: int | None = None) -> Array:
        """New cells in their volatile mode, in one row."""
        array = bench.array(self.device, 1, cells, seed)
        array.set_mode("volatile", i_cc=I_VOLATILE)
        return array

    def nonvolatile(self, bench: Bench, cells: int, seed: int | None = None) -> Array:
        """New cells in their non-volatile mode at 1 mA, in one row."""
        array = bench.array(self.device, 1, cells, seed)
        array.set_mode(self.mode, i_cc=I_NONVOLATILE)
        return array


OGB: Final = Material("cspbbr3_ogb", "OGB-capped", "nonvolatile_1ma")
DDAB: Final = Material("cspbbr3_ddab", "DDAB-capped", "nonvolatile")
FILM: Final = Material("cspbbr3_film", "thin film", "nonvolatile")
MATERIALS: Final = (OGB, DDAB, FILM)


def set_cells(array: Array, cells: IntArray, i_cc: float = I_NONVOLATILE) -> None:
    """One SET pulse on each cell in a non-volatile mode."""
    limits = array.limits
    array.pulse(cells, limits.v_max, _WIDTHS * limits.width_min_s, i_cc)


def reset_cells(array: Array, cells: IntArray) -> None:
    """One RESET pulse on each cell in a non-volatile mode; the limiter is open."""
    limits = array.limits
    array.pulse(cells, limits.v_min, _WIDTHS * limits.width_min_s, None)


def stimulate(array: Array, cells: IntArray) -> None:
    """One pulse of 1 V, 20 ms at 1 uA: what switches a volatile cell ON."""
    array.pulse(cells, _VOLATILE_V, _VOLATILE_S, I_VOLATILE)


def probe(array: Array, cells: IntArray) -> FloatArray:
    """Conductance [S] from the current at 0.05 V, which has no read noise and moves nothing."""
    return array.sweep(cells, [_PROBE_V], _PROBE_S, I_NONVOLATILE)[..., 0] / _PROBE_V


def is_refused(error: type[OhmloomError], act: Callable[[], object]) -> bool:
    """Whether an action ends with this error."""
    try:
        act()
    except error:
        return True
    return False


def leaves_alone(array: Array, cells: IntArray, act: Callable[[], object]) -> bool:
    """Whether cells have the same conductance and accept the same drive after an action."""
    before, limits = probe(array, cells), array.limits
    act()
    # drift is allowed to be seen in the millisecond of a probe
    return limits == array.limits and bool(np.allclose(probe(array, cells), before, rtol=1e-3))


_SWITCHES = "whether the pulses of the experiment switch the cell"
VOLATILE: Final[Group] = {
    "conductance": "ON and OFF of the volatile cell",
    "switching": "whether a pulse of 1 V switches, and where a sweep does",
    "growth": "how far a pulse switches the cell ON",
    "relaxation": "when it has let go",
    "spread": "scatter of the volatile cells",
    "drive": "stimuli outside are refused",
    "read.noise": "scatter of the readings",
}
"""What the parameters of a volatile mode change."""
