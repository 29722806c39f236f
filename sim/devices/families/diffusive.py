"""Family ``diffusive``: volatile threshold switching with short-term dynamics.

Two parts make up a cell's state, both 0..1: the filament ``s``, which goes quickly,
and ``w``, the ions that it leaves behind, which go slowly. At or above the threshold,
for a time t at a voltage V, both grow towards a ceiling c = i_cc / compliance, at most 1::

    s = c - (c - s) exp(-rate x t)          x = exp((V - v_rate) / v_scale)
    w = c - (c - w) exp(-slow_rate x t)

From ``v_hold`` to the threshold a conducting cell stays as it is. Below, under reverse
bias too, the filament decays, and the ions dissolve at a constant rate until none are
left: what a pulse has brought has a finite life, not a tail::

    s = s exp(-t / fast_time)               w = max(w - t / slow_time, 0)

Both laws are exact: an interval cut in two gives the same state. The conductance is
``off + on ((1 - slow_share) s + slow_share w)``, ohmic. Compliance shows as the ceiling
of the growth, and in the current.

A cell conducts while its state adds at least ``off`` to its conductance. A cycle is a
SET of a cell that does not. Once ``wear.endurance`` of them are used up, the next one
is refused.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from ...numerics import FloatArray, exp
from ..errors import ComplianceError
from ..family import Z_MAX, Draws, Stress, Window, marked, once
from ..laws import STEEPEST, limited
from ..schema import (
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    Drive,
    ModeSection,
    Quantity,
    Section,
    Wear,
    ascending,
    unit,
)
from ..state import CellState
from ..wear import count, refuse_worn

RELAXES = True


class Conductance(Section):
    """Conductance at rest, and what a fully grown state adds."""

    off: Annotated[Quantity, unit("S"), POSITIVE]
    on: Annotated[Quantity, unit("S"), POSITIVE]


class Switching(Section):
    """Voltages that set and hold the state, and the compliance current it is made with."""

    v_threshold: Annotated[Quantity, unit("V"), POSITIVE]
    v_hold: Annotated[Quantity, unit("V"), POSITIVE]
    compliance: Annotated[Quantity, unit("A"), POSITIVE]


class Growth(Section):
    """Rates of filament and ions at ``v_rate``, and the voltage that makes both e times larger."""

    rate: Annotated[Quantity, unit("1/s"), POSITIVE]
    slow_rate: Annotated[Quantity, unit("1/s"), NOT_NEGATIVE]
    v_rate: Annotated[Quantity, unit("V"), POSITIVE]
    v_scale: Annotated[Quantity, unit("V"), POSITIVE]


class Relaxation(Section):
    """How the filament decays, how long full ions last, and their share of the conductance."""

    fast_time: Annotated[Quantity, unit("s"), POSITIVE]
    slow_time: Annotated[Quantity, unit("s"), POSITIVE]
    slow_share: Annotated[Quantity, unit("1"), FRACTION]


class Spread(Section):
    """Fractions: growth and voltages from pulse to pulse, growth from device to device."""

    growth: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    v_threshold: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    v_hold: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    device: Annotated[Quantity, unit("1"), NOT_NEGATIVE]


class Parameters(ModeSection):
    """The sections of a mode of this family."""

    conductance: Conductance
    switching: Switching
    growth: Growth
    relaxation: Relaxation
    spread: Spread
    drive: Drive
    wear: Wear  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]

    @model_validator(mode="after")
    def _consistent(self) -> Parameters:
        ascending(
            self,
            ("conductance.off", "conductance.on"),
            ("read.v_read", "switching.v_hold"),
            ("relaxation.fast_time", "relaxation.slow_time"),
            ("switching.v_hold", "switching.v_threshold"),
            ("switching.v_threshold", "drive.v_max"),
        )
        return self


# -- laws -----------------------------------------------------------------------------


def _conductance(p: Parameters, s: FloatArray, w: FloatArray) -> FloatArray:
    share = p.relaxation.slow_share.value
    return p.conductance.off.value + p.conductance.on.value * ((1.0 - share) * s + share * w)


def _conducts(p: Parameters, state: CellState) -> NDArray[np.bool_]:
    return _conductance(p, state.s, state.w) >= 2.0 * p.conductance.off.value


def _fade(
    p: Parameters, s: FloatArray, w: FloatArray, seconds: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Filament and ions after a time in which nothing holds them."""
    law = p.relaxation
    kept = once(lambda t: exp(-t / law.fast_time.value), seconds)
    return s * kept, np.maximum(w - seconds / law.slow_time.value, 0.0)


def _factor(spread: float, draw: FloatArray) -> FloatArray:
    return np.maximum(1.0 + spread * draw, 0.0)


