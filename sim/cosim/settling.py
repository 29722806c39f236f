"""A bank of single-pole lags whose targets change at known times."""

from __future__ import annotations

import math

import numpy as np


class Settling:
    """Values that follow their targets with one time constant.

    Exact between events: the state moves by the closed-form exponential, so the
    number of looks does not matter.

    Parameters
    ----------
    size : int
        Number of values.
    tau : float
        Time constant, in the unit of all times given.
    delay : float
        Dead time between a change of target and its first effect.
    """

    def __init__(self, size: int, tau: float, delay: float = 0.0) -> None:
        self.tau = tau
        self.delay = delay
        self.target = np.zeros(size)
        self._pending: list[tuple[float, np.ndarray]] = []
        self._driven = np.zeros(size)
        self._value = np.zeros(size)
        self._time = 0.0

    def set_target(self, time: float, target: np.ndarray) -> None:
        """From ``time + delay`` on, the values head for ``target``."""
        self._advance(time)
        self.target = np.array(target, dtype=np.float64)
        self._pending.append((time + self.delay, self.target))

    def set_tau(self, time: float, tau: float) -> None:
        """The time constant from ``time`` on."""
        self._advance(time)
        self.tau = tau

    def residual(self, time: float) -> np.ndarray:
        """Value minus final target at ``time``, in the unit of the targets."""
        self._advance(time)
        return self._value - self.target

    def _advance(self, time: float) -> None:
        while self._pending and self._pending[0][0] <= time:
            moment, target = self._pending.pop(0)
            self._relax(moment)
            self._driven = target
        self._relax(time)

    def _relax(self, time: float) -> None:
        if time > self._time:
            decay = math.exp(-(time - self._time) / self.tau)
            self._value = self._driven + (self._value - self._driven) * decay
            self._time = time
