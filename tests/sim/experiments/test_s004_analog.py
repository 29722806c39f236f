"""The analog experiments of seed 004 pass, and fail on a device with other numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.sim.devices import load
from ohmloom.sim.devices.catalogue import build
from ohmloom.sim.experiments import Bench, Definition, Result, run, s004_analog, s004_entering

EXPERIMENTS = (*s004_analog.EXPERIMENTS, *s004_entering.EXPERIMENTS)
BY_NAME = {definition.name: definition.run for definition in EXPERIMENTS}
DEVICE = s004_analog.DEVICE
Function = Callable[[Bench], Result]
Failing = Callable[[Function, str, Mapping[str, float]], str]


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
        ("sweeps", {"up.v_threshold": -1.5}, ["every negative sweep", "-0.5 V"]),
        ("sweeps", {"down.v_reach": 1e3}, ["every positive sweep", "+0.5 V"]),
        ("sweeps", {"up.duration": 1e-3}, ["gradually"]),
        (
            "pulses",
            {"up.nonlinearity": 3.0, "down.nonlinearity": -4.0, "read.noise": 0.02},
            ["of potentiation", "of depression", "after equal pulses"],
        ),
        (
            "pulses",
            {"up.duration": 5.0, "down.duration": 5.0, "spread.cycle": 0.05},
            ["twice as many -5 V", "so do +5 V", "change by one pulse"],
        ),
        ("amplitude", {"conductance.g_max": 4e-6}, ["G_max / G_min"]),
        ("amplitude", {"up.v_reach": -5.0}, ["identical pulses"]),
        ("amplitude", {"up.duration": 1e6}, ["G_max / G_min", "the larger the amplitude"]),
        ("temperature", {"heat.activation_energy": 0.6}, ["activation energy"]),
        ("temperature", {"up.duration": 0.01}, ["Arrhenius"]),
        ("entering", {"up.v_threshold": -4.99, "up.duration": 1e6}, ["Pt: still analog"]),
        ("entering", {"down.v_reach": 1e3}, ["Ti: still analog", "ITO: still analog"]),
    ],
)
def test_a_device_with_other_numbers_fails(
    name: str, changes: Mapping[str, float], told: list[str], failing: Failing
) -> None:
    named = {f"modes.analog.{number}": value for number, value in changes.items()}
    found = failing(BY_NAME[name], DEVICE, named)
    assert [text for text in told if text not in found] == []


@pytest.mark.parametrize(
    ("condition", "value", "told"),
    [
        ("rate_max", 2.0, "1 V/s, air, Pt: refused"),
        ("rate_max", 0.02, "50 mV/s, air, Pt: power"),
        ("atmosphere", ["air", "vacuum"], "50 mV/s, vacuum, Pt: refused"),
        ("electrodes", ["Pt", "Ag", "Ti"], "50 mV/s, air, Ti: refused"),
        ("electrodes", ["Pt"], "50 mV/s, air, Ag: power"),
    ],
)
def test_a_device_with_another_way_into_the_power_mode_fails(
    condition: str, value: float | list[str], told: str
) -> None:
    document: dict[str, Any] = load(DEVICE).document()
    (way,) = (found for found in document["transitions"] if found["to"] == "power")
    if isinstance(value, float):
        way[condition]["value"] = value
    else:
        way[condition] = value
    bench = Bench(seeds=(1,), replaced={DEVICE: build(document, DEVICE)})
    failed = [row.quantity for row in s004_entering.entering(bench).rows if not row.passed]
    assert any(told in quantity for quantity in failed)


@pytest.mark.parametrize("name", ["sweeps", "amplitude", "temperature", "entering"])
def test_what_is_listed_without_influence_has_none(
    name: str, unlisted_change_nothing: Callable[[Function, str], None]
) -> None:
    unlisted_change_nothing(BY_NAME[name], DEVICE)


@pytest.mark.slow
def test_what_pulses_list_without_influence_has_none(
    unlisted_change_nothing: Callable[[Function, str], None],
) -> None:
    unlisted_change_nothing(s004_analog.pulses, DEVICE)


@pytest.mark.parametrize("nu", [0.6, 7.7, 20.0])
def test_a_nonlinearity_is_found_in_a_curve_that_has_it(nu: float) -> None:
    part = np.linspace(0.0, 1.0, 51)
    curve = 2e-6 + 3e-6 * np.expm1(-nu * part) / np.expm1(-nu)
    up, down = s004_analog.nonlinearity(curve, 5e-6 - curve)
    assert up == pytest.approx(nu, rel=1e-6)
    assert down == pytest.approx(-nu, rel=1e-6)
    assert np.isnan(s004_analog.nonlinearity(np.ones(9), 1 - np.arange(9.0))[0])
