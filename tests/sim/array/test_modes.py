"""Modes of an array: routing to families, transitions, end of life, temperature, batches."""

import math

import numpy as np
import pytest

from ohmloom.sim.array import SimulatedArray, Unsupported
from ohmloom.sim.devices import (
    ComplianceError,
    EnduranceError,
    Health,
    TemperatureError,
    TransitionError,
    WriteOnceError,
    build,
    catalogue,
    changed,
    load,
)

OGB, VB1, VB3 = load("cspbbr3_ogb"), load("vb1"), load("vb3")
STATE = ("g", "w", "s", "q", "mode", "pulses", "cycles", "health", "written")


def whole(array):
    """Everything that a refusal must leave as it was."""
    return [getattr(array.state, name).copy() for name in STATE] + [
        array.g_code.copy(), array.var_code.copy(), array.reads.copy(), np.array(array.elapsed_s),
    ]  # fmt: skip


def unchanged(array, before):
    return all(np.array_equal(a, b) for a, b in zip(whole(array), before, strict=True))


def doors(irreversible: bool):
    """A device of two modes with a way there, and one back unless it is irreversible."""
    document = OGB.document()
    document["modes"] = {
        name: document["modes"][name] for name in ("nonvolatile", "nonvolatile_1ma")
    }
    document["modes"]["nonvolatile_1ma"].pop("wears_with", None)  # each counts its own cycles
    there, back = [way for way in document["transitions"] if "volatile" not in way.values()]
    there["irreversible"] = irreversible
    document["transitions"] = [there] if irreversible else [there, back]
    return build(document, "doors")


# -- modes ----------------------------------------------------------------------------


def test_cells_move_between_modes_and_keep_what_is_theirs():
    array = SimulatedArray(doors(False), 1, 2, 4, seed=3)
    array.pulse([0, 1], 1.0, 1e-3, 1e-4)
    array.set_mode("nonvolatile_1ma", [0, 5], i_cc=1e-3)
    assert array.state.mode.reshape(-1).tolist() == [1, 0, 0, 0, 0, 1, 0, 0]
    assert array.pulses.reshape(-1).tolist() == [2, 1, 0, 0, 0, 1, 0, 0]
    assert array.state.cycles.reshape(-1).tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    array.pulse([0], 1.0, 1e-3, 1e-3)
    array.set_mode("nonvolatile")
    assert not array.state.mode.any()
    assert array.state.cycles.reshape(-1).tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    array.set_mode("nonvolatile_1ma", [0])
    assert array.state.cycles.reshape(-1)[0] == 1  # each mode counts its own


def test_a_batch_of_cells_in_different_modes_is_that_of_each():
    mixed, low, high = (SimulatedArray(doors(False), 1, 1, 6, seed=3) for _ in range(3))
    mixed.set_mode("nonvolatile_1ma", [1, 4])
    high.set_mode("nonvolatile_1ma")
    assert mixed.limits.modes == ("nonvolatile", "nonvolatile_1ma")
    i_cc = np.where(np.isin(np.arange(6), [1, 4]), 1e-3, 1e-4)
    for array, limit in ((mixed, i_cc), (low, 1e-4), (high, 1e-3)):
        array.pulse(np.arange(6), 1.0, 1e-3, limit)
    assert np.array_equal(mixed.g[0, 0, [0, 2, 3, 5]], low.g[0, 0, [0, 2, 3, 5]])
    assert np.array_equal(mixed.g[0, 0, [1, 4]], high.g[0, 0, [1, 4]])


def test_a_mode_that_cells_are_in_already_is_no_change():
    array = SimulatedArray(OGB, 1, 2, 2, seed=3)
    before = whole(array)
    array.set_mode("nonvolatile")
    assert unchanged(array, before)


@pytest.mark.parametrize(
    ("irreversible", "recipe", "said"),
    [
        (True, {}, "no way from nonvolatile_1ma to nonvolatile; from there it goes to no other"),
        (False, {"i_cc": 1e-3}, "with I_cc = 0.001 A, accepted is below 0.00025 A"),
    ],
)
def test_a_door_that_is_closed(irreversible, recipe, said):
    array = SimulatedArray(doors(irreversible), 1, 2, 2, seed=3)
    array.set_mode("nonvolatile_1ma")
    before = whole(array)
    with pytest.raises(TransitionError, match=f"cspbbr3_ogb: .*{said}"):
        array.set_mode("nonvolatile", [1, 2], **recipe)
    assert unchanged(array, before)


