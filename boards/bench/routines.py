"""What a bench does with cells again and again, written against the ``Array`` protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...sim.array import Array, ArrayError
from ...sim.devices import EnduranceError
from ...sim.numerics import FloatArray, IntArray

WIDTHS = 10.0
"""A pulse is so much longer than the shortest that switches, where none is given."""


@dataclass(frozen=True)
class Pulse:
    """A pulse [V, s, A]; ``i_cc`` None: without a compliance current."""

    volts: float
    width_s: float
    i_cc: float | None = None

    def on(self, array: Array, cells: IntArray) -> None:
        """Give it to cells."""
        array.pulse(cells, self.volts, self.width_s, self.i_cc)


def set_pulse(
    array: Array, volts: float | None, width_s: float | None, i_cc: float | None
) -> Pulse:
    """A SET; what is not given is the most that the array takes."""
    limits = array.limits
    current = limits.i_cc_max if i_cc is None else i_cc
    return Pulse(
        limits.v_max if volts is None else volts,
        WIDTHS * limits.width_min_s if width_s is None else width_s,
        current if np.isfinite(current) else None,
    )


def reset_pulse(array: Array, volts: float | None, width_s: float | None) -> Pulse:
    """A RESET; what is not given is the most that the array takes."""
    limits = array.limits
    return Pulse(
        limits.v_min if volts is None else volts,
        WIDTHS * limits.width_min_s if width_s is None else width_s,
    )


def staircase(stop: float, step: float, *, both: bool) -> FloatArray:
    """Voltages [V] from 0 to ``stop`` in equal steps of about ``step``, and with ``both`` back.

    Raises
    ------
    ArrayError
        If there is no step.
    """
    count = round(abs(stop / step)) if step else 0
    if not count:
        raise ArrayError(f"from 0 to {stop:g} V in steps of {step:g} V there is no step")
    up = np.linspace(0.0, stop, count + 1)
    return np.concatenate((up, up[-2::-1])) if both else up


def retention(
    array: Array, cells: IntArray, first_s: float, last_s: float, points: int
) -> Iterator[tuple[float, FloatArray]]:
    """Conductances [S] at once, and at times [s] from ``first_s`` to ``last_s``, evenly spaced
    on a logarithmic axis."""
    passed = 0.0
    yield passed, array.read(cells)
    for time in np.geomspace(first_s, last_s, points).tolist():
        array.wait(time - passed)
        passed = time
        yield time, array.read(cells)


def endurance(
    array: Array, cells: IntArray, setting: Pulse, resetting: Pulse, cycles: int
) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Conductances [S] after the SET and after the RESET of each cycle, from 1 on; NaN after a
    RESET that is refused.

    Raises
    ------
    EnduranceError
        Before the first pulse that a cell does not last.
    """
    for cycle in range(1, cycles + 1):
        setting.on(array, cells)
        lrs = array.read(cells)
        try:
            resetting.on(array, cells)
        except EnduranceError:
            yield cycle, lrs, np.full(lrs.shape, np.nan)
            raise
        yield cycle, lrs, array.read(cells)
