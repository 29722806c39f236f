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
from ..draws import Draws
from ..errors import DeviceError
from ..family import Stress, Window
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

_ROUNDS = 60  # halvings alone would do in these; Newton's steps take five or six
_CLOSE = 2.0**-51  # of the voltage window: its last bits


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


def _couple(p: Parameters, volts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Part of the redox couple that has reacted, 0 at 0 V and 1 at v_max; and its slope [1/V]."""
    middle, width = p.store.v_redox.value, p.store.redox_width.value
    least = math.exp(-middle / width)
    bottom = least / (1.0 + least)
    top = 1.0 / (1.0 + math.exp((middle - p.store.v_max.value) / width))
    reacted = 1.0 / (1.0 + exp((middle - volts) / width))
    whole = top - bottom
    return (reacted - bottom) / whole, reacted * (1.0 - reacted) / (width * whole)


def _whole(p: Parameters, state: CellState) -> FloatArray:
    """Charge [C] that the store holds at v_max: the cell's own, less what use has taken."""
    made = state.g * p.loss.self_discharge.value
    fade = 1.0 - p.loss.fade.value * (state.cycles + state.w)
    return made * fade * p.store.v_max.value


def _charge(p: Parameters, whole: FloatArray, volts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Charge [C] of the store at a voltage, and its differential capacitance dQ/dV [F]."""
    x, v_max = p.store.redox_part.value, p.store.v_max.value
    part, slope = _couple(p, volts)
    charge = whole * ((1.0 - x) * (volts / v_max) + x * part)
    return charge, whole * ((1.0 - x) / v_max + x * slope)


def voltage(p: Parameters, state: CellState) -> FloatArray:
    """Open-circuit voltage [V] of the cells: the charge curve, inverted.

    By Newton's method, with a halving wherever that would leave the bracket or gains
    too little. A cell that is there stays: it gives the same bits in any batch.
    """
    whole, top = _whole(p, state), p.store.v_max.value
    low, high = np.zeros(state.shape), np.full(state.shape, top)
    volts, last = np.clip(state.q / whole, 0.0, 1.0) * top, high
    there = np.zeros(state.shape, dtype=np.bool_)
    for _ in range(_ROUNDS):
        charge, slope = _charge(p, whole, volts)
        over = charge > state.q
        low, high = np.where(over, low, volts), np.where(over, volts, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = volts - (charge - state.q) / slope
        good = (newton >= low) & (newton <= high) & (np.abs(newton - volts) <= 0.5 * last)
        after = np.where(there, volts, np.where(good, newton, 0.5 * (low + high)))
        last = np.abs(after - volts)
        volts, there = after, there | (last <= _CLOSE * top)
        if there.all():
            break
    return volts


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
    own = capacitance * draws.made_factor(0, p.store.spread.value)
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


def drive(p: Parameters, state: CellState, stress: Stress, draws: Draws) -> CellState:
    """The cells after an interval.

    The store follows the terminals through its series resistance with the
    differential capacitance that it has at the start.
    """
    whole, before = _whole(p, state), voltage(p, state)
    tau = _resistance(p) * _charge(p, whole, before)[1]
    after = stress.volts + (before - stress.volts) * exp(-stress.seconds / tau)
    most = stress.i_cc * stress.seconds
    moved = np.clip(_charge(p, whole, after)[0] - state.q, -most, most)
    return _moved(p, state, state.q + moved)


def flowing(p: Parameters, before: CellState, after: CellState, stress: Stress) -> FloatArray:
    """The mean current [A] over an interval.

    It, unlike that of the last instant of a step, is what a voltammogram shows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(stress.seconds > 0, (after.q - before.q) / stress.seconds, 0.0)


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