def test_a_mode_that_the_device_does_not_have():
    array = SimulatedArray(VB3, 1, 2, 2, seed=3)
    with pytest.raises(Unsupported, match="vb3 has no mode 'power', it has nonvolatile"):
        array.set_mode("power")


def test_a_worn_cell_changes_its_mode_no_more():
    array = SimulatedArray(doors(False), 1, 2, 2, seed=3)
    array.state.health[0, 1, 0] = Health.STUCK_ON
    before = whole(array)
    with pytest.raises(EnduranceError, match="a cell that is stuck on"):
        array.set_mode("nonvolatile_1ma")
    assert unchanged(array, before)


def test_a_mode_turns_into_another_at_its_endurance():
    document = doors(False).document()
    document["modes"]["nonvolatile"]["wear"]["endurance"]["value"] = 3
    document["transitions"].append(
        {"from": "nonvolatile", "to": "nonvolatile_1ma", "at_endurance": True, "assumed": "test"}
    )
    array = SimulatedArray(build(document, "worn"), 1, 1, 2, seed=3)
    for n in range(3):
        assert not array.state.mode.any()
        array.pulse([0], -1.5, 1e-3, None)
        array.pulse([0], 1.0, 1e-3, 1e-4)
        assert array.state.cycles[0, 0, 0] == (n + 1) % 3
    assert array.state.mode.tolist() == [[[1, 0]]]
    assert not array.health.any() and array.state.w.tolist() == [[[1, 0]]]  # its filament stays
    array.pulse([0], -1.5, 1e-3, None)
    assert not array.state.w.any()


def test_ddab_becomes_nonvolatile_by_itself_after_ten_cycles():
    array = SimulatedArray(load("cspbbr3_ddab"), 1, 1, 1, seed=3)
    cycles = 0
    while array.device.modes[array.state.mode[0, 0, 0]].kind == "volatile":
        array.pulse([0], 1.0, 20e-3, 1e-6)
        array.wait(1.0)
        cycles += 1
    assert cycles == 10
    kept = array.read([0])[0]
    array.wait(1e4)
    assert array.read([0])[0] == pytest.approx(kept, rel=0.1) and 1e-6 < kept < 1e-5
    with pytest.raises(TransitionError, match="no way from nonvolatile_1ua to volatile"):
        array.set_mode("volatile")


def test_the_thin_film_stays_nonvolatile_and_the_nanocrystals_do_not():
    film = SimulatedArray(load("cspbbr3_film"), 1, 2, 2, seed=3)
    film.set_mode("nonvolatile", i_cc=1e-3)
    film.pulse([0], 1.0, 1e-3, 1e-3)
    before = whole(film)
    with pytest.raises(TransitionError, match="cspbbr3_film: no way from nonvolatile to volatile"):
        film.set_mode("volatile", i_cc=1e-6)
    assert unchanged(film, before)
    crystals = SimulatedArray(OGB, 1, 2, 2, seed=3)
    for mode, i_cc in (("volatile", 1e-6), ("nonvolatile_1ma", 1e-3), ("volatile", 1e-6)):
        crystals.set_mode(mode, i_cc=i_cc)
        assert crystals.device.modes[crystals.state.mode[0, 0, 0]].name == mode


def test_a_volatile_cell_forgets():
    array = SimulatedArray(OGB, 1, 1, 2, seed=3)
    array.set_mode("volatile")
    rest = array.g.copy()
    array.pulse([0], 1.0, 20e-3, 1e-6)
    on = array.read([0, 1])
    assert on[0] > 100 * on[1]
    array.wait(1.0)
    assert np.allclose(array.read([0, 1]), rest.reshape(-1), rtol=0.1)


# -- refusals -------------------------------------------------------------------------


def act_write_twice(array):
    array.pulse([3, 0], 1.0, 1e-3, 1e-3)


def act_sweep_a_written_cell(array):
    array.sweep([3, 0], np.linspace(0, 1.2, 13), 1e-2, 1e-3)


