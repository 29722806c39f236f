"""Family ``filament``: a filament is there or it is not, so a cell has two states.

Both states are log-normal: as made (device to device) and anew at each switching
(cycle to cycle). The thresholds spread likewise, as a fraction of their nominal
value. The low-resistance state is ohmic; in the high-resistance one traps give ::

    I = G V (1 + |V| / v_child + (|V| / v_trap)^n) / (the bracket at v_read)

whose slope on logarithmic axes goes from 1 through 2 to n + 1. With temperature the
conductance of a state follows ``exp(-E / k (1 / T - 1 / T_reference))``: an energy
above 0 is a conductance that rises with temperature.

``bipolar`` cells RESET with the other sign than they SET, ``unipolar`` ones with
the same sign and no compliance current, ``write_once`` ones never.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from ...numerics import G_CODE_MAX, FloatArray
from ..draws import Z_MAX, Draws
from ..drift import faded
from ..errors import ComplianceError, DeviceError, WriteOnceError
from ..family import Programming, Stress, Window, marked, once, replaced
from ..laws import arrhenius, limited
from ..schema import (
    NOT_NEGATIVE,
    NOT_ZERO,
    POSITIVE,
    WHOLE,
    ModeSection,
    Quantity,
    Section,
    Wear,
    ascending,
    number,
    unit,
)
from ..state import CellState, Health
from ..wear import count, refuse_worn

RELAXES = False

_MARGIN = 4.0  # standard deviations of a threshold that count as reaching it
_SPREAD_MAX = 0.15  # of a threshold: 6.4 deviations leave its sign alone
_MADE_HRS, _MADE_LRS, _MADE_SET, _MADE_RESET = range(4)  # indices of as-made draws
_PULSE_STATE, _PULSE_THRESHOLD = range(2)  # indices of draws of a pulse


class State(Section):
    """A resistance state: median conductance, spreads, activation energy."""

    conductance: Annotated[Quantity, unit("S"), POSITIVE]
    device_spread: Annotated[Quantity, unit("decade"), NOT_NEGATIVE]
    cycle_spread: Annotated[Quantity, unit("decade"), NOT_NEGATIVE]
    activation: Annotated[Quantity, unit("eV")]


class Switch(Section):
    """A switching event: nominal threshold, its spreads, and the pulse that is used."""

    threshold: Annotated[Quantity, unit("V"), NOT_ZERO]
    device_spread: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    cycle_spread: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    volts: Annotated[Quantity, unit("V"), NOT_ZERO]
    width: Annotated[Quantity, unit("s"), POSITIVE]
    width_min: Annotated[Quantity, unit("s"), POSITIVE]

    @model_validator(mode="after")
    def _consistent(self) -> Switch:
        ascending(self, ("width_min", "width"))
        if not self.volts.value / self.threshold.value > 1:
            raise ValueError("volts must be beyond threshold, with the same sign")
        if self.device_spread.value + self.cycle_spread.value > _SPREAD_MAX:
            raise ValueError(f"device_spread and cycle_spread are above {_SPREAD_MAX:g} together")
        return self

    @property
    def sign(self) -> float:
        return math.copysign(1.0, self.threshold.value)

    @property
    def weakest(self) -> float:
        """Magnitude of a voltage that some cell may switch at [V]."""
        spread = math.hypot(self.device_spread.value, self.cycle_spread.value)
        return abs(self.threshold.value) * (1.0 - _MARGIN * spread)


class Compliance(Section):
    """Below ``i_cc_min`` no filament forms; a SET above ``i_cc_max`` is refused."""

    i_cc_min: Annotated[Quantity, unit("A"), POSITIVE]
    i_cc_max: Annotated[Quantity, unit("A"), POSITIVE]
    i_cc: Annotated[Quantity, unit("A"), POSITIVE]
    i_cc_off: Annotated[Quantity, unit("A"), POSITIVE]


class Conduction(Section):
    """The high-resistance state beyond ohmic conduction."""

    v_child: Annotated[Quantity, unit("V"), POSITIVE]
    v_trap: Annotated[Quantity, unit("V"), POSITIVE]
    exponent: Annotated[Quantity, unit("1"), WHOLE]


class Parameters(ModeSection):
    """The sections of a mode of this family; write-once cells have no ``reset``."""

    switching: Literal["bipolar", "unipolar", "write_once"]
    lrs: State
    hrs: State
    set: Switch
    reset: Switch | None = None
    compliance: Compliance
    conduction: Conduction
    wear: Wear  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]

    @model_validator(mode="after")
    def _consistent(self) -> Parameters:
        ascending(
            self,
            ("hrs.conductance", "lrs.conductance"),
            ("compliance.i_cc_off", "compliance.i_cc_min"),
            ("compliance.i_cc_min", "compliance.i_cc_max"),
        )
        low, high = self.compliance.i_cc_min.value, self.compliance.i_cc_max.value
        if not low <= self.compliance.i_cc.value <= high:
            raise ValueError("compliance.i_cc is outside i_cc_min..i_cc_max")
        if not self.read.v_read.value < self.set.weakest:
            raise ValueError("read.v_read may SET a cell")
        if (self.reset is None) != (self.switching == "write_once"):
            wanted = "none" if self.reset is not None else "one"
            raise ValueError(f"reset: a {self.switching} cell has {wanted}")
        if self.reset is not None:
            same = self.reset.sign == self.set.sign
            if same != (self.switching == "unipolar"):
                raise ValueError(
                    f"reset.threshold: its sign is not that of a {self.switching} cell"
                )
            if same and not abs(self.reset.volts.value) < self.set.weakest:
                raise ValueError("reset.volts of a unipolar cell may SET it")
        if self.levels is not None:
            if number(self, "levels.count") != 2:
                raise ValueError("levels.count: a filament is there or not, that is 2 levels")
            if self.switching == "write_once":
                raise ValueError("levels: a cell that can be written once holds no weights")
        return self


# -- states and thresholds ------------------------------------------------------------


def _as_made(state: State, draws: Draws, made: int) -> FloatArray:
    """Conductance [S] of a state of each cell before its first pulse."""
    return state.conductance.value * draws.made_factor(made, state.device_spread.value)


def _conductance(state: State, draws: Draws, made: int) -> FloatArray:
    """Conductance [S] of a state of each cell, this time."""
    cycle = draws.pulse_factor(_PULSE_STATE, state.cycle_spread.value)
    return _as_made(state, draws, made) * cycle


def _traps(p: Parameters, volts: FloatArray | float) -> FloatArray:
    """The bracket of the current in the high-resistance state."""
    magnitude = np.abs(np.asarray(volts, dtype=np.float64))
    ratio = magnitude / p.conduction.v_trap.value
    power = np.ones_like(ratio)
    for _ in range(int(p.conduction.exponent.value)):
        power = power * ratio
    return 1.0 + magnitude / p.conduction.v_child.value + power


# -- the family -----------------------------------------------------------------------


def pristine(p: Parameters, draws: Draws, shape: tuple[int, ...]) -> CellState:
    """Cells as made: the high-resistance state."""
    return enter(p, CellState.blank(shape), draws)


def enter(p: Parameters, state: CellState, draws: Draws) -> CellState:
    """The high-resistance state with the cell's own part of the spread.

    A cell that comes in by itself, worn out in the mode that it leaves, keeps its
    filament: that is why it no longer is in that mode.
    """
    zero = np.zeros(state.shape)
    g, w = _as_made(p.hrs, draws, _MADE_HRS), zero.copy()
    stays = state.health != Health.OK
    if stays.any():
        g[stays] = _conductance(p.lrs, draws.take(stays), _MADE_LRS)
        w[stays] = 1.0
    return state.with_(g=g, w=w, s=zero, q=zero)


def _reaches(
    switch: Switch, volts: FloatArray, draws: Draws, made: int
) -> NDArray[np.bool_] | np.bool_:
    """Whether a voltage reaches each cell's threshold, this time."""
    device, cycle = switch.device_spread.value, switch.cycle_spread.value
    nominal = abs(switch.threshold.value)
    most = nominal * (1.0 + Z_MAX * (device + cycle))
    if once(lambda v: np.abs(v) >= most, volts).all():
        return np.True_  # no threshold that can be drawn is above that
    factor = draws.pulse(_PULSE_THRESHOLD, cycle)
    factor += draws.made(made, device)
    factor += 1.0
    return once(lambda v: np.abs(v) / nominal, volts) >= factor


