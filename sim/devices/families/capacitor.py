"""Family ``capacitor``: a cell that stores charge, in a double layer and in a redox couple.

Charge against the voltage V of the store, with C_whole = area * capacitance::

    Q = C_whole fade [(1 - x) V + x v_max (L(V) - L(0)) / (L(v_max) - L(0))]
    L = 1 / (1 + exp((v_redox - V) / width))

so that Q(v_max) = C_whole v_max when new, and the slope dQ/dV, which a slow
voltammogram shows, has a peak at ``v_redox``. The terminals see the store through a
series resistance. Open, the charge decays exponentially; ``g`` is the leak that this
is, C / self_discharge, and so keeps a cell's own capacitance. ``w`` is the part of a full
cycle (2 C_whole v_max of charge moved) since ``cycles`` was last counted up.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import model_validator

from ...numerics import FloatArray, exp
from ..errors import DeviceError
from ..family import Draws, Stress, Window
from ..schema import (
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    ModeSection,
    Quantity,
    Section,
    ascending,
    unit,
)
from ..state import CellState
from ..wear import refuse_worn

RELAXES = True

_HALVINGS = 52  # of the voltage window: down to its last bits
_LN10 = 2.302585092994046


class Store(Section):
    """What is stored, and where the redox couple is."""

    area: Annotated[Quantity, unit("m2"), POSITIVE]
    capacitance: Annotated[Quantity, unit("F/m2"), POSITIVE]
    v_max: Annotated[Quantity, unit("V"), POSITIVE]
    redox_part: Annotated[Quantity, unit("1"), FRACTION]
    v_redox: Annotated[Quantity, unit("V"), POSITIVE]
    redox_width: Annotated[Quantity, unit("V"), POSITIVE]
    spread: Annotated[Quantity, unit("decade"), NOT_NEGATIVE]


class Loss(Section):
    """What is lost: in the series resistance (of unit area), in time, with use."""

    resistance: Annotated[Quantity, unit("ohm m2"), POSITIVE]
    self_discharge: Annotated[Quantity, unit("s"), POSITIVE]
    fade: Annotated[Quantity, unit("1"), NOT_NEGATIVE]


class Parameters(ModeSection):
    """The sections of a mode of this family; its cycle life is in ``wear``."""

    store: Store
    loss: Loss

    @model_validator(mode="after")
    def _holds(self) -> Parameters:
        ascending(self, ("store.v_redox", "store.v_max"))
        if self.wear is None:
            raise ValueError("wear is missing: a store has a cycle life")
        if not self.loss.fade.value * self.wear.endurance.value < 0.5:
            raise ValueError("loss.fade takes half the capacitance or more within wear.endurance")
        return self


# -- charge and voltage ---------------------------------------------------------------


def _couple(p: Parameters, volts: FloatArray) -> FloatArray:
    """Part of the redox couple that has reacted at a voltage, 0 at 0 V and 1 at v_max."""
    middle, width = p.store.v_redox.value, p.store.redox_width.value
    bottom = 1.0 / (1.0 + math.exp(middle / width))
    top = 1.0 / (1.0 + math.exp((middle - p.store.v_max.value) / width))
    return (1.0 / (1.0 + exp((middle - volts) / width)) - bottom) / (top - bottom)


def _whole(p: Parameters, state: CellState) -> FloatArray:
    """Charge [C] that the store holds at v_max: the cell's own, less what use has taken."""
    made = state.g * p.loss.self_discharge.value
    fade = 1.0 - p.loss.fade.value * (state.cycles + state.w)
    return made * fade * p.store.v_max.value


def _charge(p: Parameters, whole: FloatArray, volts: FloatArray) -> FloatArray:
    """Charge [C] of the store at a voltage."""
    x = p.store.redox_part.value
    return whole * ((1.0 - x) * (volts / p.store.v_max.value) + x * _couple(p, volts))


def _slope(p: Parameters, whole: FloatArray, volts: FloatArray) -> FloatArray:
    """Differential capacitance dQ/dV [F] at a voltage, over one thousandth of the window."""
    step = p.store.v_max.value * 1e-3
    return (_charge(p, whole, volts + 0.5 * step) - _charge(p, whole, volts - 0.5 * step)) / step


def voltage(p: Parameters, state: CellState) -> FloatArray:
    """Open-circuit voltage [V] of the cells: the charge curve, inverted by bisection."""
    whole = _whole(p, state)
    low, high = np.zeros(state.shape), np.full(state.shape, p.store.v_max.value)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        under = _charge(p, whole, middle) < state.q
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return 0.5 * (low + high)


def _resistance(p: Parameters) -> float:
    return p.loss.resistance.value / p.store.area.value


def _moved(p: Parameters, state: CellState, q: FloatArray) -> CellState:
    """The cells with another charge, the charge that was moved added to their use."""
    use = state.w + np.abs(q - state.q) / (2.0 * _whole(p, state))
    full = np.floor(use)
    return state.with_(q=q, w=use - full, cycles=state.cycles + full.astype(np.uint32))