@pytest.mark.parametrize("act", [act_write_twice, act_sweep_a_written_cell])
def test_a_second_write_is_refused_before_any_pulse(act):
    array = SimulatedArray(VB1, 1, 2, 2, seed=3)
    array.pulse([0], 1.0, 1e-3, 1e-3)
    before = whole(array)
    with pytest.raises(WriteOnceError, match="^vb1: a second write"):
        act(array)
    assert unchanged(array, before)
    assert array.read([0])[0] > 1e-4  # what was written is read


def test_a_cell_beyond_its_endurance_is_refused():
    array = SimulatedArray(changed(VB3, **{"modes.nonvolatile.wear.endurance": 5}), 1, 1, 3, seed=1)
    for _ in range(5):
        array.pulse([1], VB3.v_reset, 1e-3, None)
        array.pulse([1], VB3.v_set, 1e-3, 1e-3)
    assert array.wear.tolist() == [[[0, 1, 0]]]
    assert array.health.tolist() == [[[Health.OK, Health.COLLAPSED, Health.OK]]]
    before = whole(array)
    for volts in (VB3.v_set, VB3.v_reset):
        with pytest.raises(EnduranceError, match="^vb3: .* 5 cycles of the 5"):
            array.pulse([0, 1, 2], volts, 1e-3, 1e-3)
    with pytest.raises(EnduranceError):
        array.sweep([1], [0.0, -9.0], 1e-2, None)
    assert unchanged(array, before)


def test_a_refused_sweep_leaves_no_trace():
    array = SimulatedArray(OGB, 1, 2, 2, seed=3)
    before = whole(array)
    with pytest.raises(ComplianceError, match="SET with I_cc = 0.0002"):
        array.sweep([0], np.linspace(-1.5, 1.5, 31), 1e-2, 260e-6)
    assert unchanged(array, before)


def test_a_sweep_goes_no_further_than_the_endurance():
    array = SimulatedArray(changed(VB3, **{"modes.nonvolatile.wear.endurance": 2}), 1, 1, 2, seed=1)
    once = np.concatenate((np.linspace(0, VB3.v_set, 9), np.linspace(0, VB3.v_reset, 9)))
    array.sweep([0], once, 1e-2, 1e-3)
    before = whole(array)
    with pytest.raises(EnduranceError, match="^vb3: a sweep .* beyond the 2 cycles"):
        array.sweep([1, 0], np.tile(once, 3), 1e-2, 1e-3)
    assert unchanged(array, before)
    array.sweep([0], once, 1e-2, 1e-3)  # its last
    assert array.state.cycles.tolist() == [[[2, 0]]]


# -- sweeps, temperature, codes -------------------------------------------------------


def test_a_sweep_of_a_filament_shows_threshold_and_limit():
    array = SimulatedArray(VB3, 1, 4, 4, seed=3)
    up = np.linspace(0, 1.5, 151)
    current = array.sweep(np.arange(16), up, 1e-2, 1e-4)
    assert (np.diff(current, axis=1) >= 0).all()
    assert (current[:, -1] == 1e-4).all()
    at = up[np.argmax(current >= 1e-5, axis=1)]
    assert 0.9 < at.min() < at.max() < 1.25 and len(set(at.tolist())) > 5
    assert (array.pulses == 1).all() and (array.state.cycles == 1).all()
    down = array.sweep(np.arange(16), np.linspace(0, -8.5, 86), 1e-2, 1e-4)
    assert down.min() < -4e-3  # the limiter is open at the RESET polarity
    assert not array.state.w.any()


def test_on_over_off_of_vb3_against_temperature():
    array = SimulatedArray(VB3, 1, 20, 50, seed=3)
    cells = np.arange(1000)
    ratio = {}
    for kelvin in (298.15, 543.15):
        array.set_temperature(kelvin)
        array.pulse(cells, VB3.v_reset, 1e-3, None)
        off = np.median(array.read(cells))
        array.pulse(cells, VB3.v_set, 1e-3, 1e-3)
        ratio[kelvin] = np.median(array.read(cells)) / off
    assert ratio[298.15] == pytest.approx(2.62e4, rel=0.1)
    assert ratio[543.15] == pytest.approx(1.55e3, rel=0.1)


