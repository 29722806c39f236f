"""Family ``icc_line``: the compliance current sets the conductance of a filament.

A SET draws G from ``Normal(slope I_cc - offset, sigma_slope I_cc + sigma_offset)``,
a RESET from a log-normal high-resistance state. Conduction is ohmic.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import model_validator

from ...numerics import G_CODE_MAX, FloatArray
from ..draws import Draws
from ..drift import faded
from ..errors import ComplianceError, DeviceError
from ..family import Programming, Stress, Window, marked, once
from ..laws import limited
from ..levels import level_codes
from ..schema import (
    NEGATIVE,
    NOT_NEGATIVE,
    POSITIVE,
    ModeSection,
    Quantity,
    Section,
    Wear,
    ascending,
    unit,
)
from ..state import CellState
from ..wear import count, refuse_worn

RELAXES = False

_MAX_SIGMA = 6.4  # the largest deviate of the normal table


class Line(Section):
    """Conductance after a SET, against the compliance current."""

    slope: Annotated[Quantity, unit("S/A"), POSITIVE]
    offset: Annotated[Quantity, unit("S"), NOT_NEGATIVE]
    inverse_offset: Annotated[Quantity, unit("S"), NOT_NEGATIVE]
    sigma_slope: Annotated[Quantity, unit("S/A"), NOT_NEGATIVE]
    sigma_offset: Annotated[Quantity, unit("S"), NOT_NEGATIVE]
    i_cc_min: Annotated[Quantity, unit("A"), POSITIVE]
    i_cc_max: Annotated[Quantity, unit("A"), POSITIVE]
    volatile_i_cc: Annotated[Quantity, unit("A"), NOT_NEGATIVE]


class Hrs(Section):
    """The high-resistance state: log-normal conductance."""

    conductance: Annotated[Quantity, unit("S"), POSITIVE]
    spread: Annotated[Quantity, unit("decade"), NOT_NEGATIVE]


class Pulses(Section):
    """Amplitudes and widths that are used, and the thresholds below which nothing switches."""

    v_set: Annotated[Quantity, unit("V"), POSITIVE]
    v_set_threshold: Annotated[Quantity, unit("V"), POSITIVE]
    v_reset: Annotated[Quantity, unit("V"), NEGATIVE]
    v_reset_threshold: Annotated[Quantity, unit("V"), NEGATIVE]
    set_width: Annotated[Quantity, unit("s"), POSITIVE]
    set_width_min: Annotated[Quantity, unit("s"), POSITIVE]
    reset_width: Annotated[Quantity, unit("s"), POSITIVE]
    reset_width_min: Annotated[Quantity, unit("s"), POSITIVE]


class Parameters(ModeSection):
    """The sections of a mode of this family.

    With ``exact_levels`` a SET lands on the level nearest to the line.
    """

    exact_levels: bool
    line: Line
    hrs: Hrs
    pulses: Pulses
    wear: Wear  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]

    @model_validator(mode="after")
    def _consistent(self) -> Parameters:
        ascending(
            self,
            ("line.volatile_i_cc", "line.i_cc_min"),
            ("line.i_cc_min", "line.i_cc_max"),
            ("read.v_read", "pulses.v_set_threshold"),
            ("pulses.v_set_threshold", "pulses.v_set"),
            ("pulses.v_reset", "pulses.v_reset_threshold"),
            ("pulses.set_width_min", "pulses.set_width"),
            ("pulses.reset_width_min", "pulses.reset_width"),
        )
        if self.levels is not None:
            ascending(self, ("hrs.conductance", "levels.g_min"))
        elif self.exact_levels:
            raise ValueError("exact_levels: there are no levels")
        return self


# -- the line -------------------------------------------------------------------------


def mean(p: Parameters, i_cc: ArrayLike) -> FloatArray:
    """Mean conductance [S] after a SET with compliance current ``i_cc`` [A]."""
    return p.line.slope.value * np.asarray(i_cc, dtype=np.float64) - p.line.offset.value


def sigma(p: Parameters, i_cc: ArrayLike) -> FloatArray:
    """Standard deviation [S] of the conductance after a SET with ``i_cc`` [A]."""
    i_cc = np.asarray(i_cc, dtype=np.float64)
    return p.line.sigma_slope.value * i_cc + p.line.sigma_offset.value


def compliance(p: Parameters, g: ArrayLike, *, as_printed: bool = False) -> FloatArray:
    """Compliance current [A] whose line value is ``g`` [S].

    ``as_printed`` uses the offset of the source's inverse line instead of the one
    of its forward line.
    """
    offset = (p.line.inverse_offset if as_printed else p.line.offset).value
    return (np.asarray(g, dtype=np.float64) + offset) / p.line.slope.value


def _lrs(p: Parameters, z: FloatArray, i_cc: FloatArray) -> FloatArray:
    g = sigma(p, i_cc) * z + mean(p, i_cc)
    if p.exact_levels and p.levels is not None and p.codes is not None:
        levels = level_codes(p.levels, p.codes) * p.codes.g_lsb.value
        g = levels[np.searchsorted((levels[1:] + levels[:-1]) * 0.5, g)]
    return np.maximum(g, p.hrs.conductance.value)


# -- the family -----------------------------------------------------------------------


def pristine(p: Parameters, draws: Draws, shape: tuple[int, ...]) -> CellState:
    """Cells as made: the high-resistance state, one draw per cell."""
    return enter(p, CellState.blank(shape), draws)


def enter(p: Parameters, state: CellState, draws: Draws) -> CellState:
    """The high-resistance state as made."""
    zero = np.zeros(state.shape)
    return state.with_(
        g=p.hrs.conductance.value * draws.made_factor(0, p.hrs.spread.value), w=zero, s=zero, q=zero
    )


def switching(p: Parameters, stress: Stress) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which stresses SET and which RESET: at least the threshold, for at least the width."""
    q = p.pulses

    def sets(volts: FloatArray, seconds: FloatArray) -> NDArray[np.bool_]:
        return (volts >= q.v_set_threshold.value) & (seconds >= q.set_width_min.value)

    def resets(volts: FloatArray, seconds: FloatArray) -> NDArray[np.bool_]:
        return (volts <= q.v_reset_threshold.value) & (seconds >= q.reset_width_min.value)

    return once(sets, stress.volts, stress.seconds), once(resets, stress.volts, stress.seconds)


