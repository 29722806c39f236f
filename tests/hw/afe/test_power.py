"""What the card takes: counts of parts, energies by hand, and an origin of every number."""

from __future__ import annotations

from pathlib import Path

import pytest

from ohmloom.hw.afe import ad7606, ad7606c
from ohmloom.hw.afe.array_card import consumers
from ohmloom.hw.afe.power import Consumer, Power, table
from ohmloom.hw.geometry import Geometry
from ohmloom.hw.power import CYCLE_J, STATIC_W, controller


def by_name(geometry, **options):
    return {each.name: each for each in consumers(geometry, **options)}


def test_energy_is_that_of_time_conversions_and_charge():
    part = Power(0.5, "DS", conversion_j=1e-6)
    three = Consumer.of("three", 3, part, signal_v=15.0)
    assert three.joules(2.0, 0, 0, 0) == pytest.approx(3.0)
    assert three.joules(0.0, 10, 0, 0) == pytest.approx(3e-5)
    assert three.joules(0.0, 0, 1e-3, 1e-4) == pytest.approx(15e-3)
    # What cells take is out of what feeds them, and not taken twice.
    feeding = Consumer("rail", 0.0, "DS", signal_v=15.0, feeds=True)
    assert feeding.joules(0.0, 0, 1e-3, 1e-4) == pytest.approx(15e-3 - 1e-4)


def test_parts_are_those_of_the_bill_of_materials():
    small, large = by_name(Geometry(rows=8, columns=8)), by_name(Geometry(rows=32, columns=32))
    for name in ("TIAs", "ADCs", "switches"):
        assert large[name].watts == pytest.approx(4 * small[name].watts)
    assert large["ADCs"].conversion_j == pytest.approx(4 * ad7606c.PART.power.conversion_j)
    assert large["DACs"].watts == small["DACs"].watts
    rows = by_name(Geometry(rows=64, columns=32))
    assert rows["TIAs"] == large["TIAs"] and rows["switches"].watts > large["switches"].watts


def test_other_converters_take_other_power():
    slow = by_name(Geometry(), adc=ad7606.PART)["ADCs"]
    # 100 mW each at 200 kSPS.
    assert slow.joules(1.0, 200_000, 0, 0) == pytest.approx(4 * 0.1)
    assert slow.origin != by_name(Geometry())["ADCs"].origin


def test_every_number_says_where_it_comes_from():
    for each in (*consumers(Geometry()), controller(48_000_000)):
        assert each.watts > 0
        assert "assumed:" in each.origin or each.origin.startswith("DS")


def test_the_page_has_the_table():
    page = (Path(__file__).parents[3] / "docs" / "array-card.md").read_text()
    lines = list(table((*consumers(Geometry()), controller(48_000_000))))
    assert "\n".join(lines) in page and len(lines) == 8
    assert "\n".join(table(consumers(Geometry(rows=8)))) not in page


def test_the_controller_takes_more_at_a_faster_clock():
    slow, fast = controller(12_000_000).watts, controller(48_000_000).watts
    assert fast - slow == pytest.approx(36e6 * CYCLE_J) and slow > STATIC_W