def test_codes_follow_the_temperature():
    array = SimulatedArray(changed(VB3, **{"modes.nonvolatile.lrs.activation": 0.02}), 1, 1, 4, 3)
    array.pulse(np.arange(4), VB3.v_set, 1e-3, 1e-3)
    cold = array.g_code.copy()
    array.set_temperature(400.0)
    expected = math.exp(0.02 / 8.617333262e-5 * (1 / 298.15 - 1 / 400.0))
    assert np.allclose(array.g_code / cold, expected, rtol=1e-3)
    array.set_temperature(298.15)
    assert np.array_equal(array.g_code, cold)


def test_a_temperature_without_a_description_is_refused():
    array = SimulatedArray(VB1, 1, 1, 4, seed=3)
    with pytest.raises(TemperatureError, match="vb1: 300 K is outside 298.15..298.15 K"):
        array.set_temperature(300.0)
    with pytest.raises(TemperatureError):
        SimulatedArray(VB3, 1, 1, 4, seed=3).set_temperature(math.nan)
    assert array.temperature_k == 298.15


def test_a_device_without_weights_has_no_codes():
    array = SimulatedArray(VB1, 1, 4, 4, seed=3)
    for call in (
        lambda: array.column_totals(0, np.ones((1, 4), int)),
        lambda: array.mvm(0, np.zeros(4)),
        lambda: array.verify_totals([0]),
    ):
        with pytest.raises(Unsupported, match="vb1 has no conductance codes"):
            call()
    assert array.read(np.arange(16)).std() > 0


# -- any batch, any order -------------------------------------------------------------


def reachable(device):
    """The modes that one set_mode from the first one gets to."""
    return [device.modes[0].name] + [
        way.to for way in device.transitions
        if way.start == device.modes[0].name and not way.at_endurance
    ]  # fmt: skip


PAIRS = [(name, mode) for name in catalogue() for mode in dict.fromkeys(reachable(load(name)))]


@pytest.mark.parametrize(("name", "mode"), PAIRS)
def test_a_cell_does_not_depend_on_batch_and_order(name, mode):
    """The same times, all cells in one batch, or some of them in another order."""
    count = 60
    rng = np.random.default_rng(1)
    order = rng.permutation(count)
    together, some = (SimulatedArray(load(name), 1, 6, 10, seed=9) for _ in range(2))
    batches = ((together, [np.arange(count)]), (some, [order[:1], order[1:20], order[20:]]))
    for array, parts in batches:
        for part in parts:
            array.set_mode(mode, part)
    limits = together.limits
    strength = rng.uniform(0.9, 1.0, count)
    high = limits.i_cc_max if math.isfinite(limits.i_cc_max) else 1e-3
    low = limits.i_cc_min or high
    i_cc = np.clip(low * (high / low) ** rng.uniform(size=count), low, high)
    width = 2 * limits.width_min_s
    currents = []
    for array, parts in batches:
        seen = np.empty((count, 6))
        for volts in (limits.v_min, limits.v_max, 0.5 * limits.v_min):
            start = array.elapsed_s
            for part in parts:
                array.elapsed_s = start  # the parts are pulsed at the same time
                array.pulse(part, volts * strength[part], width, i_cc[part])
        array.wait(1e-3)
        start = array.elapsed_s
        for part in parts:
            array.elapsed_s = start
            seen[part, :5] = array.sweep(part, np.linspace(0, 0.3, 5) * limits.v_max, 1e-3, low)
            seen[part, 5] = array.read(part)
        currents.append(seen)
    assert np.array_equal(currents[0], currents[1])
    for field in STATE:
        assert np.array_equal(getattr(together.state, field), getattr(some.state, field)), field
    assert np.array_equal(together.reads, some.reads)


def test_the_check_of_batches_sees_a_draw_that_is_not_named_by_its_cell(monkeypatch):
    from ohmloom.sim.array import simulated

    monkeypatch.setattr(
        simulated.Draws, "pulse", lambda self, *_: np.linspace(-1, 1, self.cells.size)
    )
    with pytest.raises(AssertionError):
        test_a_cell_does_not_depend_on_batch_and_order("vb3", "nonvolatile")
