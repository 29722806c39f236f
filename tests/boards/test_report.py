from __future__ import annotations

import json
from pathlib import Path

import pytest

from ohmloom.boards.report import Clock, ReportError, read_report, signal_name

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


def test_critical_path_of_the_slowest_clock(tmp_path: Path) -> None:
    raw = json.loads(SAMPLE.read_text())
    (clock,) = raw["fmax"]

    def part(kind: str, ns: float, start: str, end: str) -> dict[str, object]:
        ends = {"from": {"cell": start, "port": "Q"}, "to": {"cell": end, "port": "D"}}
        return {"type": kind, "delay": ns, **ends}

    flip_flop, table, last = "top.a.x_TRELLIS_FF_Q_5", "top.a.y_LUT4_Z", "top.b.z_DFFRE_Q_D_LUT4_F"
    raw["critical_paths"] = [
        {"from": "async", "to": f"posedge {clock}", "path": [part("logic", 9, "p", "q")]},
        {
            "from": f"posedge {clock}",
            "to": f"posedge {clock}",
            "path": [
                part("clk-to-q", 0.5, flip_flop, flip_flop),
                part("routing", 1.25, flip_flop, table),
                part("logic", 0.25, table, table),
                part("routing", 2, table, last),
                part("setup", 0.125, last, last),
            ],
        },
    ]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(raw))
    found = read_report(path).critical
    assert found is not None
    assert str(found) == "from top.a.x to top.b.z, 0.88 ns of logic and 3.25 ns of routing"
    assert [step.kind for step in found.steps] == [
        "clk-to-q",
        "routing",
        "logic",
        "routing",
        "setup",
    ]
    assert found.steps[1].to == "top.a.y_LUT4_Z.D"
    raw["critical_paths"] = []
    path.write_text(json.dumps(raw))
    assert read_report(path).critical is None


@pytest.mark.parametrize(
    ("cell", "signal"),
    [
        ("top.guard.host__limit_index_DFFRE_Q_3", "top.guard.host__limit_index"),
        ("top.pulse.fsm_state_SB_DFFESR_Q_2_D_SB_LUT4_O_LC", "top.pulse.fsm_state"),
        ("top.sequencer.owner_TRELLIS_FF_Q", "top.sequencer.owner"),
        ("top.afe.sum_CCU2C_S0_1", "top.afe.sum"),
        ("top.link.alu_word", "top.link.alu_word"),
    ],
)
def test_signals_without_what_synthesis_has_put_behind_them(cell: str, signal: str) -> None:
    assert signal_name(cell) == signal
