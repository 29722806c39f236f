from __future__ import annotations

from typing import Any

from ohmloom.sim.devices import catalogue, load


def test_list(command: Any) -> None:
    rows = command("devices", "list", "--json").data["devices"]
    assert [row["name"] for row in rows] == catalogue()
    assert "cspbbr3_ogb" in command("devices", "list").out


def test_show_gives_every_number_its_origin(command: Any) -> None:
    data = command("devices", "show", "cspbbr3_ogb", "--json").data
    assert len(data["parameters"]) == len(load("cspbbr3_ogb").parameters)
    slope = data["parameters"]["line.slope"]
    assert (slope["value"], slope["unit"]) == (3.338, "S/A")
    for number in data["parameters"].values():
        assert (number["source"] is None) != (number["assumed"] is None)
    assert "3.338" in command("devices", "show", "cspbbr3_ogb").out


def test_unknown_device(command: Any) -> None:
    result = command("devices", "show", "unobtainium", "--json")
    assert (result.code, result.out) == (2, "")
    assert "'unobtainium' is not a device; accepted are cspbbr3_ogb" in result.sentence
