from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def columns(result: Any) -> dict[str, np.ndarray]:
    assert result.code == 0, result.err
    return {name: np.array(values) for name, values in result.data["columns"].items()}


def test_read(command: Any, tmp_path: Path) -> None:
    out = tmp_path / "found.csv"
    asked = ("array", "read", "--virtual", "--rows", "1:3", "--columns", "0,5", "--tile", 1)
    found = columns(command(*asked, "--repeat", 2, "--out", out, "--json"))
    assert found["row"].tolist() == [1, 1, 2, 2] * 2 and set(found["tile"]) == {1}
    assert found["column"].tolist() == [0, 5] * 4
    assert np.allclose(found["conductance_s"] * found["resistance_ohm"], 1)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["conductance_s"]) for row in rows] == found["conductance_s"].tolist()
    assert "conductance_s" in command(*asked).out
    # Other cells behind the board.
    other = columns(command(*asked, "--repeat", 2, "--seed", 2, "--json"))
    assert not np.allclose(other["conductance_s"], found["conductance_s"], rtol=0.05)


def test_pulse_and_sweep(command: Any, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    cell = ("--virtual", "--rows", 0, "--columns", 3, "--json")
    pulsed = columns(command("array", "pulse", "--volts", 1, "--width", 1e-3, "--icc", 1e-4, *cell))
    assert pulsed["pulses"].tolist() == [0, 1]
    assert pulsed["conductance_s"][1] > 10 * pulsed["conductance_s"][0]
    asked = ("array", "sweep", "--stop", 1, "--step", 0.1, "--both", "--icc", 1e-4)
    swept = columns(command(*asked, *cell, "--png", picture, "--rate", 5))
    up = np.arange(11) / 10
    assert swept["voltage_v"].tolist() == pytest.approx([*up, *up[-2::-1]])
    assert swept["current_a"].max() == pytest.approx(1e-4, rel=1e-3)
    assert (swept["uncertainty_a"] < 0.02 * swept["current_a"] + 1e-9).all()
    assert picture.read_bytes().startswith(b"\x89PNG")
    whole = columns(command(*asked, *cell, "--tia-range", 1))
    below = slice(0, 6)  # where a step to either side of the threshold makes no difference
    assert np.allclose(whole["current_a"][below], swept["current_a"][below], rtol=5e-3, atol=1e-8)
    assert whole["current_a"].max() == pytest.approx(1e-4, rel=1e-3)


def test_plot(command: Any) -> None:
    pytest.importorskip("plotext")
    asked = ("array", "sweep", "--stop", 0.2, "--icc", 1e-4, "--virtual", "--plot")
    assert "voltage_v" in command(*asked).err


def test_iv(command: Any) -> None:
    found = columns(
        command("array", "iv", "--virtual", "--stop", 0.1, "--steps", 2, "--icc", 1e-4, "--json")
    )
    assert found["voltage_v"].tolist() == pytest.approx([0, 0.05, 0.1, 0.05, 0])
    assert np.abs(found["current_a"][2] / 2 - found["current_a"][1]) < found["uncertainty_a"][1]


def test_the_card_of_resistors(command: Any) -> None:
    sound = columns(command("array", "iv", "--resistors", "--virtual", "--json"))
    assert sound["passed"].all() and sound["passed"].size == 112
    wrong = command("array", "iv", "--resistors", "--virtual", "--json", "--fault", "2,3,150000")
    assert wrong.code == 1
    found = wrong.data
    places = {
        (row, column)
        for row, column, passed in zip(
            *(found["columns"][name] for name in ("row", "column", "passed")), strict=True
        )
        if not passed
    }
    assert places == {(2, 3)} and found["failed"] == 2
    assert "2 of 112 readings" in wrong.sentence and "row 2, column 3" in wrong.sentence
    bad = command("array", "iv", "--resistors", "--virtual", "--fault", "2;3")
    assert bad.code == 2 and "accepted is ROW,COLUMN,OHM" in bad.sentence


def test_modes(command: Any) -> None:
    result = command("array", "mode", "volatile", "--virtual", "--json")
    assert result.code == 0 and (result.data["before"], result.data["after"]) == (
        "nonvolatile",
        "volatile",
    )
    film = ("array", "mode", "nonvolatile", "--virtual", "--device", "cspbbr3_film")
    refused = command(*film)
    assert refused.code == 2 and "is irreversible and has to be armed" in refused.sentence
    assert command(*film, "--arm").code == 0


def test_form(command: Any) -> None:
    asked = ("array", "form", "--virtual", "--formed", 1e-4, "--icc", 1e-4)
    found = columns(command(*asked, "--stop", 1.0, "--json"))
    assert found["before_s"][0] < 1e-4 <= found["after_s"][0]
    short = command(*asked, "--stop", 1.0, "--short-above", 1e-6)
    assert short.code == 2 and "crossings are not good" in short.sentence
    beyond = command(*asked, "--stop", 3.0)
    assert beyond.code == 2 and "V, accepted is -1.5..1 V" in beyond.sentence


def test_retention(command: Any) -> None:
    asked = ("array", "retention", "--virtual", "--until", 100, "--points", 3, "--columns", "0:2")
    found = columns(command(*asked, "--json"))
    assert found["time_s"].tolist() == pytest.approx([0, 0, 1, 1, 10, 10, 100, 100])
    assert found["conductance_s"].min() > 1e-4
    off = columns(command(*asked, "--json", "--after", "reset"))
    assert off["conductance_s"].max() < 1e-4
    refused = command(*asked, "--first", 200)
    assert refused.code == 2 and "two times above 0 in order" in refused.sentence


def test_endurance_stops_and_tells_the_wear(command: Any, tmp_path: Path) -> None:
    wear = tmp_path / "new" / "wear.npy"
    asked = ("array", "endurance", "--virtual", "--json", "--wear", wear, "--cycles")
    first = command(*asked, 2)
    found = columns(first)
    assert found["cycle"].tolist() == [1, 2] and (found["lrs_s"] > 10 * found["hrs_s"]).all()
    assert first.data["stopped"] is None and first.data["cycles_of_the_most_worn_cell"] == 2
    cycles = np.load(wear)
    assert cycles[0] == 2 and cycles.sum() == 2
    cycles[0] = 5654
    np.save(wear, cycles)
    last = command(*asked, 5)
    assert columns(last)["cycle"].tolist() == [1] and last.data["columns"]["hrs_s"] == [None]
    assert "has had the 5655 cycles that it lasts" in last.data["stopped"]
    assert last.data["worn"] == pytest.approx(1.0) and np.load(wear)[0] == 5655
    np.save(wear, cycles[:3])
    refused = command(*asked, 5)
    assert refused.code == 2 and "accepted are unsigned integers of shape" in refused.sentence


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "name one controller: --virtual, or --port"),
        (("--virtual", "--port", "/dev/ttyUSB0"), "name one controller"),
        (("--port", "/dev/ttyNONE"), "/dev/ttyNONE cannot be opened: there is no such port"),
        (("--virtual", "--out", "a.xls"), "accepted are files that end in .csv or .h5"),
        (("--virtual", "--rows", "8"), "--rows 8: accepted are 0 to 7, each once"),
        (("--virtual", "--columns", "a"), "--columns a: accepted are numbers like"),
        (("--virtual", "--tile", 4), "--tile 4: the controller has 4"),
        (("--virtual", "--in-mode", "power"), "has no mode 'power'"),
        (("--virtual", "--device", "unobtainium"), "unobtainium"),
    ],
)
def test_what_is_refused(command: Any, options: tuple[object, ...], says: str) -> None:
    result = command("array", "read", *options)
    assert (result.code, result.out) == (2, "") and says in result.sentence
