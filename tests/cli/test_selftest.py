from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ohmloom.boards.temperature import load_log


@pytest.mark.slow
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


def test_the_temperature_is_measured_and_logged_before_and_after(
    command: Any, tmp_path: Path
) -> None:
    log = tmp_path / "folder" / "bench.jsonl"
    found = command("selftest", "--celsius", 42.5, "--temperature-log", log)
    assert found.code == 0
    for when in ("before", "after"):
        assert f"converters {when}: 42.5 degC (+-5; limit 85)" in found.out
    first = log.read_text()
    data = command("selftest", "--temperature-log", log, "--json").data
    heat = data["temperature"]
    assert heat["before_c"] == pytest.approx([25], abs=0.02) == heat["after_c"]
    assert (heat["uncertainty_c"], heat["limit_c"], heat["log"]) == (5, 85, str(log))
    assert log.read_text().startswith(first)
    times = [reading.time for reading in load_log(log)]
    assert times == sorted(times)
    assert [(reading.doing, len(reading.celsius)) for reading in load_log(log)] == [
        ("before the self-test", 1),
        ("after the self-test", 1),
        ("before the self-test", 1),
        ("after the self-test", 1),
    ]


@pytest.mark.slow
def test_each_converter_has_its_temperature(command: Any) -> None:
    heat = command("selftest", "--columns", 16, "--json").data["temperature"]
    assert heat["before_c"] == pytest.approx([25, 25], abs=0.02) == heat["after_c"]


def test_a_card_too_hot_is_logged_and_not_tested(command: Any, tmp_path: Path) -> None:
    log = tmp_path / "bench.jsonl"
    hot = command("selftest", "--celsius", 91, "--temperature-log", log)
    assert hot.code == 2 and hot.out == ""
    said = "converter 0 is at 91.0 degC (before the self-test), accepted is up to 85 degC"
    assert hot.sentence == said
    assert [reading.celsius for reading in load_log(log)] == [(pytest.approx(91, abs=0.02),)]
    assert "accepted is -100 to 300" in command("selftest", "--celsius", "nan").sentence


def test_a_recording_stands_in_for_the_card(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "card.jsonl"
    real = command("selftest", "--record", path, "--json").data

    def nothing_plugged(*_: object, **__: object) -> None:
        raise AssertionError("a replay needs no card")

    monkeypatch.setattr("ohmloom.sim.cosim.fast.plugged.plugged", nothing_plugged)
    replayed = command("selftest", "--replay", path, "--json")
    assert replayed.code == 0 and replayed.data == real
    other = command("selftest", "--replay", path, "--columns", 16)
    assert other.code == 2
    assert "is about 'selftest, 8 columns', not about 'selftest, 16 columns'" in other.sentence
    more = command("selftest", "--replay", path, "--calibrate", tmp_path / "table.json")
    assert more.code == 2 and "WRITE of 64 words to CALIBRATION" in more.sentence
    both = command("selftest", "--replay", path, "--record", path)
    assert both.code == 2 and "exclude each other" in both.sentence
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-2], lines[-1], ""]))
    assert "was altered" in command("selftest", "--replay", path).sentence