def _limited(p: Parameters, i_cc: FloatArray) -> NDArray[np.bool_]:
    """Where the compliance current is one that a SET may have."""
    return i_cc <= p.compliance.i_cc_max.value


def _may_set(p: Parameters, stress: Stress) -> NDArray[np.bool_]:
    """Where a SET of some cell is possible."""

    def may(volts: FloatArray, seconds: FloatArray, i_cc: FloatArray) -> NDArray[np.bool_]:
        strong = p.set.sign * volts >= p.set.weakest
        return strong & (seconds >= p.set.width_min.value) & (i_cc >= p.compliance.i_cc_min.value)

    return once(may, stress.volts, stress.seconds, stress.i_cc)


def _may_reset(p: Parameters, stress: Stress) -> NDArray[np.bool_]:
    """Where a RESET of some cell is possible."""
    reset = p.reset
    if reset is None:
        return np.zeros(stress.volts.shape, dtype=np.bool_)

    def may(volts: FloatArray, seconds: FloatArray, i_cc: FloatArray) -> NDArray[np.bool_]:
        strong = (reset.sign * volts >= reset.weakest) & (seconds >= reset.width_min.value)
        return strong & ~_limited(p, i_cc) if p.switching == "unipolar" else strong

    return once(may, stress.volts, stress.seconds, stress.i_cc)


