"""The power experiments of seed 004 pass, and fail on a device with one number changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from ohmloom.sim.devices import changed, load
from ohmloom.sim.experiments import Bench, Definition, Result, run, s004_lasting, s004_power
from ohmloom.sim.experiments.s004_store import (
    AREA,
    CAPACITANCE,
    DEVICE,
    areal,
    constant_current,
    hold,
    resistance,
    stores,
)

EXPERIMENTS = (*s004_power.EXPERIMENTS, *s004_lasting.EXPERIMENTS)
BY_NAME = {definition.name: definition.run for definition in EXPERIMENTS}
Function = Callable[[Bench], Result]


@pytest.mark.parametrize("definition", EXPERIMENTS, ids=lambda definition: definition.name)
def test_it_passes_and_draws_its_figure(definition: Definition, tmp_path: Path) -> None:
    done = run(definition, Bench(seeds=(1, 2)), tmp_path)
    assert done.passed, [row for row in done.rows if not row.passed]
    assert done.devices == (DEVICE,)
    assert all(path.stat().st_size > 1000 for path in done.figures)
    assert all("seed 004" in row.source for row in done.rows)


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("cv", {"store.capacitance": 50.0}, ["areal capacitance"]),
        ("cv", {"store.redox_part": 0.0}, ["a pair of redox peaks"]),
        ("cv", {"store.v_redox": 2.0}, ["peak of oxidation", "peak of reduction"]),
        ("cv", {"loss.resistance": 0.1}, ["peak current of Li+", "its voltage"]),
        ("cv", {"loss.resistance": 10.0}, ["reversible"]),
        ("cv", {"loss.fade": 0.095, "wear.endurance": 5.0}, ["the next cycle"]),
        ("gcd", {"store.capacitance": 50.0}, ["areal capacitance"]),
        ("gcd", {"loss.self_discharge": 3000.0}, ["coulombic efficiency"]),
        ("gcd", {"loss.resistance": 0.05}, ["gradually"]),
        ("gcd", {"loss.resistance": 1e-9}, ["the larger the current"]),
        ("ragone", {"store.v_max": 3.2}, ["energy C V^2 / 2", "the same as the integral"]),
        ("ragone", {"loss.resistance": 1e-9}, ["beyond ten times that power"]),
        ("banks", {"store.spread": 0.3}, ["two in series", "two in parallel"]),
        ("lasting", {"wear.endurance": 600.0}, ["cycles of charge"]),
        pytest.param(
            "lasting",
            {"loss.fade": 5e-5, "loss.self_discharge": 1.5e5},
            ["capacitance after them", "low self-discharge"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_device_with_other_numbers_fails(
    name: str,
    changes: Mapping[str, float],
    told: list[str],
    failing: Callable[[Function, str, Mapping[str, float]], str],
) -> None:
    named = {f"modes.power.{number}": value for number, value in changes.items()}
    found = failing(BY_NAME[name], DEVICE, named)
    assert [text for text in told if text not in found] == []


@pytest.mark.parametrize("name", ["cv", "gcd", "ragone", "banks"])
def test_what_is_listed_without_influence_has_none(
    name: str, unlisted_change_nothing: Callable[[Function, str], None]
) -> None:
    unlisted_change_nothing(BY_NAME[name], DEVICE)


@pytest.mark.slow
def test_what_lasting_lists_without_influence_has_none(
    unlisted_change_nothing: Callable[[Function, str], None],
) -> None:
    unlisted_change_nothing(BY_NAME["lasting"], DEVICE)


def test_resistance_is_what_the_entry_says() -> None:
    array = stores(Bench(), 3)
    ohms = resistance(array, np.arange(3))
    per_area = load(DEVICE).number("modes.power.loss.resistance")
    assert ohms == pytest.approx(per_area / AREA, rel=1e-2)
    assert array.sense_voltage(np.arange(3)) == pytest.approx(0.0, abs=1e-6)


def test_a_charge_ends_at_the_voltage_and_holds_what_went_in() -> None:
    array, cell = stores(Bench()), np.arange(1)
    ohms = resistance(array, cell)
    up = constant_current(array, cell, 1e-7, 2.0, ohms)
    assert up.volts[-1, 0] == pytest.approx(2.0, abs=1e-3)
    assert (np.diff(up.volts[:, 0]) > 0).all()
    down = constant_current(array, cell, -1e-7, 0.5, ohms)
    assert down.volts[-1, 0] == pytest.approx(0.5, abs=1e-3)
    assert down.volts[0, 0] == pytest.approx(2.0 - 2 * 1e-7 * ohms[0], abs=2e-3)
    assert 0 < down.joules < up.joules


def test_the_window_follows_from_capacitance_energy_and_power_of_the_source() -> None:
    """C V^2 / 2 = 7.0 uWh/cm2 gives 3.5 V, and 27.9 uW/cm2 then 5 nA through one cell."""
    energy, power = 7.0e-6 * 3600 * 1e4, 27.9e-6 * 1e4  # J/m2, W/m2
    window = float(np.sqrt(2 * energy / CAPACITANCE))
    assert window == pytest.approx(load(DEVICE).number("modes.power.store.v_max"), rel=0.01)
    assert power / (window / 2) * AREA == pytest.approx(5e-9, rel=0.01)


def test_capacitance_of_a_cell_without_losses_is_that_of_the_entry() -> None:
    ideal = changed(
        load(DEVICE),
        **{"modes.power.store.spread": 0.0, "modes.power.loss.resistance": 1e-9},
    )
    array, cell = stores(Bench(replaced={DEVICE: ideal})), np.arange(1)
    hold(array, cell, array.limits.v_max)
    leg = constant_current(array, cell, -1e-7, 0.0, np.zeros(1))
    assert areal(array, leg) == pytest.approx(CAPACITANCE, rel=2e-3)
