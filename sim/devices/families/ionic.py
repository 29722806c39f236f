"""Family ``ionic``: ions drift into a film and dope it, so its conductance has no steps.

The long-term state ``w`` runs from 0 (g_min) to 1 (g_max); the short-term state
``s`` (0..1) lifts the conductance while it lasts and decays by itself::

    G = scale (g_min + (g_max - g_min) (exp(k w) - 1) / (exp(k) - 1)) (1 + gain s)
    I = G v0 sinh(V / v0)

Beyond a threshold ions move, at a rate f(V) that grows exponentially and is 1 at
the direction's ``v_full``. Upwards ::

    ds/dt = f / rise (1 - s) - s / decay
    dose  = f / duration * integral of (floor + (1 - floor) s) dt
    w     = (1 - exp(-nu dose)) / (1 - exp(-nu))      from w = 0 at a dose of 0

and downwards 1 - w follows the same law with floor = 1, while s is driven to 0 at
f / rise. ``v_reach`` takes w all the way; a lower amplitude moves it towards, and
never beyond, the part (|V| - |threshold|) / (|v_reach| - |threshold|). All of these
are flows: an interval cut in two gives the same state. :func:`train` is their inverse.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import model_validator

from ...numerics import G_CODE_MAX, FloatArray, exp, log
from ..draws import Z_MAX, Draws, decades
from ..errors import DeviceError
from ..family import (
    REFERENCE_K,
    LevelPulses,
    PulseTrain,
    Stress,
    Window,
    marked,
    narrow,
    once,
    replaced,
)
from ..laws import STEEPEST, arrhenius, limited
from ..schema import (
    FRACTION,
    NEGATIVE,
    NOT_NEGATIVE,
    POSITIVE,
    Drive,
    ModeSection,
    Quantity,
    Section,
    ascending,
    unit,
)
from ..state import CellState

RELAXES = True

_MOST_PULSES = 4096  # from level to level; more would take minutes for one cell


class Conductance(Section):
    """The film: range at the reference area, shape of G(w), state as made, conduction."""

    g_min: Annotated[Quantity, unit("S"), POSITIVE]
    g_max: Annotated[Quantity, unit("S"), POSITIVE]
    curvature: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    made: Annotated[Quantity, unit("1"), FRACTION]
    area: Annotated[Quantity, unit("m2"), POSITIVE]
    reference_area: Annotated[Quantity, unit("m2"), POSITIVE]
    v0: Annotated[Quantity, unit("V"), POSITIVE]


class Up(Section):
    """How G grows: the signs of the voltages are those of the polarity that raises it."""

    v_threshold: Annotated[Quantity, unit("V")]
    v_full: Annotated[Quantity, unit("V")]
    v_reach: Annotated[Quantity, unit("V")]
    v_scale: Annotated[Quantity, unit("V"), POSITIVE]
    duration: Annotated[Quantity, unit("s"), POSITIVE]
    nonlinearity: Annotated[Quantity, unit("1"), POSITIVE]


class Down(Section):
    """How G falls, with the other polarity."""

    v_threshold: Annotated[Quantity, unit("V")]
    v_full: Annotated[Quantity, unit("V")]
    v_reach: Annotated[Quantity, unit("V")]
    v_scale: Annotated[Quantity, unit("V"), POSITIVE]
    duration: Annotated[Quantity, unit("s"), POSITIVE]
    nonlinearity: Annotated[Quantity, unit("1"), NEGATIVE]


class ShortTerm(Section):
    """The part that is forgotten, and how much of it a lasting change needs."""

    gain: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    rise: Annotated[Quantity, unit("s"), POSITIVE]
    decay: Annotated[Quantity, unit("s"), POSITIVE]
    floor: Annotated[Quantity, unit("1"), FRACTION]


class Spread(Section):
    """Cycle to cycle, as a fraction of a change of w; device to device, in decades of G."""

    cycle: Annotated[Quantity, unit("1"), NOT_NEGATIVE]
    device: Annotated[Quantity, unit("decade"), NOT_NEGATIVE]


class Heat(Section):
    """Arrhenius law of the ions' rate; 1 at the reference temperature."""

    activation_energy: Annotated[Quantity, unit("eV"), NOT_NEGATIVE]


