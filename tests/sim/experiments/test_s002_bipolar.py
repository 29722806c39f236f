"""Curves and conduction at 1 mA: reproduced, and the numbers of the entries matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ohmloom.sim.experiments import Bench, Kind, run
from ohmloom.sim.experiments import s002_bipolar as s002
from ohmloom.sim.experiments.s002_materials import MATERIALS

OGB, DDAB, FILM = (material.device for material in MATERIALS)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps of fewer steps."""
    monkeypatch.setattr(s002, "_STEP_V", 0.05)


@pytest.mark.parametrize("definition", s002.EXPERIMENTS, ids=lambda item: item.name)
def test_passes_and_draws_its_figure(definition: Any, tmp_path: Path) -> None:
    found = run(definition, Bench(seeds=(1, 2)), tmp_path)
    assert found.passed, [row for row in found.rows if not row.passed]
    assert all(path.stat().st_size > 1000 for path in found.figures)
    assert set(found.devices) == {OGB, DDAB, FILM}
    assert {row.kind for row in found.rows} == {Kind.INPUT}


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(
    ("device", "values", "row"),
    [
        (OGB, {"nonvolatile_1ma.hrs.conductance": 1e-5}, "OGB-capped: ON/OFF"),
        (FILM, {"nonvolatile.lrs.conductance": 1e-3}, "thin film: ON/OFF"),
        (DDAB, {"nonvolatile.lrs.conductance": 6e-5}, "DDAB-capped: abrupt SET"),
        (FILM, {"nonvolatile.set.threshold": 0.65}, "SET voltage"),
        (FILM, {"nonvolatile.reset.threshold": -1.0}, "RESET voltage"),
        (
            DDAB,
            {"nonvolatile.compliance.i_cc": 2e-3, "nonvolatile.compliance.i_cc_min": 1.5e-3},
            "DDAB-capped: largest current, 1 mA",
        ),
        (
            OGB,
            {"nonvolatile_1ma.reset.width": 1.0, "nonvolatile_1ma.reset.width_min": 0.5},
            "OGB-capped: the opposite polarity",
        ),
        (DDAB, {"volatile.relaxation.slow_time": 1e4}, "that at 1 uA does not"),
        (FILM, {"volatile.switching.v_threshold": 1.2}, "thin film: largest current, 1 uA"),
    ],
)
def test_a_curve_with_changed_numbers_fails(
    failing: Any, device: str, values: dict[str, float], row: str
) -> None:
    named = {f"modes.{name}": value for name, value in values.items()}
    assert row in failing(s002.bipolar, device, named)


@pytest.mark.parametrize(
    ("device", "values", "row"),
    [
        (OGB, {"nonvolatile_1ma.hrs.activation": 0.25}, "activation energy"),
        (OGB, {"nonvolatile_1ma.hrs.activation": -0.208}, "falls as it gets warmer"),
        (DDAB, {"nonvolatile.conduction.exponent": 1}, "DDAB-capped: the steepest"),
        (
            FILM,
            {"nonvolatile.conduction.v_child": 1e3, "nonvolatile.conduction.v_trap": 1e3},
            "thin film: the HRS has several slopes",
        ),
    ],
)
def test_conduction_with_changed_numbers_fails(
    failing: Any, device: str, values: dict[str, float], row: str
) -> None:
    named = {f"modes.{name}": value for name, value in values.items()}
    assert row in failing(s002.conduction, device, named)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("device", [OGB, DDAB, FILM])
@pytest.mark.parametrize("experiment", [s002.bipolar, s002.conduction])
def test_what_is_listed_without_influence_has_none(
    unlisted_change_nothing: Any, experiment: Any, device: str
) -> None:
    unlisted_change_nothing(experiment, device)
