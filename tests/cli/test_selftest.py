from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_sound_card_is_calibrated_and_its_table_makes_it_better(
    command: Any, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "table.json"
    made = command("selftest", "--calibrate", path, "--json").data
    assert made["readings"] == 96 and made["failures"] == [] and made["calibrated"]
    raw = command("selftest", "--json").data
    again = command("selftest", "--table", path, "--json").data
    assert raw["failures"] == again["failures"] == []
    for before, after in zip(raw["ranges"], again["ranges"], strict=True):
        assert after["limit"] < before["limit"]
        assert after["highest"] - after["lowest"] < before["highest"] - before["lowest"]
    # The table of one card does not mend another.
    other = command("selftest", "--table", path, "--seed", 2)
    assert other.code == 1 and "further off than the parts allow" in other.sentence


def test_a_bad_card_fails_and_is_not_calibrated(command: Any, tmp_path: Path) -> None:
    bad = command("selftest", "--tolerance", 4)
    assert bad.code == 1 and "FAIL" in bad.out and "range 0, column" in bad.sentence
    path = tmp_path / "table.json"
    refused = command("selftest", "--tolerance", 4, "--calibrate", path)
    assert refused.code == 2 and refused.out == "" and not path.exists()


def test_a_table_that_is_none_or_for_another_card(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"columns": 8, "words": [1]}')
    refused = command("selftest", "--table", path)
    assert refused.code == 2 and "is no calibration: " in refused.sentence
    path.write_text(f'{{"columns": 16, "words": {[32768] * 128}}}')
    refused = command("selftest", "--table", path)
    assert refused.code == 2 and "is for 16 columns, the card has 8" in refused.sentence
