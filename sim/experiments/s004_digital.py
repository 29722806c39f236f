"""Seed 004: the ways into the digital modes of the all-in-one device, and how they are measured.

Both modes are electroformed, either in the device as made or after its power mode. What
the path changes is the variation from cycle to cycle: the source's is the standard
deviation over the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..array import Array
from ..figure import OURS, THIRD
from ..numerics import FloatArray
from .bench import Bench

DEVICE = "all_in_one"
STEP_S = 0.05
"""Time at each step of a sweep [s]; not given."""
PARTS = 30
"""A fine step of a sweep is this part of the voltage that it is around."""
_REACH = 0.27  # to either side of it: 4.5 times the largest variation


@dataclass(frozen=True)
class Path:
    """A way into the digital modes.

    Attributes
    ----------
    name, colour:
        In rows and figures.
    through_power:
        Whether it leads through the power mode.
    v_th, v_hold, lrs, hrs:
        Variations that the source reports.
    volatile, nonvolatile:
        Where it reports them.
    """

    name: str
    colour: str
    through_power: bool
    v_th: float
    v_hold: float
    lrs: float
    hrs: float
    volatile: str
    nonvolatile: str


UNIFORM = Path("through power", OURS, True, 0.04, 0.02, 0.03, 0.07,
               "seed 004, sec. 2.4 and Fig. S4", "seed 004, sec. 2.5 and Fig. S6")  # fmt: skip
DIRECT = Path("direct", THIRD, False, 0.06, 0.05, 0.30, 0.77,
              "seed 004, sec. 2.6 and Fig. S14", "seed 004, sec. 2.6 and Fig. S15")  # fmt: skip
PATHS = (UNIFORM, DIRECT)

V_FORM = 10.0
"""Forming voltage [V]: not given, as high as the sweeps go."""
I_CC = {"volatile": 50e-6, "nonvolatile": 500e-6}
"""Compliance current of the forming [A]: below 100 uA, and from 500 uA on."""
SLOW_IN_AIR = {"rate_v_s": 0.05, "atmosphere": "air", "electrode": "Pt"}
"""What brings a cell into its power mode."""


def formed(bench: Bench, kind: str, path: Path, cells: int, seed: int | None = None) -> Array:
    """A row of cells, brought along a path into the ``kind`` of digital mode."""
    array = bench.array(DEVICE, 1, cells, seed)
    if path.through_power:
        array.set_mode("power", **SLOW_IN_AIR)
    array.set_mode(kind, i_cc=I_CC[kind], volts=V_FORM)
    return array


def variation(values: FloatArray, step: float = 0.0) -> float:
    """Standard deviation of a device's cycles over the mean, pooled over devices.

    Parameters
    ----------
    values:
        Shape (cycles, devices).
    step:
        Width of the steps in which ``values`` were found. What they add to the
        variance, step^2 / 12, is taken off (Sheppard's correction).
    """
    variance = values.var(axis=0, ddof=1).mean() - step * step / 12.0
    return float(np.sqrt(np.maximum(variance, 0.0)) / values.mean())


def closely(top: float, up: float, down: float | None = None, parts: int = PARTS) -> FloatArray:
    """A staircase [V] from 0 to ``top`` and back in steps of 1 V, finer around a voltage.

    Parameters
    ----------
    top:
        Where it turns.
    up, down:
        Voltages to look at closely on the two ways, if any.
    parts:
        How closely.
    """
    ways, reach = [], round(_REACH * parts)
    for centre in (up, down):
        way, fine = np.arange(0.0, abs(top)), np.array([])
        if centre is not None:
            fine = abs(centre) * (1.0 + np.arange(-reach, reach + 1) / parts)
            way = way[(way < fine[0]) | (way > fine[-1])]
        ways.append(np.sort(np.concatenate((way, fine[fine < abs(top)], [abs(top)]))))
    return np.copysign(np.concatenate((ways[0], ways[1][-2::-1])), top)