class Pulses(Section):
    """How cells are put on levels: width and largest amplitude of a pulse, either polarity.

    ``margin`` is the part by which an amplitude reaches further than a nominal cell needs.
    """

    width: Annotated[Quantity, unit("s"), POSITIVE]
    volts: Annotated[Quantity, unit("V"), POSITIVE]
    margin: Annotated[Quantity, unit("1"), FRACTION]


class Parameters(ModeSection):
    """The sections of a mode of this family; one that holds weights has ``pulses``."""

    conductance: Conductance
    up: Up
    down: Down
    short_term: ShortTerm
    spread: Spread
    heat: Heat
    drive: Drive
    pulses: Pulses | None = None

    @model_validator(mode="after")
    def _hangs_together(self) -> Parameters:
        ascending(self, ("conductance.g_min", "conductance.g_max"))
        up, down = self.up.v_threshold.value, self.down.v_threshold.value
        if not up * down < 0:
            raise ValueError(
                f"up.v_threshold = {up:g} and down.v_threshold = {down:g} must differ in sign"
            )
        for name, leg in (("up", self.up), ("down", self.down)):
            threshold = leg.v_threshold.value
            for field, quantity in (("v_full", leg.v_full), ("v_reach", leg.v_reach)):
                if not quantity.value / threshold > 1:
                    raise ValueError(
                        f"{name}.{field} = {quantity.value:g} must lie beyond "
                        f"{name}.v_threshold = {threshold:g}"
                    )
        self._levels_can_be_written()
        return self

    def _levels_can_be_written(self) -> None:
        if (self.levels is None) != (self.pulses is None):
            raise ValueError("levels and pulses, which put cells on them, go together")
        if self.pulses is None:
            return
        ascending(self, ("drive.width_min", "pulses.width"), ("pulses.volts", "drive.v_max"))
        if -self.pulses.volts.value < self.drive.v_min.value:
            raise ValueError("pulses.volts must lie inside drive.v_min .. v_max")
        if _forgets(self):
            raise ValueError(
                "levels: a cell that forgets a part of a pulse stays on none, accepted are "
                "short_term.gain = 0 and short_term.floor = 1"
            )


# -- conductance ----------------------------------------------------------------------


def _film(p: Parameters, w: FloatArray) -> FloatArray:
    """Conductance [S] of a cell of the entry's area without spread or short-term part."""
    c = p.conductance
    curvature = c.curvature.value
    size = c.area.value / c.reference_area.value
    span = size * (c.g_max.value - c.g_min.value)
    if curvature == 0:
        g = span * w
    else:
        g = exp(curvature * w)
        g -= 1.0
        g *= span / (math.exp(curvature) - 1.0)
    g += size * c.g_min.value
    return g


def _doping(p: Parameters, g: FloatArray) -> FloatArray:
    """The ``w``, 0..1, of which :func:`_film` makes a conductance [S], or the nearest one."""
    c = p.conductance
    size, curvature = c.area.value / c.reference_area.value, c.curvature.value
    span = size * (c.g_max.value - c.g_min.value)
    part = np.clip((g - size * c.g_min.value) / span, 0.0, 1.0)
    if curvature == 0:
        return part
    return np.clip(log(1.0 + part * (math.exp(curvature) - 1.0)) / curvature, 0.0, 1.0)


def _lift(p: Parameters, s: FloatArray) -> FloatArray:
    lift = p.short_term.gain.value * s
    lift += 1.0
    return lift


def _scale(p: Parameters, draws: Draws) -> FloatArray | float:
    spread = p.spread.device.value
    return 1.0 if spread == 0 else draws.made_factor(0, spread)


