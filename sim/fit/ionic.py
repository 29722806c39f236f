"""Fit of the ``ionic`` family: the range of G, how it moves up and down, what is forgotten."""

from __future__ import annotations

import math

import numpy as np

from ..devices import Mode
from ..devices.families import ionic as family
from ..devices.schema import number
from .dynamic import device_spread, factors, repeats, spread_out
from .dynamic import fit as replayed
from .dynamic_plot import plot
from .errors import FitError
from .found import Found, Given
from .history import History, Kind
from .least import with_values
from .states import conductance
from .switching import read_noise, read_volts

BASE = "ohm"
_FREE = (
    "conductance.g_min", "conductance.g_max", "conductance.curvature",
    "up.duration", "up.nonlinearity", "down.duration", "down.nonlinearity",
    "short_term.gain", "short_term.rise", "short_term.decay",
)  # fmt: skip
_TRIES = factors(up=(0.3, 1.0, 3.0), down=(0.3, 1.0, 3.0), top=(0.3, 0.5, 1.0))
_WRITTEN = ("levels", "verify", "codes", "pulses")
"""Sections of a base that holds weights: its levels are on its own film."""
_GROUPS = {"up": ("up.duration",), "down": ("down.duration",), "top": ("conductance.g_max",)}


def fit(history: History, base: Mode) -> Found:
    """What the data tell about a mode of this family.

    Raises
    ------
    FitError
        If no pulse raises the conductance, or the model does not follow the data.
    """
    p = base.p
    assert isinstance(p, family.Parameters)
    g = conductance(history)
    reads = history.of(Kind.READ) & np.isfinite(g)
    if not reads.any():
        raise FitError(f"{history.name} has no read that shows a conductance")
    applied, derived = read_volts(history), []
    driven: dict[str, float] = {}
    for leg in ("up", "down"):
        driven |= _leg(history, p, leg, applied, derived)
    if "up.v_full" not in driven:
        raise FitError(f"{history.name} has no pulse of the polarity that raises the conductance")
    low, high = (float(np.quantile(g[reads], q)) for q in (0.02, 0.98))
    p = with_values(p, {**driven, "conductance.g_min": low, "conductance.g_max": 1.2 * high})
    names = [name for name in _FREE if not name.startswith("down") or "down.v_full" in driven]
    begin = {name: number(p, name) for name in names}
    found = replayed(
        history, family, p, begin, spread_out(_GROUPS, _TRIES),
        history.of(Kind.READ) | history.of(Kind.PULSE),
        math.copysign(1.0, p.up.v_threshold.value),
    )  # fmt: skip
    estimates = list(found.solution.estimates)
    others = (device_spread("spread.device", found), read_noise(repeats(history, g)))
    estimates += [other for other in others if other is not None]
    told = {e.name for e in estimates}
    derived += [
        Given(name, found.solution.values[name], "from the range of the reads")
        for name in ("conductance.g_min", "conductance.g_max")
        if name not in told
    ]
    return Found(
        tuple(estimates), tuple(applied), tuple(derived), _WRITTEN, (),
        lambda figure: plot(figure, history, found),
    )  # fmt: skip


def _leg(
    history: History,
    p: family.Parameters,
    leg: str,
    applied: list[Given],
    derived: list[Given],
) -> dict[str, float]:
    """Amplitudes of one direction: a threshold that no datum shows goes with the amplitude."""
    own = getattr(p, leg)
    sign = math.copysign(1.0, own.v_threshold.value)
    driven = (history.of(Kind.PULSE) | history.of(Kind.SWEEP)) & (sign * history.volts > 0)
    if not driven.any():
        return {}
    volts = sign * float(np.max(sign * history.volts[driven]))
    edge = "v_max" if sign > 0 else "v_min"
    applied += [
        Given(f"{leg}.v_full", volts, "the largest amplitude, for which the duration is"),
        Given(f"{leg}.v_reach", volts, "the largest amplitude that was used"),
        Given(f"drive.{edge}", volts, "the largest amplitude that was used"),
    ]
    found = {f"{leg}.v_full": volts, f"{leg}.v_reach": volts, f"drive.{edge}": volts}
    ratio = volts / own.v_full.value
    if ratio != 1.0:
        for field in ("v_threshold", "v_scale"):
            moved = getattr(own, field).value * ratio
            found[f"{leg}.{field}"] = moved
            derived.append(Given(f"{leg}.{field}", moved, "of the base, scaled with the amplitude"))
    shortest = float(history.seconds[driven].min())
    if 0 < shortest < p.drive.width_min.value:
        derived.append(Given("drive.width_min", shortest, "the shortest pulse that was used"))
    return found
