"""Volatile threshold switching: laws, limits, named draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ohmloom.sim.devices import (
    REFERENCE_K,
    ComplianceError,
    DeviceError,
    Draws,
    EnduranceError,
    Stress,
    load,
)
from ohmloom.sim.devices.families import diffusive
from ohmloom.sim.devices.state import CellState

_CELLS = 64
_I_CC = 1e-6


@pytest.fixture(scope="module")
def p() -> diffusive.Parameters:
    parameters = load("cspbbr3_ogb").mode("volatile").p
    assert isinstance(parameters, diffusive.Parameters)
    return parameters


def _changed(p: diffusive.Parameters, **values: float) -> diffusive.Parameters:
    """The parameters with other numbers, ``section__name=value``."""
    raw: dict[str, Any] = p.model_dump(exclude_none=True)
    for dotted, value in values.items():
        section, name = dotted.split("__")
        raw[section][name]["value"] = float(value)
    return diffusive.Parameters.model_validate(raw)


def _still(p: diffusive.Parameters) -> diffusive.Parameters:
    """The parameters without any spread."""
    return _changed(p, spread__growth=0, spread__v_threshold=0, spread__v_hold=0, spread__device=0)


def _draws(cells: int = _CELLS, pulses: int = 0, seed: int = 7) -> Draws:
    return Draws(seed, np.arange(cells), np.full(cells, pulses, dtype=np.int64))


def _drive(
    p: diffusive.Parameters, state: CellState, volts: float, seconds: float,
    i_cc: float | None = _I_CC, draws: Draws | None = None,
) -> CellState:  # fmt: skip
    stress = Stress.on(state.shape, volts, seconds, i_cc)
    diffusive.refuse(p, state, stress)
    return diffusive.drive(p, state, stress, draws or _draws(state.shape[0]))


def _relax(p: diffusive.Parameters, state: CellState, seconds: float) -> CellState:
    return diffusive.relax(p, state, np.full(state.shape, seconds))


def _fresh(p: diffusive.Parameters, cells: int = _CELLS) -> CellState:
    return diffusive.pristine(p, _draws(cells), (cells,))


def _same(one: CellState, other: CellState) -> bool:
    return all(
        np.allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-15)
        for name in ("g", "s", "w")
    )


def test_as_made_there_is_no_filament(p: diffusive.Parameters) -> None:
    state = _fresh(p)
    assert (state.g == p.conductance.off.value).all()
    assert not state.s.any() and not state.w.any() and not state.cycles.any()


def test_below_the_threshold_nothing_switches(p: diffusive.Parameters) -> None:
    p = _still(p)
    below = np.nextafter(p.switching.v_threshold.value, 0)
    assert not _drive(p, _fresh(p), float(below), 1.0).s.any()
    assert _drive(p, _fresh(p), p.switching.v_threshold.value, 1.0).s.all()


def test_growth_is_the_law_in_the_docstring(p: diffusive.Parameters) -> None:
    p = _still(p)
    state = _drive(p, _fresh(p), 1.2, 3e-3)
    speed = np.exp((1.2 - p.growth.v_rate.value) / p.growth.v_scale.value) * 3e-3
    s = 1 - np.exp(-p.growth.rate.value * speed)
    w = 1 - np.exp(-p.growth.slow_rate.value * speed)
    assert state.s == pytest.approx(s, rel=1e-12)
    assert state.w == pytest.approx(w, rel=1e-12)
    share = p.relaxation.slow_share.value
    expected = p.conductance.off.value + p.conductance.on.value * ((1 - share) * s + share * w)
    assert state.g == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("volts", [1.0, 0.3, 0.05, -0.5])
def test_an_interval_cut_in_two_gives_the_same_state(p: diffusive.Parameters, volts: float) -> None:
    p = _still(p)
    state = _drive(p, _fresh(p), 1.0, 8e-3)
    whole = _drive(p, state, volts, 12e-3)
    halves = _drive(p, _drive(p, state, volts, 5e-3), volts, 7e-3)
    assert _same(whole, halves)
    assert not _same(whole, _drive(p, state, volts, 5e-3)) or volts == 0.3  # it can tell


def test_relaxing_in_steps_is_relaxing_at_once(p: diffusive.Parameters) -> None:
    state = _drive(p, _fresh(p), 1.0, 20e-3)
    steps = state
    for _ in range(10):
        steps = _relax(p, steps, 3e-3)
    assert _same(steps, _relax(p, state, 30e-3))
    assert _same(_relax(p, state, 0.0), state)


def test_hold_keeps_a_filament_and_makes_none(p: diffusive.Parameters) -> None:
    p = _still(p)
    state = _drive(p, _fresh(p), 1.0, 8e-3)
    hold = p.switching.v_hold.value
    assert _same(_drive(p, state, hold, 10.0), state)
    assert not _drive(p, _fresh(p), hold, 10.0).s.any()
    below = _drive(p, state, float(np.nextafter(hold, 0)), 10.0)
    assert below.g == pytest.approx(p.conductance.off.value)
    assert _same(below, _relax(p, state, 10.0))


def test_the_filament_decays_and_the_ions_dissolve_at_a_constant_rate(
    p: diffusive.Parameters,
) -> None:
    state = _drive(p, _fresh(p), 1.0, 20e-3)
    after = _relax(p, state, 2e-3)
    assert after.s / state.s == pytest.approx(np.exp(-2e-3 / p.relaxation.fast_time.value))
    lost = 2e-3 / p.relaxation.slow_time.value
    assert state.w - after.w == pytest.approx(lost, rel=1e-9)
    more = _drive(p, state, 1.0, 20e-3)
    assert more.w - _relax(p, more, 2e-3).w == pytest.approx(lost, rel=1e-9)


def test_ions_have_a_finite_life(p: diffusive.Parameters) -> None:
    p = _still(p)
    state = _drive(p, _fresh(p), 1.0, 20e-3)
    life = float(state.w[0]) * p.relaxation.slow_time.value
    assert (_relax(p, state, 0.999 * life).w > 0).all()
    assert not _relax(p, state, 1.001 * life).w.any()


def test_it_returns_to_off(p: diffusive.Parameters) -> None:
    state = _relax(p, _drive(p, _fresh(p), 1.0, 50.0), p.relaxation.slow_time.value)
    assert (state.g == p.conductance.off.value).all()


def test_cells_under_different_voltages_do_not_mix(p: diffusive.Parameters) -> None:
    volts = np.tile([1.0, 0.3, 0.05, -0.5], _CELLS // 4)  # grow, stay, fade, fade
    state, draws = _drive(p, _fresh(p), 1.0, 8e-3), _draws(pulses=1)
    stress = Stress.on(state.shape, volts, 3e-3, _I_CC)
    after = diffusive.drive(p, state, stress, draws)
    for cell in range(8):
        one = slice(cell, cell + 1)
        alone = diffusive.drive(p, state.take(one), stress.take(one), draws.take(one))
        assert (alone.g, alone.s, alone.w) == (after.g[one], after.s[one], after.w[one])


def test_switching_is_unidirectional(p: diffusive.Parameters) -> None:
    state = _drive(p, _fresh(p), -1.0, 1.0, i_cc=None)
    assert not state.s.any() and not state.cycles.any()
    grown = _drive(p, _fresh(p), 1.0, 8e-3)
    assert _same(_drive(p, grown, -0.5, 5e-3, i_cc=None), _relax(p, grown, 5e-3))


def test_the_current_stays_within_compliance(p: diffusive.Parameters) -> None:
    state = _fresh(p)
    stress = Stress.on(state.shape, 1.0, 0.5, _I_CC)
    after = diffusive.drive(p, state, stress, _draws())
    current = diffusive.flowing(p, state, after, stress)
    assert (current == _I_CC).all()
    low = diffusive.current(p, state, np.full(state.shape, 0.1), np.full(state.shape, REFERENCE_K))
    assert (low == 0.1 * state.g).all()


def test_half_the_compliance_ends_growth_at_half(p: diffusive.Parameters) -> None:
    p = _still(p)
    state = _drive(p, _fresh(p), 1.0, 5.0, i_cc=_I_CC / 2)
    assert state.s == pytest.approx(0.5)
    more = _drive(p, _drive(p, _fresh(p), 1.0, 5.0), 1.0, 5.0, i_cc=_I_CC / 2)
    assert more.s == pytest.approx(1.0)  # a tighter limit takes nothing away


@pytest.mark.parametrize("i_cc", [None, 1.001e-6, 5e-6, 1e-3, 0.0, float("nan")])
def test_another_compliance_current_is_refused(p: diffusive.Parameters, i_cc: float | None) -> None:
    with pytest.raises(ComplianceError, match="described up to 1e-06 A"):
        _drive(p, _fresh(p), 1.0, 5e-3, i_cc=i_cc)


@pytest.mark.parametrize("volts", [-1.6, 1.6, float("nan"), float("inf")])
def test_an_amplitude_without_a_description_is_refused(
    p: diffusive.Parameters, volts: float
) -> None:
    with pytest.raises(DeviceError, match="is outside"):
        _drive(p, _fresh(p), volts, 5e-3)


def test_a_cycle_begins_without_a_filament(p: diffusive.Parameters) -> None:
    p = _still(p)
    state = _fresh(p)
    for gap in (0.0, 1e-3, 1e-3):  # too short for the filament to go
        state = _drive(p, _relax(p, state, gap), 1.0, 5e-3)
    assert (state.cycles == 1).all()
    assert (_drive(p, _relax(p, state, 1.0), 1.0, 5e-3).cycles == 2).all()


def test_beyond_the_endurance_a_set_is_refused(p: diffusive.Parameters) -> None:
    p = _changed(p, wear__endurance=3)
    state = _fresh(p)
    for _ in range(3):
        state = _relax(p, _drive(p, state, 1.0, 5e-3), 1.0)
    before = state.take(slice(None))
    with pytest.raises(EnduranceError):
        _drive(p, state, 1.0, 5e-3)
    assert _same(state, before)
    _drive(p, state, -0.5, 5e-3, i_cc=None)  # reading on is no cycle


def test_the_last_cycle_may_be_finished(p: diffusive.Parameters) -> None:
    p = _changed(p, wear__endurance=1)
    state = _drive(p, _fresh(p), 1.0, 5e-3)
    assert (_drive(p, state, 1.0, 5e-3).s > state.s).all()


def test_a_cell_does_not_depend_on_its_batch(p: diffusive.Parameters) -> None:
    draws = _draws()
    whole = _relax(p, _drive(p, _fresh(p), 1.0, 8e-3, draws=draws), 4e-3)
    order = np.random.default_rng(0).permutation(_CELLS)
    for cells in (order, order[:5], order[:1]):
        part = _fresh(p).take(cells)
        part = _relax(p, _drive(p, part, 1.0, 8e-3, draws=draws.take(cells)), 4e-3)
        assert np.array_equal(part.g, whole.g[cells])


def test_spreads_are_those_of_the_entry(p: diffusive.Parameters) -> None:
    cells = 20000
    short = 1e-6  # growth is linear in its rate
    only = _changed(_still(p), spread__growth=0.03)
    s = _drive(only, _fresh(only, cells), 1.0, short, draws=_draws(cells)).s
    assert s.std() / s.mean() == pytest.approx(0.03, rel=0.03)
    again = _drive(only, _fresh(only, cells), 1.0, short, draws=_draws(cells, pulses=1)).s
    assert abs(np.corrcoef(s, again)[0, 1]) < 0.03
    made = _changed(_still(p), spread__device=0.05)
    s = _drive(made, _fresh(made, cells), 1.0, short, draws=_draws(cells)).s
    assert s.std() / s.mean() == pytest.approx(0.05, rel=0.03)
    again = _drive(made, _fresh(made, cells), 1.0, short, draws=_draws(cells, pulses=1)).s
    assert np.array_equal(s, again)


def test_threshold_and_hold_vary_from_pulse_to_pulse(p: diffusive.Parameters) -> None:
    p = _changed(_still(p), spread__v_threshold=0.04, spread__v_hold=0.02)
    threshold, hold = p.switching.v_threshold.value, p.switching.v_hold.value
    switched = _drive(p, _fresh(p, 4000), 1.04 * threshold, 1e-3, draws=_draws(4000)).s > 0
    assert switched.mean() == pytest.approx(0.841, abs=0.02)  # one sigma above
    grown = _drive(p, _fresh(p, 4000), 1.0, 1e-3, draws=_draws(4000))
    kept = _drive(p, grown, 0.98 * hold, 1.0, draws=_draws(4000)).s == grown.s
    assert kept.mean() == pytest.approx(0.159, abs=0.02)


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("switching__v_hold", 0.9),
        ("switching__v_threshold", 5.0),
        ("read__v_read", 0.3),
        ("conductance__off", 1.0),
        ("relaxation__fast_time", 0.0),
        ("relaxation__fast_time", 1.0),
        ("relaxation__slow_share", 1.1),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(
    p: diffusive.Parameters, dotted: str, value: float
) -> None:
    with pytest.raises(ValidationError):
        _changed(p, **{dotted: value})


def test_the_window_is_that_of_the_entry(p: diffusive.Parameters) -> None:
    window = diffusive.window(p)
    assert (window.v_min, window.v_max) == (p.drive.v_min.value, p.drive.v_max.value)
    assert window.i_cc_max == _I_CC
