"""The ionic family: drift, saturation, short-term part, spread, and what it refuses."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ohmloom.sim.devices import REFERENCE_K, Draws, Stress, build, changed, load
from ohmloom.sim.devices.errors import DeviceError
from ohmloom.sim.devices.families import ionic
from ohmloom.sim.devices.state import CellState

ENTRY = Path(__file__).parents[4] / "sim" / "devices" / "ohm.toml"


def parameters(**changes: float) -> ionic.Parameters:
    """The section of ``ohm.toml`` without spread, with changed values, ``up__v_full=9``."""
    raw: dict[str, Any] = tomllib.loads(ENTRY.read_text())["modes"]["analog"]
    for name, value in {"spread__cycle": 0.0, "spread__device": 0.0, **changes}.items():
        section, field = name.split("__")
        raw[section][field]["value"] = float(value)
    return ionic.Parameters.model_validate(raw)


def draws(count: int, pulses: int = 0) -> Draws:
    return Draws(7, np.arange(count), np.full(count, pulses))


def made(p: ionic.Parameters, count: int = 1) -> CellState:
    return ionic.pristine(p, draws(count), (count,))


def at(state: CellState, w: float, s: float, p: ionic.Parameters) -> CellState:
    """Cells in a given internal state, G to match."""
    full = np.full(state.shape, w)
    lift = 1.0 + p.short_term.gain.value * s
    return state.with_(w=full, s=np.full(state.shape, s), g=ionic._film(p, full) * lift)


def pulse(
    p: ionic.Parameters,
    state: CellState,
    volts: float,
    seconds: float,
    i_cc: float | None = None,
    kelvin: float = REFERENCE_K,
) -> tuple[CellState, np.ndarray]:
    stress = Stress.on(state.shape, volts, seconds, i_cc, kelvin)
    after = ionic.drive(p, state, stress, draws(state.shape[0]))
    return after, ionic.flowing(p, state, after, stress)


def test_cells_as_made_are_at_the_lower_end_of_the_window() -> None:
    p = parameters()
    state = made(p, 3)
    assert np.array_equal(state.g, np.full(3, p.conductance.g_min.value))
    assert not state.w.any() and not state.s.any()


def test_the_window_is_that_of_the_entry_and_scales_with_the_area() -> None:
    p, wide = parameters(), parameters(conductance__area=1e-7)
    for w, g in ((0.0, p.conductance.g_min.value), (1.0, p.conductance.g_max.value)):
        assert ionic._film(p, np.array(w)) == pytest.approx(g, rel=1e-12)
        assert ionic._film(wide, np.array(w)) == pytest.approx(10 * g, rel=1e-12)


def test_without_curvature_conductance_is_linear_in_the_state() -> None:
    p = parameters(conductance__curvature=0)
    c = p.conductance
    w = np.linspace(0, 1, 5)
    assert ionic._film(p, w) == pytest.approx(
        c.g_min.value + (c.g_max.value - c.g_min.value) * w, rel=1e-14
    )


def test_nothing_moves_up_to_the_thresholds() -> None:
    p = parameters()
    start = at(made(p, 5), 0.4, 0.0, p)
    stress = Stress.on((5,), np.array([-7.0, -3.0, 0.0, 5.0, 8.0]), 1e3)
    after = ionic.drive(p, start, stress, draws(5))
    assert np.array_equal(after.w, start.w)
    assert np.array_equal(after.s, start.s)
    assert np.array_equal(after.g, start.g)


def test_one_polarity_raises_and_the_other_lowers() -> None:
    p = parameters()
    start = at(made(p), 0.4, 0.0, p)
    assert pulse(p, start, 10.0, 0.05)[0].g > start.g
    assert pulse(p, start, -10.0, 0.05)[0].g < start.g


def test_the_polarity_is_that_of_the_thresholds() -> None:
    turned = {
        f"{leg}__{name}": sign * value
        for leg, sign in (("up", -1), ("down", 1))
        for name, value in (("v_threshold", 7), ("v_full", 10), ("v_reach", 10))
    }
    p = parameters(**turned)
    start = at(made(p), 0.4, 0.0, p)
    assert pulse(p, start, -10.0, 0.05)[0].w > start.w
    assert pulse(p, start, 10.0, 0.05)[0].w < start.w


@pytest.mark.parametrize("volts", [10.0, 9.0, 3.0, 0.0, -8.0, -10.0])
def test_an_interval_cut_in_two_gives_the_same_state(volts: float) -> None:
    p = parameters(conductance__made=0.3)
    start = at(made(p), 0.3, 0.25, p)
    whole, current = pulse(p, start, volts, 0.31)
    part, _ = pulse(p, start, volts, 0.08)
    cut, last = pulse(p, part, volts, 0.23)
    for name in ("g", "w", "s"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), rel=1e-12, abs=1e-15)
    assert last == pytest.approx(current, rel=1e-12)


def test_relaxing_is_driving_with_nothing() -> None:
    p = parameters()
    start = at(made(p), 0.3, 0.8, p)
    relaxed = ionic.relax(p, start, np.array([1.7]))
    driven, _ = pulse(p, start, 0.0, 1.7)
    assert relaxed.s == pytest.approx(0.8 * math.exp(-1.7 / p.short_term.decay.value), rel=1e-12)
    assert relaxed.g == pytest.approx(driven.g, rel=1e-12)
    assert np.array_equal(relaxed.w, start.w)


@pytest.mark.parametrize("nu", [0.6, 7.7])
def test_equal_pulses_follow_the_nonlinearity_of_the_entry(nu: float) -> None:
    """w(n) = (1 - exp(-nu n / N)) / (1 - exp(-nu)) up, the mirror image down; full at n = N."""
    p = parameters(up__nonlinearity=nu, down__nonlinearity=-nu, short_term__floor=1.0)
    state = made(p)
    for direction in (1, -1):
        leg = p.up if direction > 0 else p.down
        for n in range(1, 11):
            state, _ = pulse(p, state, leg.v_full.value, leg.duration.value / 10)
            done = (1 - math.exp(-nu * n / 10)) / (1 - math.exp(-nu))
            expected = done if direction > 0 else 1 - done
            assert state.w[0] == pytest.approx(expected, abs=1e-12)


def test_a_lower_amplitude_saturates_part_of_the_way() -> None:
    p = parameters(short_term__floor=1.0)
    state, _ = pulse(p, made(p), 9.0, 1e4)
    assert state.w[0] == pytest.approx((9.0 - 8.0) / (10.0 - 8.0))
    again, _ = pulse(p, state, 9.0, 1e4)
    assert np.array_equal(again.w, state.w)
    higher, _ = pulse(p, again, 9.5, 1e4)
    assert higher.w[0] == pytest.approx(0.75)
    back, _ = pulse(p, higher, -8.5, 1e4)
    assert back.w[0] == pytest.approx(0.5)


def test_it_stays_inside_the_window_however_long() -> None:
    p = parameters()
    full, _ = pulse(p, made(p), 10.0, 1e9)
    assert full.w[0] == 1.0
    empty, _ = pulse(p, full, -10.0, 1e9)
    assert empty.w[0] == 0.0


def test_dense_pulses_leave_more_than_sparse_ones() -> None:
    p = parameters()
    dense = sparse = made(p)
    for _ in range(10):
        dense, _ = pulse(p, dense, 10.0, 0.05)
        dense = ionic.relax(p, dense, np.array([0.05]))
        sparse, _ = pulse(p, sparse, 10.0, 0.05)
        sparse = ionic.relax(p, sparse, np.array([10.0]))
    assert dense.w > 2 * sparse.w
    even = parameters(short_term__floor=1.0)
    left = [made(even), made(even)]
    for n, pause in enumerate((0.05, 10.0)):
        for _ in range(10):
            left[n], _ = pulse(even, left[n], 10.0, 0.05)
            left[n] = ionic.relax(even, left[n], np.array([pause]))
    assert left[0].w == pytest.approx(left[1].w, rel=1e-12)


def test_heat_speeds_the_ions_up_by_arrhenius() -> None:
    p = parameters(heat__activation_energy=0.5)
    kelvin = 340.0
    factor = math.exp(0.5 / 8.617333262e-5 * (1 / REFERENCE_K - 1 / kelvin))
    volts = np.array(10.0)
    cold = ionic._rate(p, p.up, volts, np.array(REFERENCE_K))
    hot = ionic._rate(p, p.up, volts, np.array(kelvin))
    assert cold == pytest.approx(1.0, rel=1e-12)
    assert hot == pytest.approx(factor, rel=1e-9)


def test_a_limited_current_drives_less() -> None:
    p = parameters()
    start = at(made(p), 0.9, 0.0, p)
    free, free_current = pulse(p, start, 10.0, 0.05)
    held, held_current = pulse(p, start, 10.0, 0.05, i_cc=1e-4)
    assert free_current > 1e-4
    assert held_current == 1e-4
    assert held.w == start.w < free.w


def test_current_grows_faster_than_voltage_and_is_odd() -> None:
    p = parameters()
    state = at(made(p, 4), 0.5, 0.0, p)
    volts = np.array([1e-3, 1.0, 10.0, -10.0])
    amperes = ionic.current(p, state, volts, np.full(4, REFERENCE_K))
    expected = state.g * 10.0 * np.sinh(volts / 10.0)
    assert amperes == pytest.approx(expected, rel=1e-11)


def test_spread_is_that_of_the_entry_and_belongs_to_cell_and_pulse() -> None:
    p = parameters(spread__cycle=0.05, spread__device=0.1, conductance__made=0.5)
    count = 4000
    state = made(p, count)
    exact = ionic._film(p, np.array(0.5))
    assert np.std(np.log10(state.g / exact)) == pytest.approx(0.1, rel=0.05)
    stress = Stress.on((count,), 10.0, 0.05)
    after = ionic.drive(p, state, stress, draws(count, pulses=3))
    change = after.w - state.w
    assert np.std(change) / np.mean(change) == pytest.approx(0.05, rel=0.05)
    other = ionic.drive(p, state, stress, draws(count, pulses=4))
    assert not np.array_equal(after.w, other.w)
    some = np.array([17, 5, 3999])
    few = ionic.drive(p, state.take(some), stress.take(some), draws(count, pulses=3).take(some))
    for name in ("g", "w", "s"):
        assert np.array_equal(getattr(few, name), getattr(after, name)[some])


def test_an_amplitude_beyond_the_entry_is_refused() -> None:
    p = parameters()
    state = made(p, 2)
    ionic.refuse(p, state, Stress.on((2,), [-10.0, 10.0], 0.05))
    with pytest.raises(DeviceError, match=r"10\.1 V is outside -10\.\.10 V"):
        ionic.refuse(p, state, Stress.on((2,), [1.0, 10.1], 0.05))
    with pytest.raises(DeviceError, match="nan V"):
        ionic.refuse(p, state, Stress.on((2,), [1.0, np.nan], 0.05))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"conductance__g_max": 1e-8}, "conductance.g_min"),
        ({"down__v_threshold": 7.0}, "must differ in sign"),
        ({"up__v_full": 7.0}, "up.v_full = 7 must lie beyond up.v_threshold = 8"),
        ({"down__v_reach": -6.0}, "down.v_reach = -6 must lie beyond"),
        ({"down__nonlinearity": 1.0}, "1 is not below 0"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        parameters(**changes)


# -- pulses that put cells on levels --------------------------------------------------

LI = load("all_in_one")


def written(**changes: float) -> ionic.Parameters:
    """The analog mode of ``all_in_one`` without spread."""
    section = LI.document()["modes"]["analog"]
    for name, value in {"spread__cycle": 0.0, "spread__device": 0.0, **changes}.items():
        part, field = name.split("__")
        section[part][field]["value"] = float(value)
    return ionic.Parameters.model_validate(section)


def after_train(p: ionic.Parameters, g: np.ndarray, train: Any) -> np.ndarray:
    """Conductances [S] of nominal cells after trains."""
    state = made(p, g.size)
    state = state.with_(g=g, w=ionic._doping(p, g))
    for number in range(int(train.pulses.max())):
        here = train.pulses > number
        stress = Stress.on((int(here.sum()),), train.volts[here], train.seconds[here])
        after = ionic.drive(p, state.take(here), stress, draws(int(here.sum())))
        state = state.copy()
        state.put(here, after)
    return state.g


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.9)), min_size=1, max_size=6),
    st.sampled_from([0.0, 2.0]),
)
def test_a_nominal_cell_is_on_its_target_after_the_train(pairs, curvature) -> None:
    p = written(conductance__curvature=curvature)
    begin, end = (ionic._film(p, np.array(way)) for way in zip(*pairs, strict=True))
    train = ionic.train(p, begin, end)
    assert ((train.pulses > 0) == (begin != end)).all()
    assert (np.abs(train.volts) <= 7.5).all() and (train.seconds <= 5e-3).all()
    assert (train.seconds >= 1e-5).all()
    moving = train.pulses > 0
    assert (np.sign(train.volts[moving]) == np.where(end > begin, -1, 1)[moving]).all()
    found = after_train(p, begin, train)
    # The shortest pulse may be longer than a small step takes.
    assert np.abs(found - end).max() < 2e-3 * float(ionic._film(p, np.ones(1))[0])


def test_few_pulses_of_the_sources_width_reach_every_level() -> None:
    levels = LI.levels
    assert LI.pulses is not None
    train = LI.pulses.train(np.full(levels.shape, LI.pulses.made), levels)
    assert train.pulses[0] == 0 and (np.diff(train.pulses) >= 0).all() and train.pulses[-1] == 7
    assert train.seconds[1:] == pytest.approx(5e-3)
    # A single step up there takes a larger amplitude than 5 ms of it would bear.
    step = LI.pulses.train(levels[-2:-1], levels[-1:])
    assert step.volts[0] < -7.0 and 1e-5 < step.seconds[0] < 5e-3


def test_the_amplitude_reaches_further_than_a_nominal_cell_needs() -> None:
    """So that a cell of five percent less comes there too, where the amplitude limits."""
    p = written()
    weak = ionic._film(p, np.array([0.80])) / 1.04
    train = ionic.train(p, weak, weak * 1.02)
    state = made(p).with_(g=weak * 1.04, w=np.array([0.80]))
    after, _ = pulse(p, state, float(train.volts[0]), float(train.seconds[0]))
    assert after.g[0] / 1.04 == pytest.approx(weak[0] * 1.02, rel=5e-3)
    # Without the margin nothing moves.
    tight = ionic.train(written(pulses__margin=0.0), weak, weak * 1.02)
    after, _ = pulse(p, state, float(tight.volts[0]), float(tight.seconds[0]))
    assert after.g[0] == state.g[0]


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"short_term.gain": 0.5}, "a cell that forgets a part of a pulse stays on none"),
        ({"short_term.floor": 0.5}, "a cell that forgets a part of a pulse stays on none"),
        ({"pulses.volts": 9.0}, "pulses.volts = 9 must be below drive.v_max = 8"),
        ({"pulses.width": 1e-6}, "drive.width_min = 1e-05 must be below pulses.width = 1e-06"),
        ({"pulses.volts": 5.0}, r"the levels take 0.867 of the way up, .* 5 V reach 0.615"),
        ({"up.duration": 1e3}, r"takes \d+ pulses, at most 4096 are accepted"),
        ({"codes.g_lsb": 3.5e-10}, "covers 5.734e-06 S, the film reaches"),
    ],
)
def test_levels_that_pulses_cannot_reach(changes, words) -> None:
    with pytest.raises(DeviceError, match=words):
        changed(LI, **{f"modes.analog.{name}": value for name, value in changes.items()})


def test_levels_and_pulses_go_together() -> None:
    document = LI.document()
    del document["modes"]["analog"]["pulses"]
    with pytest.raises(DeviceError, match="levels and pulses, which put cells on them"):
        build(document, "x")


def test_what_nothing_depends_on_stays_what_it_is() -> None:
    p = written()
    after, _ = pulse(p, made(p), -6.0, 5e-3)
    assert after.s[0] == 0.0 and after.g[0] > 1e-7
    assert ionic.relax(p, after, np.array([1.0])) is after
