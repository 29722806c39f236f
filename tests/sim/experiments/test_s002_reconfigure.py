"""To and fro between the modes: reproduced, and a cell that may not is refused by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ohmloom.sim.devices import Device, TransitionError, load
from ohmloom.sim.devices.catalogue import build
from ohmloom.sim.experiments import Bench, run
from ohmloom.sim.experiments import s002_reconfigure as s002

OGB, FILM = "cspbbr3_ogb", "cspbbr3_film"


@pytest.mark.parametrize("definition", s002.EXPERIMENTS, ids=lambda item: item.name)
def test_passes_and_draws_its_figure(definition: Any, tmp_path: Path) -> None:
    found = run(definition, Bench(seeds=(1, 2)), tmp_path)
    assert found.passed, [row for row in found.rows if not row.passed]
    assert all(path.stat().st_size > 1000 for path in found.figures)


@pytest.mark.parametrize(
    ("experiment", "device", "values", "row"),
    [
        (s002.reconfigure, OGB, {"modes.nonvolatile.line.slope": 2.9}, "slope of G"),
        (s002.reconfigure, OGB, {"modes.volatile.relaxation.slow_time": 1e4}, "let go"),
        (s002.reconfigure, OGB, {"modes.volatile.switching.v_threshold": 1.2}, "switches the cel"),
        (s002.reconfigure, OGB, {"modes.nonvolatile.line.i_cc_min": 15e-6}, "20 uA"),
        (s002.reconfigure, OGB, {"modes.volatile.switching.compliance": 30e-6}, "20 uA"),
        (s002.reconfigure, OGB, {"transitions.2.i_cc_max": 25e-6}, "20 uA"),
        (s002.reconfigure, OGB, {"transitions.4.i_cc_min": 15e-6}, "20 uA"),
        (s002.film, OGB, {"modes.volatile.relaxation.slow_time": 1e4}, "OGB-capped: volatile"),
        (s002.film, FILM, {"modes.volatile.relaxation.slow_time": 1e4}, "thin film: volatile"),
        (s002.film, FILM, {"modes.nonvolatile.compliance.i_cc_min": 0.9e-6,
                           "modes.nonvolatile.compliance.i_cc_off": 0.5e-6},
         "thin film: the way back"),
    ],
)  # fmt: skip
def test_changed_numbers_fail(
    failing: Any, experiment: Any, device: str, values: dict[str, float], row: str
) -> None:
    assert row in failing(experiment, device, values)


def with_ways_back(name: str, *, back: bool) -> Device:
    """The device with, or without, ways back into its volatile mode."""
    document = copy.deepcopy(load(name).document())
    ways = document["transitions"]
    if back:
        for way in ways:
            way["irreversible"] = False
        ways.append({"from": "nonvolatile", "to": "volatile", "assumed": "for a test"})
    else:
        document["transitions"] = [way for way in ways if way["to"] != "volatile"]
    return build(document, name)


def test_a_film_that_goes_back_fails() -> None:
    bench = Bench(seeds=(1,), replaced={FILM: with_ways_back(FILM, back=True)})
    failed = [row.quantity for row in s002.film(bench).rows if not row.passed]
    assert any("the way back is refused" in quantity for quantity in failed)


def test_nanocrystals_that_do_not_go_back_fail() -> None:
    bench = Bench(seeds=(1,), replaced={OGB: with_ways_back(OGB, back=False)})
    with pytest.raises(TransitionError, match="no way from nonvolatile to volatile"):
        s002.film(bench)
    with pytest.raises(TransitionError, match="no way from nonvolatile to volatile"):
        s002.reconfigure(bench)


@pytest.mark.parametrize(
    ("experiment", "device"), [(s002.reconfigure, OGB), (s002.film, OGB), (s002.film, FILM)]
)
def test_what_is_listed_without_influence_has_none(
    unlisted_change_nothing: Any, experiment: Any, device: str
) -> None:
    unlisted_change_nothing(experiment, device)
