from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_row_for_each_time(command: Any, bundle: Path, digits: Path) -> None:
    known = ("--input", digits / "test_x.npy", "--labels", digits / "test_y.npy")
    data = command("drift", bundle, *known, "--seconds", "1e3,0", "--json").data
    assert [row["seconds"] for row in data["rows"]] == [0, 1e3]
    assert all(row["accuracy"] > 0.9 and row["compensated"] > 0.9 for row in data["rows"])
    shown = command("drift", bundle, *known, "--seconds", "0").out
    assert "compensated" in shown


def test_what_is_no_time_or_temperature(command: Any, bundle: Path, digits: Path) -> None:
    known = ("--input", digits / "test_x.npy", "--labels", digits / "test_y.npy")
    for words, extra in {
        "like 0,1e3,1e5": ("--seconds", "soon"),
        "0 s and more": ("--seconds", "-1"),
        "K is outside": ("--kelvin", "1000"),
    }.items():
        result = command("drift", bundle, *known, *extra)
        assert result.code == 2 and result.out == "" and words in result.sentence