# -- motion ---------------------------------------------------------------------------


def _rate(p: Parameters, leg: Up | Down, volts: FloatArray, kelvin: FloatArray) -> FloatArray:
    """Rate of the ions in the direction of a leg; 0 up to its threshold, 1 at ``v_full``."""
    return once(lambda v, t: _rate_of(p, leg, v, t), volts, kelvin)


def _rate_of(p: Parameters, leg: Up | Down, volts: FloatArray, kelvin: FloatArray) -> FloatArray:
    sign = math.copysign(1.0, leg.v_threshold.value)
    threshold, full = abs(leg.v_threshold.value), abs(leg.v_full.value)
    beyond = np.minimum((sign * volts - threshold) / leg.v_scale.value, STEEPEST)
    at_full = math.exp((full - threshold) / leg.v_scale.value) - 1.0
    rate = np.maximum(exp(beyond) - 1.0, 0.0) / at_full
    energy = p.heat.activation_energy.value
    if energy > 0:
        rate = rate * arrhenius(energy, kelvin)
    return rate


def _reach(leg: Up | Down, volts: FloatArray) -> FloatArray:
    """The part of the whole way that an amplitude can take w."""
    threshold, full = abs(leg.v_threshold.value), abs(leg.v_reach.value)
    return np.clip((np.abs(volts) - threshold) / (full - threshold), 0.0, 1.0)


def _along(leg: Up | Down, way: FloatArray, dose: FloatArray, reach: FloatArray) -> FloatArray:
    """The part of the way, 0..1, that is done after a further dose."""
    nu = abs(leg.nonlinearity.value)
    end = 1.0 / (1.0 - math.exp(-nu))
    moved = exp(-nu * dose) * (way - end)
    moved += end
    np.minimum(moved, reach, out=moved)
    return np.maximum(way, moved, out=moved)


