"""The all-in-one device: its modes, the ways between them, and the doors that only go one way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ohmloom.sim.array import SimulatedArray, Unsupported
from ohmloom.sim.devices import DeviceError, changed, load
from ohmloom.sim.devices.errors import TransitionError

AREA_CM2 = 3.14159265e-4
CAPACITANCE = 4.1e-3 * AREA_CM2  # F
FORMED: dict[str, Any] = {"i_cc": 50e-6, "volts": 8.0}
ROBUST: dict[str, Any] = {"i_cc": 500e-6, "volts": 8.0}
SLOW: dict[str, Any] = {"rate_v_s": 0.05, "atmosphere": "air", "electrode": "Pt"}


def array(cells: int = 1, seed: int = 1) -> SimulatedArray:
    return SimulatedArray(load("all_in_one"), 1, 1, cells, seed)


def mode(found: SimulatedArray, cell: int = 0) -> str:
    return found.device.modes[int(found.state.mode.reshape(-1)[cell])].name


def digital(to: str, path: tuple[str, ...], cells: int = 1, seed: int = 1) -> SimulatedArray:
    found = array(cells, seed)
    for step in path:
        found.set_mode(step)
    found.set_mode(to)
    return found


# -- ways -----------------------------------------------------------------------------


def test_it_is_made_analog() -> None:
    assert mode(array()) == "analog"


@pytest.mark.parametrize(
    ("recipe", "wanted", "path"),
    [
        (FORMED, "volatile", "volatile_direct"),
        (ROBUST, "nonvolatile", "nonvolatile_direct"),
        (SLOW, "power", "power"),
        ({**SLOW, "electrode": "Ag", "rate_v_s": 0.01}, "power", "power"),
    ],
)
def test_recipes_lead_where_the_source_says(recipe: dict[str, Any], wanted: str, path: str) -> None:
    found = array()
    found.set_mode(wanted, **recipe)
    assert mode(found) == path


@pytest.mark.parametrize(
    ("recipe", "wanted"),
    [(FORMED, "volatile"), (ROBUST, "nonvolatile")],
)
def test_through_power_a_digital_mode_is_the_uniform_one(
    recipe: dict[str, Any], wanted: str
) -> None:
    found = array()
    found.set_mode("power", **SLOW)
    found.set_mode(wanted, **recipe)
    assert mode(found) == f"{wanted}_uniform"


@pytest.mark.parametrize("start", ["analog", "power"])
@pytest.mark.parametrize("i_cc", [100e-6, 200e-6, 499e-6])
def test_between_100_and_500_microampere_there_is_no_recipe(start: str, i_cc: float) -> None:
    found = array()
    if start == "power":
        found.set_mode("power")
    for wanted in ("volatile", "nonvolatile"):
        with pytest.raises(TransitionError, match="I_cc"):
            found.set_mode(wanted, i_cc=i_cc)
    assert mode(found) == start


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"atmosphere": "vacuum"}, "vacuum"),
        ({"rate_v_s": 1.0}, "1 V/s"),
        ({"electrode": "Ti"}, "Ti"),
        ({"electrode": "ITO"}, "ITO"),
    ],
)
def test_without_slow_sweeps_in_air_under_a_ductile_electrode_it_stays_analog(
    wrong: dict[str, Any], told: str
) -> None:
    found = array()
    with pytest.raises(TransitionError, match=told):
        found.set_mode("power", **{**SLOW, **wrong})
    assert mode(found) == "analog"


def test_no_door_leads_back() -> None:
    for path in (("power",), ("volatile",), ("nonvolatile",), ("power", "volatile")):
        found = array()
        for step in path:
            found.set_mode(step)
        reached = mode(found)
        for wanted in ("analog", "power"):
            if wanted != reached:
                with pytest.raises(TransitionError):
                    found.set_mode(wanted)
        assert mode(found) == reached


# -- analog ---------------------------------------------------------------------------


def test_negative_pulses_raise_and_positive_ones_lower_until_they_saturate() -> None:
    found = array()
    levels = []
    for volts in (-5.0, 5.0):
        for _ in range(100):
            found.pulse([0], volts, 5e-3, None)
            levels.append(float(found.g[0, 0, 0]))
    up, down = np.array(levels[:100]), np.array(levels[100:])
    assert (np.diff(up) >= 0).all() and (np.diff(down) <= 0).all()
    assert up[0] < up[9] < up[-1] == up[-2]
    assert down[-1] == down[-2] < down[0] < up[-1]


def test_the_ratio_is_reached_by_amplitude_and_not_by_identical_pulses() -> None:
    def ratio(volts: np.ndarray) -> float:
        found = array()
        low = float(found.g[0, 0, 0])
        for step in volts:
            found.pulse([0], step, 5e-3, None)
        return float(found.g[0, 0, 0]) / low

    assert ratio(np.full(400, -5.0)) < 40
    assert ratio(np.linspace(-5.0, -8.0, 100)) == pytest.approx(57.5, rel=0.1)


def test_half_a_volt_still_works_and_less_than_the_threshold_does_not() -> None:
    found = array()
    before = float(found.g[0, 0, 0])
    found.pulse([0], -0.15, 1.0, None)
    assert found.g[0, 0, 0] == before
    found.pulse([0], -0.5, 1.0, None)
    assert found.g[0, 0, 0] > before


def test_heat_speeds_the_doping_up() -> None:
    cold, hot = array(), array()
    hot.set_temperature(333.15)
    for found in (cold, hot):
        found.pulse([0], -5.0, 5e-3, None)
    assert hot.state.w[0, 0, 0] > 5 * cold.state.w[0, 0, 0]


# -- power ----------------------------------------------------------------------------


def power(cells: int = 1) -> SimulatedArray:
    found = array(cells)
    found.set_mode("power")
    return found


def test_it_stores_the_capacitance_and_the_energy_of_the_source() -> None:
    """7.0 uWh/cm2 are the integral of V dQ on discharge, 27.9 uW/cm2 on average."""
    found = power()
    v_max = found.limits.v_max
    current = CAPACITANCE * v_max / 900.0
    steps = 90
    while (volts := float(found.sense_voltage([0])[0])) < 0.995 * v_max:
        found.charge([0], current, 5.0 if volts < 0.95 * v_max else 0.5)
    energy, charge = 0.0, 0.0
    for _ in range(steps):
        before = float(found.sense_voltage([0])[0])
        found.charge([0], -current, 9.8)
        energy += current * 9.8 * 0.5 * (before + float(found.sense_voltage([0])[0]))
        charge += current * 9.8
    assert energy / 3600 / AREA_CM2 == pytest.approx(7.0e-6, rel=0.1)
    assert charge / v_max == pytest.approx(CAPACITANCE, rel=0.1)
    assert energy / (steps * 9.8) / AREA_CM2 == pytest.approx(27.9e-6, rel=0.1)


def test_it_keeps_its_voltage_while_open_and_only_in_this_mode() -> None:
    found = power()
    found.charge([0], 1e-8, 100.0)
    before = float(found.sense_voltage([0])[0])
    found.wait(3600.0)
    assert 0.98 * before < found.sense_voltage([0])[0] < before
    with pytest.raises(Unsupported):
        array().charge([0], 1e-8, 1.0)


def test_a_voltage_outside_its_window_is_refused() -> None:
    found = power()
    with pytest.raises(DeviceError, match="all_in_one"):
        found.pulse([0], 5.0, 1.0, None)


# -- digital --------------------------------------------------------------------------


def voltages(found: SimulatedArray, cycles: int) -> tuple[np.ndarray, np.ndarray]:
    """Threshold and hold voltage of each cycle, from sweeps 0 -> 10 V -> 0."""
    up = np.arange(0.0, 10.01, 0.05)
    threshold, hold = [], []
    for _ in range(cycles):
        there = found.sweep([0], up, 0.01, 1e-5)[0]
        back = found.sweep([0], up[::-1], 0.01, 1e-5)[0]
        on = there[1:] / up[1:] > 1e-7
        still = back[:-1] / up[::-1][:-1] > 1e-7
        threshold.append(up[1:][np.argmax(on)])
        hold.append(up[::-1][:-1][np.flatnonzero(still)[-1]])
        found.wait(1.0)
    return np.array(threshold), np.array(hold)


@pytest.mark.parametrize("path", [("power",), ()])
def test_the_volatile_mode_switches_and_returns_by_itself(path: tuple[str, ...]) -> None:
    found = digital("volatile", path)
    threshold, hold = voltages(found, 5)
    assert (hold < threshold).all()
    off = float(found.sweep([0], [4.0], 0.01, 1e-5)[0, 0])
    on = float(found.sweep([0], [8.0, 4.0], 0.01, 1e-5)[0, 1])
    assert 50 < on / off < 200
    found.wait(1.0)
    assert found.sweep([0], [4.0], 0.01, 1e-5)[0, 0] == pytest.approx(off, rel=1e-6)


def resistances(found: SimulatedArray, cycles: int) -> tuple[np.ndarray, np.ndarray]:
    low, high = [], []
    for _ in range(cycles):
        found.pulse([0], 6.0, 1e-3, 500e-6)
        low.append(1 / found.g[0, 0, 0])
        found.pulse([0], -6.0, 1e-3, None)
        high.append(1 / found.g[0, 0, 0])
    return np.array(low), np.array(high)


@pytest.mark.parametrize(("path", "lrs", "hrs"), [(("power",), 0.03, 0.07), ((), 0.30, 0.77)])
def test_resistances_vary_as_much_as_the_path_says(
    path: tuple[str, ...], lrs: float, hrs: float
) -> None:
    low, high = resistances(digital("nonvolatile", path, seed=3), 1000)
    assert np.std(low) / np.mean(low) == pytest.approx(lrs, rel=0.15)
    assert np.std(high) / np.mean(high) == pytest.approx(hrs, rel=0.15)


def test_a_changed_spread_shows() -> None:
    wide = changed(load("all_in_one"), **{"modes.nonvolatile_uniform.lrs.cycle_spread": 0.1})
    found = SimulatedArray(wide, 1, 1, 1, 3)
    found.set_mode("power")
    found.set_mode("nonvolatile")
    low, _ = resistances(found, 300)
    assert np.std(low) / np.mean(low) > 0.15


def test_both_resistances_fall_with_temperature_along_a_line() -> None:
    found = digital("nonvolatile", ("power",))
    kelvin = np.linspace(300.0, 360.0, 7)
    for volts, i_cc in ((6.0, 500e-6), (-6.0, None)):
        found.set_temperature(298.15)
        found.pulse([0], volts, 1e-3, i_cc)
        resistance = []
        for temperature in kelvin:
            found.set_temperature(float(temperature))
            resistance.append(0.1 / float(found.sweep([0], [0.1], 1e-6, None)[0, 0]))
        fit = np.polynomial.Polynomial.fit(kelvin, resistance, 1)
        assert fit.deriv()(330.0) < 0
        assert fit(kelvin) == pytest.approx(resistance, rel=0.01)


def test_cells_are_in_modes_of_their_own() -> None:
    found = array(3)
    found.set_mode("power", [1])
    found.set_mode("nonvolatile", [2], **ROBUST)
    assert [mode(found, cell) for cell in range(3)] == ["analog", "power", "nonvolatile_direct"]
