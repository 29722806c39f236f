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
from ..draws import Z_MAX, Draws
from ..errors import ComplianceError
from ..family import Stress, Window, marked, narrow, once, replaced
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
from ..wear import count, refuse_worn, worn_out

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
    on = p.conductance.on.value
    g = on * (1.0 - share) * s
    g += on * share * w
    g += p.conductance.off.value
    return g


def _conducts(p: Parameters, state: CellState) -> NDArray[np.bool_]:
    return _conductance(p, state.s, state.w) >= 2.0 * p.conductance.off.value


def _fade(
    p: Parameters, s: FloatArray, w: FloatArray, seconds: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Filament and ions after a time in which nothing holds them."""
    law = p.relaxation
    seconds = narrow(seconds)
    ions = w - seconds / law.slow_time.value
    return s * exp(-seconds / law.fast_time.value), np.maximum(ions, 0.0, out=ions)


def _factor(deviation: FloatArray, spread: float) -> FloatArray:
    """1 and a deviation, which is overwritten, but not below 0."""
    deviation += 1.0
    return deviation if spread * Z_MAX < 1 else np.maximum(deviation, 0.0, out=deviation)


def _grow(
    p: Parameters, state: CellState, stress: Stress, draws: Draws
) -> tuple[FloatArray, FloatArray]:
    """Filament and ions after a time at or above the threshold."""
    law = p.growth

    volts, seconds, i_cc = narrow(stress.volts), narrow(stress.seconds), narrow(stress.i_cc)
    steep = np.minimum((volts - law.v_rate.value) / law.v_scale.value, STEEPEST)
    time = exp(steep) * seconds
    if p.spread.growth.value > 0:
        spread = p.spread.growth.value
        time = time * _factor(draws.pulse(0, spread), spread)
    if p.spread.device.value > 0:
        spread = p.spread.device.value
        time = time * _factor(draws.made(0, spread), spread)
    ceiling = np.minimum(i_cc / p.switching.compliance.value, 1.0)

    def towards_it(now: FloatArray, rate: float) -> FloatArray:
        left = exp(-rate * time) * (ceiling - now)
        grown = np.subtract(ceiling, left, out=left)
        return np.maximum(grown, now, out=grown)

    return towards_it(state.s, law.rate.value), towards_it(state.w, law.slow_rate.value)


def _reaches(
    volts: FloatArray, nominal: float, spread: float, draws: Draws, index: int
) -> NDArray[np.bool_]:
    """Whether a voltage is at or above one that varies from pulse to pulse."""
    margin = nominal * spread * Z_MAX

    def near(v: FloatArray) -> NDArray[np.bool_]:
        return (v >= nominal - margin) & (v <= nominal + margin)

    if spread > 0 and once(near, volts).any():
        return volts >= nominal * _factor(draws.pulse(index, spread), spread)
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
    p.drive.refuse(narrow(stress.volts))
    limit = p.switching.compliance.value
    sets = once(lambda volts: volts >= p.switching.v_hold.value, stress.volts)
    loose = once(lambda sets, i: sets & ~((i > 0) & (i <= limit)), sets, stress.i_cc)
    if loose.any():
        raise ComplianceError(
            f"{float(stress.volts[loose][0]):.4g} V with I_cc = "
            f"{float(stress.i_cc[loose][0]):.4g} A: the volatile mode is described "
            f"up to {limit:g} A"
        )
    if (sets & worn_out(p.wear, state, stress)).any():
        refuse_worn(p.wear, state, stress, sets & ~_conducts(p, state))


def drive(p: Parameters, state: CellState, stress: Stress, draws: Draws) -> CellState:
    """The cells after an interval.

    A slow sweep is driven like a pulse: compliance is in the level of the growth.
    """
    volts, spread, law = stress.volts, p.spread, p.switching
    grows = _reaches(volts, law.v_threshold.value, spread.v_threshold.value, draws, 1)
    grows = grows & once(lambda t: t > 0, stress.seconds)
    held = _reaches(volts, law.v_hold.value, spread.v_hold.value, draws, 2)
    conducts = _conducts(p, state)
    fades = ~grows & ~(held & conducts)
    s, w = state.s, state.w
    if grows.any():
        here = marked(grows)
        grown = _grow(p, state.take(here), stress.take(here), draws.take(here))
        s, w = replaced(s, here, grown[0]), replaced(w, here, grown[1])
    if fades.any():
        here = marked(fades)
        faded = _fade(p, s[here], w[here], stress.seconds[here])
        s, w = replaced(s, here, faded[0]), replaced(w, here, faded[1])
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