# -- the family -----------------------------------------------------------------------


def pristine(p: Parameters, draws: Draws, shape: tuple[int, ...]) -> CellState:
    """Empty cells, one draw per cell for the spread of their capacitance."""
    return enter(p, CellState.blank(shape), draws)


def enter(p: Parameters, state: CellState, draws: Draws) -> CellState:
    """Empty cells that have had no cycle."""
    capacitance = p.store.capacitance.value * p.store.area.value
    own = capacitance * exp(_LN10 * p.store.spread.value * draws.made(0))
    zero = np.zeros(state.shape)
    return state.with_(g=own / p.loss.self_discharge.value, w=zero, s=zero, q=zero)


def refuse(p: Parameters, state: CellState, stress: Stress) -> None:
    """Raises :class:`DeviceError` outside the voltage window, or beyond the cycle life."""
    high = p.store.v_max.value
    outside = ~((stress.volts >= 0) & (stress.volts <= high))
    if outside.any():
        raise DeviceError(
            f"{float(stress.volts[outside][0]):.4g} V is outside 0..{high:g} V, "
            "the window in which the cell stores charge"
        )
    assert p.wear is not None
    refuse_worn(p.wear, state, stress, np.ones(state.shape, dtype=np.bool_))


def drive(
    p: Parameters, state: CellState, stress: Stress, draws: Draws
) -> tuple[CellState, FloatArray]:
    """The cells after an interval, and the mean current [A] over it.

    The store follows the terminals through its series resistance with the
    differential capacitance that it has at the start. The mean is returned since
    it, unlike the last instant of a step, is what a voltammogram shows.
    """
    whole, before = _whole(p, state), voltage(p, state)
    tau = _resistance(p) * _slope(p, whole, before)
    after = stress.volts + (before - stress.volts) * exp(-stress.seconds / tau)
    most = stress.i_cc * stress.seconds
    moved = np.clip(_charge(p, whole, after) - state.q, -most, most)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(stress.seconds > 0, moved / stress.seconds, 0.0)
    return _moved(p, state, state.q + moved), mean


def charge(p: Parameters, state: CellState, amperes: FloatArray, seconds: float) -> CellState:
    """The cells after a constant current, self-discharge beside it.

    Raises
    ------
    DeviceError
        If the current would take a store out of its window, or a cell has had its
        cycles; nothing has changed.
    """
    refuse(p, state, Stress.on(state.shape, 0.0, seconds))
    tau = p.loss.self_discharge.value
    settled = amperes * tau
    q = settled + (state.q - settled) * exp(-seconds / tau)
    whole = _whole(p, state)
    outside = ~((q >= 0) & (q <= whole))
    if outside.any():
        part = float((q / whole)[outside][0])
        raise DeviceError(
            f"charging would leave a cell at {part:.4g} of its full charge, accepted is 0..1"
        )
    return _moved(p, state, q)


def relax(p: Parameters, state: CellState, seconds: FloatArray) -> CellState:
    """The cells after a time open: self-discharge, which is no use of the cell."""
    return state.with_(q=state.q * exp(-seconds / p.loss.self_discharge.value))


def current(
    p: Parameters, state: CellState, volts: FloatArray, temperature_k: FloatArray
) -> FloatArray:
    """Current [A] through the series resistance at the instant a voltage is applied."""
    return (volts - voltage(p, state)) / _resistance(p)


def window(p: Parameters) -> Window:
    """The voltages between which cells store charge; a compliance current is not needed."""
    return Window(
        v_min=0.0,
        v_max=p.store.v_max.value,
        i_cc_min=0.0,
        i_cc_max=math.inf,
        width_min_s=0.0,
    )


# -- several cells as one -------------------------------------------------------------


def combine(p: Parameters, series: int, parallel: int) -> Parameters:
    """The store of ``parallel`` strings of ``series`` equal cells each.

    Its voltages are ``series`` times those of a cell, its capacitance
    ``parallel / series`` times, its resistance ``series / parallel`` times.

    Raises
    ------
    DeviceError
        On fewer than one cell either way.
    """
    if series < 1 or parallel < 1:
        raise DeviceError(f"{parallel} strings of {series} cells are no store")

    def times(quantity: Quantity, factor: float) -> Quantity:
        return quantity.model_copy(update={"value": quantity.value * factor})

    s, loss = p.store, p.loss
    store = s.model_copy(
        update={
            "area": times(s.area, parallel),
            "capacitance": times(s.capacitance, 1.0 / series),
            "v_max": times(s.v_max, series),
            "v_redox": times(s.v_redox, series),
            "redox_width": times(s.redox_width, series),
        }
    )
    loss = loss.model_copy(update={"resistance": times(loss.resistance, series)})
    return p.model_copy(update={"store": store, "loss": loss})
