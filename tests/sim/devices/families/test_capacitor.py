"""The capacitor family: charge curve, voltammogram, constant current, losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ohmloom.sim.devices import REFERENCE_K, Draws, Stress
from ohmloom.sim.devices.errors import DeviceError, EnduranceError
from ohmloom.sim.devices.families import capacitor
from ohmloom.sim.devices.state import CellState

AREA = 3.14e-8
WHOLE = 41.0 * AREA  # F


def parameters(**changes: float) -> capacitor.Parameters:
    """A store of 41 F/m2 and 3.25 V, with changed values, ``loss__fade=0.1``."""
    numbers: dict[str, tuple[float, str]] = {
        "store__area": (AREA, "m2"),
        "store__capacitance": (41.0, "F/m2"),
        "store__v_max": (3.25, "V"),
        "store__redox_part": (0.3, "1"),
        "store__v_redox": (2.5, "V"),
        "store__redox_width": (0.1, "V"),
        "store__spread": (0.0, "decade"),
        "loss__resistance": (0.1, "ohm m2"),
        "loss__self_discharge": (1e5, "s"),
        "loss__fade": (0.0, "1"),
        "read__v_read": (0.1, "V"),
        "read__noise": (0.0, "1"),
        "wear__endurance": (3500.0, "cycle"),
        "wear__retention": (1e5, "s"),
    }
    raw: dict[str, Any] = {"family": "capacitor", "kind": "power", "wear": {"end": "collapsed"}}
    for name, (value, unit) in numbers.items():
        section, field = name.split("__")
        quantity = {"value": changes.get(name, value), "unit": unit, "assumed": "a test"}
        raw.setdefault(section, {})[field] = quantity
    return capacitor.Parameters.model_validate(raw)


def draws(count: int) -> Draws:
    return Draws(7, np.arange(count), np.zeros(count, dtype=np.int64))


def made(p: capacitor.Parameters, count: int = 1) -> CellState:
    return capacitor.pristine(p, draws(count), (count,))


def amperes(value: float, count: int = 1) -> np.ndarray:
    return np.full(count, value)


def steps(
    p: capacitor.Parameters, state: CellState, volts: np.ndarray, seconds: float
) -> tuple[CellState, np.ndarray]:
    """A staircase; the mean current of each step."""
    found = []
    for step in volts:
        stress = Stress.on((1,), step, seconds)
        before, state = state, capacitor.drive(p, state, stress, draws(1))
        found.append(capacitor.flowing(p, before, state, stress)[0])
    return state, np.array(found)


def test_cells_are_made_empty_and_hold_their_capacitance() -> None:
    p = parameters()
    state = made(p, 3)
    assert not state.q.any()
    assert capacitor.voltage(p, state) == pytest.approx(0.0, abs=1e-12)
    full = state.with_(q=np.full(3, WHOLE * 3.25))
    assert capacitor.voltage(p, full) == pytest.approx(3.25, rel=1e-12)


@pytest.mark.parametrize(
    ("part", "width"), [(0.0, 0.1), (0.3, 0.1), (0.3, 0.003), (0.99, 0.02), (1.0, 0.3)]
)
def test_voltage_inverts_the_charge_curve(part: float, width: float) -> None:
    p = parameters(store__redox_part=part, store__redox_width=width)
    state = made(p, 40)
    volts = np.linspace(0.0, 3.25, 40)
    charged = state.with_(q=capacitor._charge(p, capacitor._whole(p, state), volts)[0])
    assert capacitor.voltage(p, charged) == pytest.approx(volts, abs=1e-12)


def test_voltage_has_the_same_bits_in_any_batch() -> None:
    p = parameters(store__redox_width=0.02)
    state = made(p, 400).with_(q=WHOLE * 3.25 * np.linspace(0.0, 1.0, 400))
    together = capacitor.voltage(p, state)
    alone = [capacitor.voltage(p, state.take([n]))[0] for n in range(400)]
    assert np.array_equal(together, alone)


def test_a_slow_voltammogram_shows_the_redox_pair_on_the_double_layer() -> None:
    """dQ/dV by hand: C ((1 - x) + x v_max L'(V) / (L(v_max) - L(0))), times the rate."""
    p = parameters(loss__resistance=1e-6)
    step, rate = 0.01, 0.05
    up = np.arange(1, 326) * step
    state, charging = steps(p, made(p), up, step / rate)
    middle = up - step / 2
    logistic = 1 / (1 + np.exp((2.5 - middle) / 0.1))
    ends = 1 / (1 + np.exp((2.5 - np.array([0.0, 3.25])) / 0.1))
    slope = logistic * (1 - logistic) / 0.1 / (ends[1] - ends[0])
    expected = WHOLE * (0.7 + 0.3 * 3.25 * slope) * rate
    assert charging == pytest.approx(expected, rel=2e-3)
    assert middle[np.argmax(charging)] == pytest.approx(2.5, abs=step)
    _, discharging = steps(p, state, up[::-1] - step, step / rate)
    assert discharging[::-1] == pytest.approx(-charging, rel=1e-6)


def test_series_resistance_parts_the_peaks_the_more_the_faster() -> None:
    p = parameters(store__v_redox=1.6)
    parting = []
    for rate in (0.005, 0.05):
        step = 0.01
        up = np.arange(1, 326) * step
        state, charging = steps(p, made(p), up, step / rate)
        _, discharging = steps(p, state, up[::-1] - step, step / rate)
        parting.append(up[np.argmax(charging)] - up[::-1][np.argmin(discharging)])
    assert 0 < parting[0] < parting[1]


def test_constant_current_charges_by_current_times_time() -> None:
    p = parameters(loss__self_discharge=1e12)
    state = capacitor.charge(p, made(p), amperes(5e-9), 400.0)
    assert state.q == pytest.approx(2e-6, rel=1e-9)
    back = capacitor.charge(p, state, amperes(-5e-9), 400.0)
    assert back.q == pytest.approx(0.0, abs=1e-14)


def test_the_instant_current_is_that_of_the_series_resistance() -> None:
    p = parameters()
    found = capacitor.current(p, made(p), amperes(1.0), np.array([REFERENCE_K]))
    assert found == pytest.approx(AREA / 0.1, rel=1e-9)


def test_a_compliance_current_slows_the_charge() -> None:
    p = parameters()
    stress = Stress.on((1,), 3.0, 10.0, 1e-8)
    state = capacitor.drive(p, made(p), stress, draws(1))
    assert capacitor.flowing(p, made(p), state, stress) == pytest.approx(1e-8)
    assert state.q == pytest.approx(1e-7)


def test_charge_leaks_away_by_itself() -> None:
    p = parameters()
    full = made(p).with_(q=np.array([WHOLE * 3.0]))
    later = capacitor.relax(p, full, np.array([1e4]))
    assert later.q == pytest.approx(full.q * math.exp(-0.1), rel=1e-12)
    idle = capacitor.charge(p, full, amperes(0.0), 1e4)
    assert idle.q == pytest.approx(later.q, rel=1e-12)
    assert later.g == full.g
    assert later.w == full.w


def test_use_is_counted_in_full_cycles_and_fades_the_store() -> None:
    p = parameters(loss__fade=1e-4, loss__self_discharge=1e12)
    state = made(p)
    half = WHOLE * 3.25 * 0.5
    for _ in range(25):
        state = capacitor.charge(p, state, amperes(half / 100), 100.0)
        state = capacitor.charge(p, state, amperes(-half / 100), 100.0)
    assert state.cycles[0] == 12
    assert state.cycles[0] + state.w[0] == pytest.approx(12.5, rel=2e-3)
    worn = capacitor._whole(p, state)[0]
    assert worn == pytest.approx(WHOLE * 3.25 * (1 - 1e-4 * (12 + state.w[0])), rel=1e-12)


def test_a_worn_store_is_refused() -> None:
    p = parameters()
    worn = made(p).with_(cycles=np.array([3500], dtype=np.uint32))
    with pytest.raises(EnduranceError, match="3500"):
        capacitor.charge(p, worn, amperes(1e-9), 1.0)
    with pytest.raises(EnduranceError):
        capacitor.refuse(p, worn, Stress.on((1,), 1.0, 1.0))


def test_leaving_the_window_is_refused() -> None:
    p = parameters()
    state = made(p)
    for volts in (-0.1, 3.3, np.nan):
        with pytest.raises(DeviceError, match=r"outside 0\.\.3\.25 V"):
            capacitor.refuse(p, state, Stress.on((1,), volts, 1.0))
    capacitor.refuse(p, state, Stress.on((1,), 3.25, 1.0))
    for current in (1e-6, -1e-6):
        with pytest.raises(DeviceError, match="accepted is 0..1"):
            capacitor.charge(p, state, amperes(current), 1e3)


def test_spread_belongs_to_the_cell() -> None:
    p = parameters(store__spread=0.02)
    state = made(p, 4000)
    whole = capacitor._whole(p, state)
    assert np.std(np.log10(whole / (WHOLE * 3.25))) == pytest.approx(0.02, rel=0.05)
    some = np.array([3, 1])
    few = capacitor.pristine(p, draws(4000).take(some), (2,))
    assert np.array_equal(few.g, state.g[some])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"store__v_redox": 3.5}, "store.v_redox"),
        ({"loss__fade": 2e-4}, "half the capacitance"),
        ({"store__redox_part": 1.5}, "in 0..1"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        parameters(**changes)
