from __future__ import annotations

import pytest

from ohmloom.sim.devices import catalogue, load
from ohmloom.sim.devices.comparison import COLUMNS, Cell, of_model, of_sheet
from ohmloom.sim.devices.datasheet import load_sheet
from ohmloom.sim.devices.families import FAMILIES
from ohmloom.sim.devices.schema import quantities


def test_every_family_has_its_columns() -> None:
    assert set(COLUMNS) >= set(FAMILIES)


@pytest.mark.parametrize("name", catalogue())
def test_columns_are_numbers_of_the_modes(name: str) -> None:
    device = load(name)
    entries = of_model(device)
    assert [entry.mode for entry in entries] == [mode.name for mode in device.modes]
    for mode in device.modes:
        there = {number for number, _ in quantities(mode.p)}
        columns = COLUMNS[mode.p.family]
        once = getattr(mode.p, "switching", "") == "write_once"
        for column in (columns.v_set, None if once else columns.v_reset, columns.on, columns.off):
            assert column is None or column in there


def test_a_model() -> None:
    (vb3,) = of_model(load("vb3"))
    assert (vb3.v_set, vb3.v_reset) == (Cell(1.07), Cell(-6.94))
    assert vb3.endurance == Cell(130.0) and vb3.levels == 2
    assert vb3.on_off is not None and vb3.on_off.value == pytest.approx(2.62e4, rel=0.01)
    assert not vb3.on_off.assumed  # made from the ratio that the source gives
    (vb1,) = of_model(load("vb1"))
    assert vb1.v_reset is None and vb1.levels is None
    (bion,) = of_model(load("bion"))
    assert bion.v_set is not None and bion.v_set.assumed


def test_a_sheet() -> None:
    volatile, kept = of_sheet(load_sheet("rbpbbr3"))
    assert (volatile.mode, kept.mode) == ("volatile", "nonvolatile")
    assert kept.on_off == Cell(1e3, up_to=1e4) and volatile.endurance is None
    assert of_sheet(load_sheet("wse2_ag"))[0].on_off == Cell(100.0, bound="below")
    (hot,) = of_sheet(load_sheet("pom_co4pw9"))
    assert (hot.on_off_hot, hot.celsius_hot) == (Cell(55.0), Cell(270.0))
