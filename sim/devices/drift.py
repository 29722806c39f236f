"""Drift: a state that is kept, and yet fades slowly, by a power of the time since it was made."""

from __future__ import annotations

import numpy as np

from ..numerics import FloatArray, exp, log
from .schema import Drift
from .state import CellState


def faded(drift: Drift | None, state: CellState, seconds: FloatArray) -> CellState:
    """The cells after a time; ``s`` is the age of the state [s], ``w`` above 0 the LRS.

    Two intervals give the state of one as long as both, but for rounding.
    """
    if drift is None:
        return state
    start = drift.time.value + state.s
    exponent = np.where(state.w > 0, drift.lrs_exponent.value, drift.hrs_exponent.value)
    g = state.g * exp(-exponent * log((start + seconds) / start))
    return state.with_(g=g, s=state.s + seconds)