def _grow(
    p: Parameters, state: CellState, stress: Stress, draws: Draws
) -> tuple[FloatArray, FloatArray]:
    """Filament and ions after a time at or above the threshold."""
    law = p.growth

    def effective(volts: FloatArray, seconds: FloatArray) -> FloatArray:
        x = exp(np.minimum((volts - law.v_rate.value) / law.v_scale.value, STEEPEST))
        return x * seconds

    time = once(effective, stress.volts, stress.seconds)
    if p.spread.growth.value > 0:
        time = time * _factor(p.spread.growth.value, draws.pulse(0))
    if p.spread.device.value > 0:
        time = time * _factor(p.spread.device.value, draws.made(0))
    ceiling = np.minimum(stress.i_cc / p.switching.compliance.value, 1.0)
    grown = ceiling - (ceiling - state.s) * exp(-law.rate.value * time)
    ions = ceiling - (ceiling - state.w) * exp(-law.slow_rate.value * time)
    return np.maximum(grown, state.s), np.maximum(ions, state.w)


def _reaches(
    volts: FloatArray, nominal: float, spread: float, draws: Draws, index: int
) -> NDArray[np.bool_]:
    """Whether a voltage is at or above one that varies from pulse to pulse."""
    margin = nominal * spread * Z_MAX

    def near(v: FloatArray) -> NDArray[np.bool_]:
        return (v >= nominal - margin) & (v <= nominal + margin)

    if spread > 0 and once(near, volts).any():
        return volts >= nominal * _factor(spread, draws.pulse(index))
    return once(lambda v: v >= nominal, volts)  # no draw could change that


# -- the family -----------------------------------------------------------------------


def pristine(p: Parameters, draws: Draws, shape: tuple[int, ...]) -> CellState:
    """Cells as made: at rest."""
    return enter(p, CellState.blank(shape), draws)


def enter(p: Parameters, state: CellState, draws: Draws) -> CellState:
    """Cells at rest."""
    nothing = np.zeros(state.shape)
    return state.with_(
        g=_conductance(p, nothing, nothing), s=nothing, w=nothing.copy(), q=nothing.copy()
    )


def refuse(p: Parameters, state: CellState, stress: Stress) -> None:
    """Raises for what the mode is not described for.

    Raises
    ------
    DeviceError
        An amplitude outside ``drive.v_min`` to ``drive.v_max``.
    ComplianceError
        At or above the hold voltage, a compliance current above that of the mode.
    EnduranceError
        A SET of a cell that has had all its cycles.
    """
    p.drive.refuse(stress.volts)
    sets = stress.volts >= p.switching.v_hold.value
    limit = p.switching.compliance.value
    loose = sets & ~((stress.i_cc > 0) & (stress.i_cc <= limit))
    if loose.any():
        raise ComplianceError(
            f"{float(stress.volts[loose][0]):.4g} V with I_cc = "
            f"{float(stress.i_cc[loose][0]):.4g} A: the volatile mode is described "
            f"up to {limit:g} A"
        )
    refuse_worn(p.wear, state, stress, sets & ~_conducts(p, state))


def drive(p: Parameters, state: CellState, stress: Stress, draws: Draws) -> CellState:
    """The cells after an interval.

    A slow sweep is driven like a pulse: compliance is in the level of the growth.
    """
    volts, spread, law = stress.volts, p.spread, p.switching
    grows = _reaches(volts, law.v_threshold.value, spread.v_threshold.value, draws, 1)
    grows = grows & (stress.seconds > 0)
    held = _reaches(volts, law.v_hold.value, spread.v_hold.value, draws, 2)
    conducts = _conducts(p, state)
    fades = ~grows & ~(held & conducts)
    s, w = state.s.copy(), state.w.copy()
    if grows.any():
        here = marked(grows)
        s[here], w[here] = _grow(p, state.take(here), stress.take(here), draws.take(here))
    if fades.any():
        here = marked(fades)
        s[here], w[here] = _fade(p, s[here], w[here], stress.seconds[here])
    after = state.with_(g=_conductance(p, s, w), s=s, w=w)
    return count(p.wear, after, stress, grows & ~conducts)


def flowing(p: Parameters, before: CellState, after: CellState, stress: Stress) -> FloatArray:
    """The current [A] at the end of an interval, within compliance."""
    return limited(current(p, after, stress.volts, stress.temperature_k), stress)


def relax(p: Parameters, state: CellState, seconds: FloatArray) -> CellState:
    """The cells after a time at 0 V."""
    s, w = _fade(p, state.s, state.w, seconds)
    return state.with_(g=_conductance(p, s, w), s=s, w=w)


def current(
    p: Parameters, state: CellState, volts: FloatArray, temperature_k: FloatArray
) -> FloatArray:
    """Current [A] at a voltage that leaves the cells as they are: no temperature in it."""
    return state.g * volts


def window(p: Parameters) -> Window:
    """What the mode is driven with."""
    return Window(
        v_min=p.drive.v_min.value,
        v_max=p.drive.v_max.value,
        i_cc_min=0.0,
        i_cc_max=p.switching.compliance.value,
        width_min_s=p.drive.width_min.value,
    )