def refuse(p: Parameters, state: CellState, stress: Stress) -> None:
    """Raise for a SET off the line, and for switching beyond the endurance.

    Raises
    ------
    ComplianceError
        If the compliance current of a SET is outside the line's range.
    EnduranceError
        If a cell has had its cycles.
    """
    sets, resets = switching(p, stress)
    low, high = p.line.i_cc_min.value, p.line.i_cc_max.value
    outside = sets & ~((stress.i_cc >= low) & (stress.i_cc <= high))
    if outside.any():
        raise ComplianceError(
            f"SET with I_cc = {float(stress.i_cc[outside][0]):.4g} A: the line is "
            f"described from {low:g} to {high:g} A"
        )
    refuse_worn(p.wear, state, stress, sets | resets)


def drive(p: Parameters, state: CellState, stress: Stress, draws: Draws) -> CellState:
    """The cells after an interval.

    A stress of at least the SET threshold and width draws a new filament from the
    line at its I_cc; one of at least the RESET threshold and width a new
    high-resistance state. In a sweep, a cell in compliance is not SET again.
    """
    sets, resets = switching(p, stress)
    if stress.quasi_static:
        with np.errstate(divide="ignore"):  # a broken cell conducts nothing
            across = np.minimum(stress.volts, stress.i_cc / state.g)
        sets = sets & (across >= p.pulses.v_set_threshold.value)
    state = faded(p.drift, state, stress.seconds)
    g, w, age = state.g.copy(), state.w.copy(), state.s.copy()
    if sets.any():
        here = marked(sets)
        g[here] = _lrs(p, draws.take(here).pulse(0), stress.i_cc[here])
        w[here], age[here] = 1.0, 0.0
    if resets.any():
        here = marked(resets)
        factor = draws.take(here).pulse_factor(0, p.hrs.spread.value)
        g[here] = p.hrs.conductance.value * factor
        w[here], age[here] = 0.0, 0.0
    return count(p.wear, state.with_(g=g, w=w, s=age), stress, sets)


def flowing(p: Parameters, before: CellState, after: CellState, stress: Stress) -> FloatArray:
    """The current [A] at the end of an interval, within compliance."""
    return limited(current(p, after, stress.volts, stress.temperature_k), stress)


def relax(p: Parameters, state: CellState, seconds: FloatArray) -> CellState:
    """The cells after a time at 0 V: as they are, but for drift."""
    return faded(p.drift, state, seconds)


def current(
    p: Parameters, state: CellState, volts: FloatArray, temperature_k: FloatArray
) -> FloatArray:
    """Ohmic current [A]."""
    return state.g * volts


def window(p: Parameters) -> Window:
    """The pulses that are used, and the range of the line."""
    pulses, line = p.pulses, p.line
    return Window(
        v_min=pulses.v_reset.value,
        v_max=pulses.v_set.value,
        i_cc_min=line.i_cc_min.value,
        i_cc_max=line.i_cc_max.value,
        width_min_s=min(pulses.set_width_min.value, pulses.reset_width_min.value),
    )


def programming(p: Parameters, levels: FloatArray) -> Programming:
    """The pulses for levels, each with the I_cc that the line gives it.

    Raises
    ------
    DeviceError
        If a level needs an I_cc outside the line's range, or the codes do not
        cover the line.
    """
    line, pulses = p.line, p.pulses
    level_i_cc = compliance(p, levels)
    low, high = line.i_cc_min.value, line.i_cc_max.value
    if not low <= level_i_cc[0] <= level_i_cc[-1] <= high:
        raise DeviceError(
            f"the levels need I_cc from {level_i_cc[0]:.4g} to {level_i_cc[-1]:.4g} A, "
            f"outside line.i_cc_min..i_cc_max = {low:g}..{high:g} A"
        )
    reach = float(mean(p, high) + _MAX_SIGMA * sigma(p, high))
    g_lsb = p.codes.g_lsb.value if p.codes is not None else 0.0
    if reach > G_CODE_MAX * g_lsb:
        raise DeviceError(
            f"codes.g_lsb = {g_lsb:g} S covers {G_CODE_MAX * g_lsb:.4g} S, "
            f"the line reaches {reach:.4g} S"
        )
    return Programming(
        v_set=pulses.v_set.value,
        set_width_s=pulses.set_width.value,
        v_reset=pulses.v_reset.value,
        reset_width_s=pulses.reset_width.value,
        level_i_cc=level_i_cc,
    )
