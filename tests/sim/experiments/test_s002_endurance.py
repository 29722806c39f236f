"""Cycles of the CsPbBr3 cells: done on the array, refused at the end, each number matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmloom.sim.array import Array
from ohmloom.sim.devices import EnduranceError, changed, load
from ohmloom.sim.experiments import Bench, Result, run
from ohmloom.sim.experiments import s002_endurance as s002
from ohmloom.sim.experiments.s002_materials import (
    MATERIALS,
    REST_S,
    reset_cells,
    set_cells,
    stimulate,
)

OGB, DDAB, FILM = (material.device for material in MATERIALS)
ENDURANCE, HEATING = s002.EXPERIMENTS
AT_1_MA = {OGB: "modes.nonvolatile_1ma", DDAB: "modes.nonvolatile", FILM: "modes.nonvolatile"}
LASTS = {OGB: 40.0, FILM: 30.0}
"""Cycles at 1 mA that are done in less than a second."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer cycles in the mode in which the cells last longer than they are cycled."""
    monkeypatch.setattr(s002, "_VOLATILE_CYCLES", 60)
    monkeypatch.setattr(s002, "_SCALE", 40_000)


def short_lived(device: str = OGB, **values: float) -> Bench:
    """Devices that last less at 1 mA, one of them with further numbers changed."""
    replaced = {
        name: changed(load(name), **{f"{AT_1_MA[name]}.wear.endurance": cycles})
        for name, cycles in LASTS.items()
    }
    replaced[device] = changed(replaced.get(device, load(device)), **values)
    return Bench(seeds=(1,), replaced=replaced)


def failed(result: Result) -> list[str]:
    return [row.quantity for row in result.rows if not row.passed]


SHORTER = [
    f"{material.label}: SETs at 1 mA until a pulse is refused"
    for material in MATERIALS
    if material.device in LASTS
]


@pytest.mark.slow
def test_endurance_passes_and_draws_its_figure(tmp_path: Path) -> None:
    found = run(ENDURANCE, Bench(), tmp_path)
    assert found.passed, [row for row in found.rows if not row.passed]
    assert all(path.stat().st_size > 1000 for path in found.figures)


@pytest.mark.usefixtures("few")
def test_of_cells_that_last_less_only_the_number_of_cycles_fails(tmp_path: Path) -> None:
    found = run(ENDURANCE, short_lived(), tmp_path)
    assert [row.quantity for row in found.rows if not row.passed] == SHORTER
    ours = {row.quantity: row.ours for row in found.rows}
    assert [ours[quantity] for quantity in SHORTER] == list(LASTS.values())
    assert all(path.stat().st_size > 1000 for path in found.figures)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("device", "name", "value", "rows"),
    [
        (DDAB, "nonvolatile.wear.endurance", 51, ["DDAB-capped: SETs at 1 mA"]),
        (DDAB, "volatile.wear.endurance", 11, ["DDAB-capped: cycles at 1 uA until"]),
        (DDAB, "nonvolatile_1ua.lrs.conductance", 1e-8, ["DDAB-capped: cycles at 1 uA until"]),
        (OGB, "volatile.wear.endurance", 1e6, ["OGB-capped: cycles at 1 uA", "those that a"]),
        (FILM, "volatile.wear.endurance", 50, ["thin film: cycles at 1 uA", "60 cycles at"]),
        (FILM, "nonvolatile.hrs.conductance", 1e-5, ["thin film: ON/OFF at 1 mA"]),
    ],
)
def test_one_changed_number_fails(device: str, name: str, value: float, rows: list[str]) -> None:
    found = "\n".join(failed(s002.endurance(short_lived(device, **{f"modes.{name}": value}))))
    assert all(row in found for row in rows), found


@pytest.mark.usefixtures("few")
def test_refusals_are_those_for_wear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s002, "EnduranceError", KeyError)
    with pytest.raises(EnduranceError, match="40 cycles of the 40 that it lasts"):
        s002.endurance(short_lived())


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("device", [OGB, DDAB, FILM])
def test_what_is_listed_without_influence_has_none(
    unlisted_change_nothing: Any, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(s002, "_LASTS", {name: (15, "cut short") for name in (OGB, DDAB, FILM)})
    unlisted_change_nothing(s002.endurance, device)


def cycles_done(array: Array, i_cc: float, most: int) -> int:
    """SETs of one cell, each after a RESET, until a pulse is refused for wear, or ``most``."""
    cell = np.arange(1)
    for done in range(most):
        try:
            reset_cells(array, cell)
            set_cells(array, cell, i_cc)
        except EnduranceError:
            return done
    return most


def test_cycles_on_the_line_and_at_1_ma_are_one_wear() -> None:
    array = short_lived().array(OGB)
    assert cycles_done(array, 100e-6, 15) == 15
    array.set_mode("nonvolatile_1ma", i_cc=1e-3)
    assert cycles_done(array, 1e-3, 40) == 40 - 15


def test_cycles_of_the_ddab_cell_at_1_ua_and_at_1_ma_are_one_wear() -> None:
    array, cell = Bench().array(DDAB), np.arange(1)
    for _ in range(10):
        stimulate(array, cell)
        array.wait(REST_S)
    assert array.limits.i_cc_max < 1e-3  # non-volatile, and thin
    assert cycles_done(array, 1e-6, 20) == 20
    array.set_mode("nonvolatile", i_cc=1e-3)
    assert cycles_done(array, 1e-3, 50) == 50 - 20


def test_heating_passes_and_draws_its_figure(tmp_path: Path) -> None:
    assert run(HEATING, Bench(), tmp_path).passed


@pytest.mark.parametrize(
    ("device", "name", "value", "row"),
    [
        (OGB, "heating.1.rise", 20.0, "in cycle 50"),
        (OGB, "heating.2.rise", 60.0, "in cycle 5000"),
        (OGB, "heating.3.rise", 120.0, "OGB-capped: surface warmer by, at the end"),
        (OGB, "wear.endurance", 6000.0, "OGB-capped: surface warmer by, at the end"),
        (DDAB, "wear.endurance", 25.0, "DDAB-capped: surface warmer by, at the end"),
    ],
)
def test_heating_with_one_changed_number_fails(
    failing: Any, device: str, name: str, value: float, row: str
) -> None:
    assert row in failing(s002.heating, device, {f"{AT_1_MA[device]}.{name}": value})


@pytest.mark.parametrize("device", [OGB, DDAB])
def test_heating_lists_what_changes_it(unlisted_change_nothing: Any, device: str) -> None:
    unlisted_change_nothing(s002.heating, device)
