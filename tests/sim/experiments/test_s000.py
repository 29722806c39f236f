from __future__ import annotations

from typing import Any

import pytest

from ohmloom.sim.experiments import Bench, s000


def test_passes() -> None:
    assert all(row.passed for row in s000.resistance(Bench()).rows)


@pytest.mark.parametrize(
    ("name", "value", "row"),
    [
        ("lrs.conductance", 1.6e-2, "LRS, 99 %"),
        ("hrs.conductance", 1.3e-7, "HRS, 99 %"),
        ("hrs.cycle_spread", 0.8, "HRS, 1 %"),
        ("lrs.cycle_spread", 0.1, "LRS, 1 %"),
        ("hrs.conductance", 5e-6, "worst ON/OFF"),
    ],
)
def test_one_changed_number_fails(failing: Any, name: str, value: float, row: str) -> None:
    assert row in failing(s000.resistance, "bion", {f"modes.nonvolatile.{name}": value})


def test_what_is_listed_without_influence_has_none(unlisted_change_nothing: Any) -> None:
    unlisted_change_nothing(s000.resistance, "bion")