def refuse(p: Parameters, state: CellState, stress: Stress) -> None:
    """Raise before a second write, a SET without limit, and switching beyond the endurance.

    Raises
    ------
    WriteOnceError
        If a cell that can be written once has been.
    ComplianceError
        If a SET's compliance current is above what the device is described for.
    EnduranceError
        If a cell has had its cycles.
    """
    sets, resets = _may_set(p, stress), _may_reset(p, stress)
    if p.switching == "write_once":
        if (sets & state.written).any():
            raise WriteOnceError("a second write of a cell that can be written once, ever")
        opposite = -p.set.sign * stress.volts >= p.set.weakest
        if (opposite & state.written).any():
            raise WriteOnceError("an erase of a cell that can be written once, ever")
    unlimited = sets & ~_limited(p, stress.i_cc) & (state.w == 0)
    if unlimited.any():
        raise ComplianceError(
            f"SET with I_cc = {float(stress.i_cc[unlimited][0]):.4g} A: the cell is "
            f"described up to {p.compliance.i_cc_max.value:g} A"
        )
    if p.switching != "write_once":
        refuse_worn(p.wear, state, stress, sets | resets)


def drive(p: Parameters, state: CellState, stress: Stress, draws: Draws) -> CellState:
    """The cells after an interval."""
    on = state.w != 0
    sets = _may_set(p, stress) & _limited(p, stress.i_cc) & ~on
    resets = _may_reset(p, stress) & on
    state = faded(p.drift, state, stress.seconds)
    g = state.g
    for switching, switch, of_switch, to, of_state in (
        (sets, p.set, _MADE_SET, p.lrs, _MADE_LRS),
        (resets, p.reset, _MADE_RESET, p.hrs, _MADE_HRS),
    ):
        if switch is None or not switching.any():
            continue
        here = marked(switching)
        some = draws.take(here)
        reached = _reaches(switch, stress.volts[here], some, of_switch)
        new = _conductance(to, some, of_state)
        g = replaced(g, here, np.where(reached, new, g[here]))
        switching[here] = reached
    w = ((on & ~resets) | sets).astype(np.float64)
    age = state.s if p.drift is None else np.where(sets | resets, 0.0, state.s)
    after = state.with_(g=g, w=w, s=age, written=state.written | sets)
    return after if p.switching == "write_once" else count(p.wear, after, stress, sets)


def flowing(p: Parameters, before: CellState, after: CellState, stress: Stress) -> FloatArray:
    """The current [A] at the end of an interval, within compliance."""
    return limited(current(p, after, stress.volts, stress.temperature_k), stress)


def relax(p: Parameters, state: CellState, seconds: FloatArray) -> CellState:
    """The cells after a time at 0 V: as they are, but for drift."""
    return faded(p.drift, state, seconds)


def current(
    p: Parameters, state: CellState, volts: FloatArray, temperature_k: FloatArray
) -> FloatArray:
    """Ohmic current of a filament, trap-limited current without one [A]."""
    on = state.g * volts * arrhenius(p.lrs.activation.value, temperature_k)
    traps = once(lambda v: _traps(p, v) / _traps(p, p.read.v_read.value), volts)
    off = state.g * volts * traps * arrhenius(p.hrs.activation.value, temperature_k)
    return np.where(state.w > 0, on, off)


def window(p: Parameters) -> Window:
    """The pulses that are used, and the compliance currents of a SET."""
    switches = [p.set] if p.reset is None else [p.set, p.reset]
    volts = [0.0, *(switch.volts.value for switch in switches)]
    return Window(
        v_min=min(volts),
        v_max=max(volts),
        i_cc_min=p.compliance.i_cc_min.value,
        i_cc_max=p.compliance.i_cc_max.value,
        width_min_s=min(switch.width_min.value for switch in switches),
        set_sign=p.set.sign,
    )


def programming(p: Parameters, levels: FloatArray) -> Programming:
    """RESET, then a SET with too little current for a filament (level 0) or with enough.

    Raises
    ------
    DeviceError
        If the codes do not cover the low-resistance state.
    """
    reach = p.lrs.conductance.value
    g_lsb = p.codes.g_lsb.value if p.codes is not None else 0.0
    if p.reset is None or reach > G_CODE_MAX * g_lsb:
        raise DeviceError(
            f"codes.g_lsb = {g_lsb:g} S covers {G_CODE_MAX * g_lsb:.4g} S, "
            f"the low-resistance state has {reach:.4g} S"
        )
    return Programming(
        v_set=p.set.volts.value,
        set_width_s=p.set.width.value,
        v_reset=p.reset.volts.value,
        reset_width_s=p.reset.width.value,
        level_i_cc=np.array([p.compliance.i_cc_off.value, p.compliance.i_cc.value]),
    )
