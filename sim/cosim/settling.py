"""Banks of lags whose targets change at known times."""

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

    def remainder(self, since: float, tau: float) -> float:
        """What is left of a step after ``since``, of the whole, with this time constant."""
        return math.exp(-since / tau)

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


class Filtered(Settling):
    """A lag with a Butterworth filter of second order behind it; the values are the filter's.

    Exact between events as well: the filter's answer to the lag's exponential is an
    exponential, and the rest is its own decaying oscillation.

    Parameters
    ----------
    size, tau, delay
        Of the lag, as of :class:`Settling`.
    filter_tau : float
        sqrt(2) / w of the filter, whose poles are at (-1 +- j) / filter_tau.
    """

    def __init__(self, size: int, tau: float, filter_tau: float, delay: float = 0.0) -> None:
        super().__init__(size, tau, delay)
        self.filter_tau = filter_tau
        self._before = np.zeros(size)
        self._speed = np.zeros(size)

    def remainder(self, since: float, tau: float) -> float:
        """What is left of a step after ``since``, of the whole, with this lag before the filter."""
        _, value, _ = self._moved(since, tau, np.ones(1), np.ones(1), np.zeros(1))
        return float(value[0])

    def _relax(self, time: float) -> None:
        if time > self._time:
            driven = self._driven
            before, value, self._speed = self._moved(
                time - self._time, self.tau, self._before - driven, self._value - driven,
                self._speed,
            )  # fmt: skip
            self._before, self._value = driven + before, driven + value
            self._time = time

    def _moved(
        self, since: float, tau: float, before: np.ndarray, value: np.ndarray, speed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lag and filter less their target, and the filter's speed times its time constant."""
        ratio = self.filter_tau / tau
        gain = 2 / (ratio * ratio - 2 * ratio + 2)  # the filter's, at the lag's own exponential
        phase = since / self.filter_tau
        decay, c, s = math.exp(-phase), math.cos(phase), math.sin(phase)
        own, own_speed = value - gain * before, speed + gain * ratio * before
        before = before * math.exp(-since / tau)
        return (
            before,
            gain * before + decay * (own * (c + s) + own_speed * s),
            decay * (own_speed * (c - s) - 2 * own * s) - gain * ratio * before,
        )
