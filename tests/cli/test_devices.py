from __future__ import annotations

from typing import Any

from ohmloom.sim.devices import catalogue, load
from ohmloom.sim.devices.datasheet import FOLDER, sheets


def test_list(command: Any) -> None:
    data = command("devices", "list", "--json").data
    assert list(dict.fromkeys(row["name"] for row in data["devices"])) == catalogue()
    assert list(dict.fromkeys(row["name"] for row in data["datasheets"])) == sheets()
    out = command("devices", "list").out
    models, printed = out.split("Data sheets only")
    assert "cspbbr3_ogb" in models and "1.07/-6.94" in models
    for words in ("-0.63/0.75", "1.2/0.8", "27.3 (55)", "118 (3500)", "<100", "1000..1e4", ">1e4"):
        assert words in printed


def test_the_table_fits_a_terminal(command: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = command("devices", "list").out
    assert max(map(len, out.splitlines())) <= 80 and "…" not in out
    assert "SET/RESET V" in out and "levels" in out


def test_show_gives_every_number_its_origin(command: Any) -> None:
    data = command("devices", "show", "cspbbr3_ogb", "--json").data
    assert data["entry"] == "model"
    assert len(data["parameters"]) == len(load("cspbbr3_ogb").parameters)
    slope = data["parameters"]["modes.nonvolatile.line.slope"]
    assert (slope["value"], slope["unit"]) == (3.338, "S/A")
    for number in data["parameters"].values():
        assert (number["source"] is None) != (number["assumed"] is None)
    assert "3.338" in command("devices", "show", "cspbbr3_ogb").out


def test_show_a_data_sheet(command: Any) -> None:
    for name in ("pom_co4pw9", FOLDER / "pom_co4pw9.toml"):
        data = command("devices", "show", name, "--json").data
        assert data["entry"] == "datasheet" and data["not_reported"] == ["nonvolatile.retention"]
        number = data["parameters"]["nonvolatile.v_set"]
        assert (number["value"], number["source"]) == (-0.63, "seed 001, Table S11, [6]")
    out = command("devices", "show", "pom_co4pw9").out
    assert "data sheet only, no model" in " ".join(out.split()) and "not reported" in out
    assert "< 100" in command("devices", "show", "wse2_ag").out


def test_unknown_device(command: Any) -> None:
    result = command("devices", "show", "unobtainium", "--json")
    assert (result.code, result.out) == (2, "")
    assert "'unobtainium' is not a device; accepted are " in result.sentence
    assert "cspbbr3_ogb" in result.sentence
