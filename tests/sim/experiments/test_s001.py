from __future__ import annotations

from typing import Any

import pytest

from ohmloom.sim.experiments import Bench, s001


@pytest.mark.parametrize("definition", s001.EXPERIMENTS, ids=lambda item: item.name)
def test_passes(definition: Any) -> None:
    failed = [row for row in definition.run(Bench()).rows if not row.passed]
    assert not failed


@pytest.mark.parametrize(
    ("experiment", "device", "name", "value", "row"),
    [
        (s001.table, "vb1", "set.threshold", 0.7, "VB1 V_SET"),
        (s001.table, "vb2", "hrs.conductance", 5e-8, "VB2 ON/OFF"),
        (s001.table, "vb3", "set.threshold", 0.92, "VB3 V_SET"),
        (s001.table, "vb3", "reset.threshold", -6.1, "VB3 V_RESET"),
        (s001.table, "vb3", "lrs.conductance", 8e-4, "VB3 ON/OFF"),
        (s001.endurance, "vb3", "wear.endurance", 131.0, "VB3: SET pulses"),
        (s001.temperature, "vb3", "hrs.activation", 0.14, "ON/OFF at 270 C"),
        (s001.temperature, "vb3", "wear.at.1.endurance", 99.0, "at 100 C"),
        (s001.states, "vb3", "hrs.cycle_spread", 1.5, "spread as assumed"),
    ],
)
def test_one_changed_number_fails(
    failing: Any, experiment: Any, device: str, name: str, value: float, row: str
) -> None:
    assert row in failing(experiment, device, {f"modes.nonvolatile.{name}": value})


@pytest.mark.parametrize(
    ("experiment", "device"),
    [
        *((s001.table, device) for device in ("vb1", "vb2", "vb3")),
        *((s001.endurance, device) for device in ("vb1", "vb2", "vb3")),
        (s001.temperature, "vb3"),
        (s001.states, "vb3"),
    ],
)
def test_what_is_listed_without_influence_has_none(
    unlisted_change_nothing: Any, experiment: Any, device: str
) -> None:
    unlisted_change_nothing(experiment, device)


def test_write_once_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s001, "WriteOnceError", KeyError)
    with pytest.raises(Exception, match="written once"):
        s001.endurance(Bench())
