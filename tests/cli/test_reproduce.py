from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ohmloom.sim.devices import catalogue

CATALOGUE = Path(__file__).parents[2] / "sim" / "devices"


def test_one_experiment(command: Any, tmp_path: Path) -> None:
    result = command("reproduce", "000/resistance", "--json", "-o", tmp_path)
    assert result.code == 0, result.err
    data = result.data
    assert (data["passed"], data["failed"]) == (1, 0)
    (found,) = data["experiments"]
    assert found["experiment"] == "000/resistance" and found["devices"] == ["bion"]
    for row in found["rows"]:
        assert row["passed"] and row["kind"] in ("input", "fitted", "predicted") and row["source"]
        assert row["tolerance"] and any(end is not None for end in row["accepted"])
    stochastic = [row["interval"] for row in found["rows"] if row["interval"]]
    assert stochastic and all(item["low"] <= item["high"] and item["seeds"] for item in stochastic)
    kinds = {kind: count["rows"] for kind, count in data["rows"].items()}
    assert sum(kinds.values()) == len(found["rows"]) and kinds["predicted"] == 1
    assert found["assumed"] and all(item["reason"] for item in found["assumed"])
    assert {Path(path).suffix for path in found["figures"]} == {".png", ".svg"}
    assert all(Path(path).parent == tmp_path and Path(path).exists() for path in found["figures"])


def test_for_people(command: Any, tmp_path: Path) -> None:
    out = command("reproduce", "000", "-o", tmp_path).out
    for words in ("000/resistance", "passed", "35 to 55", "Assumed parameters", "predicted"):
        assert words in out


def test_a_changed_number_fails(command: Any, tmp_path: Path) -> None:
    text = (CATALOGUE / "bion.toml").read_text()
    text, count = re.subn(r"(\.hrs\]\s+conductance = \{ value = 1\.348e)-6", r"\1-7", text)
    assert count == 1
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    arguments = ("reproduce", "000", "-o", tmp_path, "--replace", f"bion={mine}")
    result = command(*arguments, "--json")
    assert result.code == 1 and result.data["failed"] == 1
    assert "FAIL" in command(*arguments).out


def test_what_is_asked_for(command: Any) -> None:
    nothing = command("reproduce", "--json")
    assert (nothing.code, nothing.out) == (2, "")
    assert "name one seed or experiment" in nothing.sentence
    assert "name one seed or experiment" in command("reproduce", "001", "--all").sentence
    assert "'xyz' is not an experiment; accepted are 000, " in command("reproduce", "xyz").sentence


@pytest.mark.parametrize("pair", ["bion", "unobtainium=x.toml"])
def test_replacements_are_named(command: Any, pair: str) -> None:
    sentence = command("reproduce", "000", "--replace", pair).sentence
    assert f"--replace {pair}: accepted is NAME=FILE.toml" in sentence
    assert ", ".join(catalogue()) in sentence


def test_over_the_link(command: Any, tmp_path: Path) -> None:
    result = command("reproduce", "003/relearning", "--virtual", "--json", "-o", tmp_path)
    assert result.code == 0, result.err
    (found,) = result.data["experiments"]
    assert found["passed"] and all(row["passed"] for row in found["rows"]) and found["rows"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["000/resistance", "001/endurance", "001/states", "002/heating", "003/paired_pulses",
     "003/weight_curve"],
)  # fmt: skip
def test_more_over_the_link(command: Any, tmp_path: Path, name: str) -> None:
    result = command("reproduce", name, "--virtual", "-o", tmp_path)
    assert result.code == 0, result.out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["000/resistance", "001/states", "003/relearning"])
def test_behind_a_pseudo_terminal(command: Any, tmp_path: Path, name: str) -> None:
    result = command("reproduce", name, "--virtual", "--terminal", "-o", tmp_path)
    assert result.code == 0, result.out


def test_a_terminal_is_that_of_a_virtual_board(command: Any) -> None:
    assert "--terminal says where" in command("reproduce", "001", "--terminal").sentence


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("001/table", "a cell that is written once is driven by single pulses alone"),
        ("002/line", "an array of 32 x 32 cells, the virtual board has 256"),
    ],
)
def test_what_a_bench_does_not_do(command: Any, tmp_path: Path, name: str, why: str) -> None:
    result = command("reproduce", name, "--virtual", "-o", tmp_path)
    assert (result.code, result.out) == (2, "")
    assert result.sentence.startswith(f"{name} does not run over the link: ")
    assert why in result.sentence
    assert not list(tmp_path.iterdir())


def test_one_controller(command: Any) -> None:
    for options in (("--virtual", "--port", "/dev/ttyNONE"),):
        refused = command("reproduce", "000", *options)
        assert refused.code == 2 and "name one controller" in refused.sentence
    missing = command("reproduce", "000", "--port", "/dev/ttyNONE")
    assert missing.code == 2 and "there is no such port" in missing.sentence