def _needed(
    p: Parameters, q: Pulses, leg: Up | Down, way: FloatArray, to: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Amplitude [V], width [s] and number of pulses from one part of the way to a further one.

    As few pulses of at most the entry's width as its largest amplitude allows, with the
    amplitude that makes them as wide as that. One that would not reach far enough is
    raised, and the pulses are shorter.
    """
    sign = math.copysign(1.0, leg.v_threshold.value)
    threshold, full = abs(leg.v_threshold.value), abs(leg.v_full.value)
    reach = np.minimum(to * (1.0 + q.margin.value), 1.0)
    least = threshold + reach * (abs(leg.v_reach.value) - threshold)
    nu, scale = abs(leg.nonlinearity.value), leg.v_scale.value
    end = 1.0 / (1.0 - math.exp(-nu))
    left = np.maximum(end - to, 2.0**-52)  # a steep law ends where it does not move any more
    seconds = leg.duration.value / nu * log((end - way) / left)  # at v_full
    strongest = np.full(way.shape, sign * q.volts.value)
    kelvin = np.full(way.shape, REFERENCE_K)
    pulses = np.ceil(seconds / (q.width.value * _rate_of(p, leg, strongest, kelvin)))
    each = seconds / np.maximum(pulses, 1.0)
    at_full = math.exp((full - threshold) / scale) - 1.0
    dosed = threshold + scale * log(1.0 + each / q.width.value * at_full)
    volts = sign * np.minimum(np.maximum(dosed, least), q.volts.value)
    # Without a way to go the amplitude may be the threshold, at which nothing moves.
    rate = np.maximum(_rate_of(p, leg, volts, kelvin), 1e-300)
    width = np.clip(each / rate, p.drive.width_min.value, q.width.value)
    return volts, width, pulses


def _forgets(p: Parameters) -> bool:
    """Whether anything depends on the short-term state; otherwise it stays what it is."""
    return p.short_term.gain.value > 0 or p.short_term.floor.value < 1


def _short(
    p: Parameters, s: FloatArray, up: FloatArray, down: FloatArray, seconds: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Short-term state after an interval, and its integral [s] over it."""
    t = p.short_term
    total = (up + down) / t.rise.value + 1.0 / t.decay.value
    settled = up / t.rise.value / total
    left = exp(-total * seconds)
    beyond = s - settled
    held = beyond * ((1.0 - left) / total)
    held += settled * seconds
    beyond *= left
    beyond += settled
    return beyond, held


# -- the family -----------------------------------------------------------------------


def pristine(p: Parameters, draws: Draws, shape: tuple[int, ...]) -> CellState:
    """Cells as made: ``w`` at its made value, one draw per cell for the spread of G."""
    return enter(p, CellState.blank(shape), draws)


def enter(p: Parameters, state: CellState, draws: Draws) -> CellState:
    """Cells as made."""
    w = np.full(state.shape, p.conductance.made.value)
    return state.with_(
        g=_film(p, w) * _scale(p, draws), w=w, s=np.zeros(state.shape), q=np.zeros(state.shape)
    )


def refuse(p: Parameters, state: CellState, stress: Stress) -> None:
    """Raises :class:`DeviceError` for an amplitude that the device is not described for."""
    p.drive.refuse(narrow(stress.volts))


def drive(p: Parameters, state: CellState, stress: Stress, draws: Draws) -> CellState:
    """The cells after an interval.

    In compliance a cell keeps ``i_cc / I`` of the voltage: a little less than the
    limiter leaves it, since I grows faster than V.
    """
    across = stress.volts
    if not once(np.isinf, stress.i_cc).all():
        unlimited = np.abs(current(p, state, across, stress.temperature_k))
        limited = unlimited > stress.i_cc
        if limited.any():
            across = np.where(limited, across * (stress.i_cc / unlimited), across)
    up = _rate(p, p.up, across, stress.temperature_k)
    down = _rate(p, p.down, across, stress.temperature_k)
    moving = once(lambda u, d: (u > 0) | (d > 0), up, down)
    after = state if moving.all() else relax(p, state, stress.seconds)
    if moving.any():
        here = marked(moving)
        g, w, s = _move(
            p, state.take(here), across[here], up[here], down[here],
            stress.seconds[here], draws.take(here),
        )  # fmt: skip
        after = after.with_(
            g=replaced(after.g, here, g), w=replaced(after.w, here, w), s=replaced(after.s, here, s)
        )
    return after


def flowing(p: Parameters, before: CellState, after: CellState, stress: Stress) -> FloatArray:
    """The current [A] at the end of an interval, within compliance."""
    return limited(current(p, after, stress.volts, stress.temperature_k), stress)


def _move(
    p: Parameters,
    state: CellState,
    volts: FloatArray,
    up: FloatArray,
    down: FloatArray,
    seconds: FloatArray,
    draws: Draws,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """G [S], w and s of cells whose ions moved at a rate, up or down."""
    up, down, volts, seconds = narrow(up), narrow(down), narrow(volts), narrow(seconds)
    s, w, rising = state.s, state.w, up > 0
    dose = up / p.up.duration.value * seconds
    if _forgets(p):
        floor = p.short_term.floor.value
        s, dose = _short(p, state.s, up, down, seconds)
        dose *= (1.0 - floor) * (up / p.up.duration.value)
        dose += floor * (up / p.up.duration.value) * seconds
    if rising.any():
        w = _along(p.up, state.w, dose, _reach(p.up, volts))
    if not rising.all():
        dose = down / p.down.duration.value * seconds
        fallen = 1.0 - _along(p.down, 1.0 - state.w, dose, _reach(p.down, volts))
        w = np.where(rising, w, fallen) if rising.any() else fallen
    if p.spread.cycle.value > 0:
        factor = draws.pulse(0, p.spread.cycle.value)
        factor += 1.0
        factor *= w - state.w
        factor += state.w
        w = np.clip(factor, 0.0, 1.0, out=factor)
    g = _film(p, w)
    g *= _scale(p, draws)
    g *= _lift(p, s)
    return g, w, s


def relax(p: Parameters, state: CellState, seconds: FloatArray) -> CellState:
    """The cells after a time at 0 V: the short-term part decays."""
    if not _forgets(p):
        return state
    s = state.s * once(lambda time: exp(-time / p.short_term.decay.value), seconds)
    return state.with_(g=state.g * (_lift(p, s) / _lift(p, state.s)), s=s)


def current(
    p: Parameters, state: CellState, volts: FloatArray, temperature_k: FloatArray
) -> FloatArray:
    """Current [A] at a voltage that leaves the cells as they are: no temperature in it."""
    v0 = p.conductance.v0.value
    return state.g * once(lambda v: v0 * _sinh(v / v0), volts)


def _sinh(x: FloatArray) -> FloatArray:
    power = exp(x)
    return (power - 1.0 / power) * 0.5


def level_pulses(p: Parameters, levels: FloatArray) -> LevelPulses:
    """The pulses for levels, each with amplitude and width by :func:`train`.

    Raises
    ------
    DeviceError
        If a level is further than the amplitude of the pulses reaches, or the codes do not
        cover the film.
    """
    assert p.pulses is not None and p.codes is not None
    volts, margin = p.pulses.volts.value, 1.0 + p.pulses.margin.value
    w = _doping(p, levels)
    for name, leg, way in (("up", p.up, float(w[-1])), ("down", p.down, 1.0 - float(w[0]))):
        reach = float(_reach(leg, np.array(volts)))
        if reach < min(margin * way, 1.0):
            raise DeviceError(
                f"the levels take {way:.3g} of the way {name}, with the margin "
                f"{min(margin * way, 1.0):.3g}: {volts:g} V reach {reach:.3g}"
            )
    span = _film(p, np.ones(1)) * decades(np.array([Z_MAX * p.spread.device.value]))
    g_lsb = p.codes.g_lsb.value
    if float(span[0]) > G_CODE_MAX * g_lsb:
        raise DeviceError(
            f"codes.g_lsb = {g_lsb:g} S covers {G_CODE_MAX * g_lsb:.4g} S, "
            f"the film reaches {float(span[0]):.4g} S"
        )
    ends = levels[[0, -1]]
    most = int(train(p, ends, ends[::-1]).pulses.max())
    if most > _MOST_PULSES:
        raise DeviceError(
            f"from one end of the levels to the other it takes {most} pulses, at most "
            f"{_MOST_PULSES} are accepted"
        )
    made = float(_film(p, np.full(1, p.conductance.made.value))[0])
    return LevelPulses(made, volts, p.pulses.width.value, partial(train, p))


def train(p: Parameters, g: FloatArray, target: FloatArray) -> PulseTrain:
    """The pulses that a nominal cell needs from ``g`` to ``target`` [S], of one shape.

    At the reference temperature. A conductance beyond the film's is its nearest end.
    """
    assert p.pulses is not None
    w, goal = _doping(p, g), _doping(p, target)
    up = _needed(p, p.pulses, p.up, np.minimum(w, goal), goal)
    down = _needed(p, p.pulses, p.down, np.minimum(1.0 - w, 1.0 - goal), 1.0 - goal)
    volts, seconds, pulses = (
        np.where(goal > w, rising, falling) for rising, falling in zip(up, down, strict=True)
    )
    return PulseTrain(volts, seconds, pulses.astype(np.int64))


def window(p: Parameters) -> Window:
    """The amplitudes of the entry; a compliance current is not needed."""
    return Window(
        v_min=p.drive.v_min.value,
        v_max=p.drive.v_max.value,
        i_cc_min=0.0,
        i_cc_max=math.inf,
        width_min_s=p.drive.width_min.value,
        set_sign=int(math.copysign(1, p.up.v_threshold.value)),
    )
