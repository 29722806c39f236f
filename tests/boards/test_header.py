from __future__ import annotations

import pytest
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.board import BoardError
from ohmloom.boards.header import pinout

POSITIONS = [f"p{number}" for number in range(56)]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=9))
def test_every_bit_has_a_position_of_its_own(widths: list[int]) -> None:
    signature = wiring.Signature({f"m{i}": Out(width) for i, width in enumerate(widths)})
    places = pinout(signature, POSITIONS)
    taken = [position for member in places.values() for position in member]
    assert [len(places[f"m{i}"]) for i in range(len(widths))] == widths
    assert len(set(taken)) == sum(widths)
    assert set(taken) == set(POSITIONS[: sum(widths)])


@pytest.mark.parametrize("width", [2, 8])
def test_one_bit_pins_stay_where_they_are_when_a_bus_grows(width: int) -> None:
    signature = wiring.Signature({"clock": Out(1), "bus": Out(width), "busy": In(1)})
    places = pinout(signature, POSITIONS)
    assert (places["clock"], places["busy"]) == (["p0"], ["p1"])
    assert places["bus"][0] == "p2"


def test_nested_members_and_arrays_are_flattened() -> None:
    chip = wiring.Signature({"sdi": Out(1).array(2), "cs": Out(1)})
    places = pinout(wiring.Signature({"dac": Out(chip)}), POSITIONS)
    assert sorted(places) == ["dac_cs", "dac_sdi_0", "dac_sdi_1"]


def test_too_many_pins_are_refused_with_the_numbers() -> None:
    with pytest.raises(BoardError, match="the card has 57 pins, the header 56"):
        pinout(wiring.Signature({"bus": Out(57)}), POSITIONS)
