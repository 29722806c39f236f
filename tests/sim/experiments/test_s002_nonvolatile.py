"""The I_cc line of seed 002: reproduced, and its numbers matter."""

from __future__ import annotations

from typing import Any

import pytest

from ohmloom.sim.experiments import Bench
from ohmloom.sim.experiments import s002_nonvolatile as s002


@pytest.mark.parametrize("definition", s002.EXPERIMENTS, ids=lambda item: item.path)
def test_passes(definition: Any) -> None:
    result = definition.run(Bench())
    assert len(result.rows) == 3
    assert all(row.passed for row in result.rows)


@pytest.mark.parametrize(
    ("experiment", "name", "value", "row"),
    [
        (s002.line, "line.slope", 2.9, "slope"),
        (s002.line, "line.offset", 2e-5, "offset"),
        (s002.line, "line.sigma_offset", 5e-6, "sigma"),
        (s002.initial, "line.slope", 2.6, "mean"),
        (s002.initial, "line.slope", 2.9, "standard deviation"),
        (s002.misprint, "line.offset", 1.249e-5, "miss of the target"),
    ],
)
def test_one_changed_number_fails(
    failing: Any, experiment: Any, name: str, value: float, row: str
) -> None:
    assert row in failing(experiment, s002.DEVICE, {f"modes.nonvolatile.{name}": value})


@pytest.mark.parametrize("experiment", [s002.line, s002.initial, s002.misprint])
def test_what_is_listed_without_influence_has_none(
    unlisted_change_nothing: Any, experiment: Any
) -> None:
    unlisted_change_nothing(experiment, s002.DEVICE)
