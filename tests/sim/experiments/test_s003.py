"""Every experiment of seed 003 passes on the device, and fails on one with a number changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ohmloom.sim.devices import changed, load
from ohmloom.sim.experiments import s003
from ohmloom.sim.experiments.bench import Bench
from ohmloom.sim.experiments.record import Definition, Row
from ohmloom.sim.experiments.registry import run

BY_NAME = {definition.name: definition for definition in s003.EXPERIMENTS}
QUICK = [definition for definition in s003.EXPERIMENTS if definition.name != "sweeps"]


def rows(name: str, **values: float) -> dict[str, Row]:
    """Rows of an experiment on a device with changed numbers, ``up__duration=1``."""
    renamed = {f"modes.analog.{key.replace('__', '.')}": v for key, v in values.items()}
    bench = Bench(seeds=(1,), replaced={"ohm": changed(load("ohm"), **renamed)})
    return {row.quantity: row for row in BY_NAME[name].run(bench).rows}


def failed(found: dict[str, Row]) -> list[str]:
    return [quantity for quantity, row in found.items() if not row.passed]


@pytest.mark.parametrize("definition", s003.EXPERIMENTS, ids=lambda definition: definition.name)
def test_it_passes_and_draws_its_figure(definition: Definition, tmp_path: Path) -> None:
    found = run(definition, Bench(), tmp_path)
    assert found.passed
    assert found.devices == ("ohm",)
    assert all(path.stat().st_size > 1000 for path in found.figures)
    assert all("seed 003" in row.source for row in found.rows)
    influenced = {assumed.influences for assumed in found.assumed}
    assert len(influenced) > 1


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("definition", QUICK, ids=lambda definition: definition.name)
def test_it_does_not_hang_on_one_seed(definition: Definition, seed: int) -> None:
    result = definition.run(Bench(seeds=(seed,)))
    assert all(row.passed for row in result.rows)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (
            {
                "conductance__g_max": 2.7e-4,
                "conductance__g_min": 1.5e-7,
                "down__duration": 400.0,
            },
            ["160th", "first sweep", "lower end of the window"],
        ),
        ({"up__v_threshold": 4.0}, ["half the voltage"]),
    ],
)
def test_sweeps_fail_on_another_device(values: dict[str, float], names: list[str]) -> None:
    told = failed(rows("sweeps", **values))
    for name in names:
        assert any(name in quantity for quantity in told)


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("paired_pulses", {"short_term__gain": 0.0, "short_term__floor": 1.0}, "PPF falls"),
        ("paired_pulses", {"short_term__decay": 1e-6}, "PTP falls"),
        ("paired_pulses", {"short_term__gain": 0.0, "short_term__floor": 1.0}, "denser pulses"),
        ("spike_rate", {"short_term__gain": 0.0, "short_term__floor": 1.0}, "higher the frequency"),
        ("transition", {"short_term__gain": 0.0}, "falls from its first"),
        ("transition", {"up__duration": 100.0}, "50 pulses of 10 V over 5"),
        ("weight_curve", {"down__duration": 1e9}, "below half"),
        ("pavlov", {"conductance__g_max": 2e-5}, "bell gives more"),
        ("pavlov", {"conductance__g_max": 1e-3}, "bell gives less"),
        ("relearning", {"short_term__gain": 0.0}, "fades"),
        ("pattern", {"up__duration": 1e4}, "stands out"),
        ("pattern", {"up__v_threshold": 4.0}, "half the voltage"),
    ],
)
def test_it_fails_on_a_device_with_a_number_changed(
    name: str, values: dict[str, float], told: str
) -> None:
    assert any(told in quantity for quantity in failed(rows(name, **values)))
