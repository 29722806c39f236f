from __future__ import annotations

import json
from pathlib import Path

import pytest

from ohmloom.boards.report import Clock, ReportError, read_report

SAMPLE = Path(__file__).parent / "data" / "nextpnr_ecp5.json"


def test_sample_is_read() -> None:
    raw = json.loads(SAMPLE.read_text())
    report = read_report(SAMPLE)
    name, clock = report.slowest
    assert clock.achieved == raw["fmax"][name]["achieved"] > clock.constraint
    assert clock.slack_ns > 0
    assert report.utilisation["TRELLIS_FF"].used == raw["utilization"]["TRELLIS_FF"]["used"]
    assert report.utilisation["TRELLIS_FF"].available == 83640
    assert "JTAGG" in raw["utilization"] and "JTAGG" not in report.utilisation


def test_the_slowest_clock_is_the_one_with_the_least_room(tmp_path: Path) -> None:
    raw = json.loads(SAMPLE.read_text())
    raw["fmax"] = {
        "fast": {"achieved": 200.0, "constraint": 190.0},
        "slow": {"achieved": 60.0, "constraint": 12.0},
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(raw))
    assert read_report(path).slowest == ("fast", Clock(achieved=200.0, constraint=190.0))


def test_negative_slack() -> None:
    assert Clock(achieved=40.0, constraint=50.0).slack_ns == pytest.approx(-5.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a place-and-route report"),
        ("{}", "fmax"),
        ('{"fmax": {}, "utilization": {}}', "fmax"),
        ('{"fmax": {"c": {"achieved": -1, "constraint": 1}}, "utilization": {}}', "achieved"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=complaint):
        read_report(path)


def test_missing_report(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="No such file"):
        read_report(tmp_path / "report.json")
