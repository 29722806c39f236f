"""Retention at 1 mA: reproduced, with a little drift too, and not with more of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ohmloom.sim.devices import Device, load
from ohmloom.sim.devices.catalogue import build
from ohmloom.sim.experiments import Bench, run
from ohmloom.sim.experiments import s002_retention as s002

OGB, FILM = "cspbbr3_ogb", "cspbbr3_film"


def drifting(lrs: float, hrs: float) -> Device:
    """The OGB-capped cell with drift: exponents of the two states, from a second on."""
    document = copy.deepcopy(load(OGB).document())
    values = {"time": (1.0, "s"), "lrs_exponent": (lrs, "1"), "hrs_exponent": (hrs, "1")}
    document["modes"]["nonvolatile_1ma"]["drift"] = {
        name: {"value": value, "unit": unit, "assumed": "for a test"}
        for name, (value, unit) in values.items()
    }
    return build(document, OGB)


def test_passes_and_draws_its_figure(tmp_path: Path) -> None:
    found = run(s002.EXPERIMENTS[0], Bench(seeds=(1, 2)), tmp_path)
    assert found.passed, [row for row in found.rows if not row.passed]
    assert all(path.stat().st_size > 1000 for path in found.figures)


@pytest.mark.parametrize(
    ("device", "name", "value", "row"),
    [
        (OGB, "nonvolatile_1ma.wear.retention", 5e4, "OGB-capped: both states"),
        (FILM, "nonvolatile.wear.retention", 1e5, "thin film: both states"),
        (FILM, "nonvolatile.hrs.conductance", 1e-5, "thin film: ON/OFF then"),
        (OGB, "nonvolatile_1ma.lrs.conductance", 1e-3, "OGB-capped: both states"),
    ],
)
def test_one_changed_number_fails(
    failing: Any, device: str, name: str, value: float, row: str
) -> None:
    assert row in failing(s002.retention, device, {f"modes.{name}": value})


@pytest.mark.parametrize(("lrs", "passes"), [(0.01, True), (0.2, False)])
def test_a_little_drift_is_no_loss(lrs: float, passes: bool) -> None:
    bench = Bench(seeds=(1,), replaced={OGB: drifting(lrs, 0.0)})
    rows = {row.quantity: row.passed for row in s002.retention(bench).rows}
    assert rows["OGB-capped: ON/OFF then"] is passes
    assert rows["OGB-capped: both states at 1 mA told apart until"] is passes
    assert rows["thin film: ON/OFF then"]


@pytest.mark.parametrize("device", [OGB, FILM])
def test_what_is_listed_without_influence_has_none(
    unlisted_change_nothing: Any, device: str
) -> None:
    unlisted_change_nothing(s002.retention, device)
