from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ohmloom.boards import programmer
from ohmloom.boards.board import Programmer
from ohmloom.boards.catalogue import boards
from ohmloom.boards.programmer import HOW_TO_GET, ProgramError, program_fpga

BOTH = Programmer("loader", ("-b", "x", "{bitstream}"), ("-b", "x", "-f", "{bitstream}"))
VOLATILE = Programmer("quick", ("{bitstream}",))
ALWAYS_FLASH = Programmer("dfu", ("-D", "{bitstream}"), ("-D", "{bitstream}"))


@pytest.fixture
def bitstream(tmp_path: Path) -> Path:
    path = tmp_path / "a board.bit"
    path.write_bytes(b"\0")
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder that is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(path: Path, name: str, body: str) -> None:
    """A program in Python."""
    (path / name).write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    (path / name).chmod(0o755)


def test_the_first_tool_that_is_there_gets_the_file(path: Path, bitstream: Path) -> None:
    script(path, "loader", f"open({str(path / 'said')!r}, 'w').write('|'.join(sys.argv[1:]))")
    for flash, arguments in ((False, "-b|x"), (True, "-b|x|-f")):
        done = program_fpga([VOLATILE, BOTH], bitstream, flash)
        assert (path / "said").read_text() == f"{arguments}|{bitstream}"
        assert (done.tool, done.flash) == ("loader", flash)
    assert done.command == (str(path / "loader"), "-b", "x", "-f", str(bitstream))
    assert {each.name for each in bitstream.parent.iterdir()} == {"bin", bitstream.name}


def test_a_tool_that_cannot_write_the_flash_is_passed_over(bitstream: Path) -> None:
    ran: list[Sequence[str]] = []

    def run(command: Sequence[str], log: Path) -> int:
        ran.append(command)
        return 0

    def everywhere(name: str) -> str:
        return f"/bin/{name}"

    for flash, tool in ((False, "quick"), (True, "loader")):
        assert (
            program_fpga([VOLATILE, BOTH], bitstream, flash, run=run, find=everywhere).tool == tool
        )
    assert ran[0] == ["/bin/quick", str(bitstream)]
    assert program_fpga([ALWAYS_FLASH], bitstream, run=run, find=everywhere).flash


def test_a_failure_is_one_sentence_and_its_log_is_kept(path: Path, bitstream: Path) -> None:
    script(
        path,
        "loader",
        "print('empty'); print('progress\\rError: no board', file=sys.stderr); print('bye');"
        "sys.exit(3)",
    )
    with pytest.raises(ProgramError) as failed:
        program_fpga([BOTH], bitstream)
    log = bitstream.with_name("a board.bit.loader.log")
    assert str(failed.value) == f"loader failed with exit code 3: Error: no board (see {log})"
    assert "empty" in log.read_text() and "bye" in log.read_text()
    script(path, "loader", "sys.exit(1)")
    elsewhere = bitstream.parent / "logs" / "one.log"
    with pytest.raises(ProgramError, match=f"exit code 1: it said nothing .see {elsewhere}."):
        program_fpga([BOTH], bitstream, log=elsewhere)


def test_a_tool_that_hangs_or_cannot_start(
    path: Path, bitstream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(path, "loader", "import time; print('waiting', flush=True); time.sleep(60)")
    monkeypatch.setattr(programmer, "SECONDS", 1)
    with pytest.raises(ProgramError, match="did not end in 1 s and was stopped"):
        program_fpga([BOTH], bitstream)
    (path / "loader").write_bytes(b"\x7fELF")
    with pytest.raises(ProgramError, match="cannot be started: Exec format error"):
        program_fpga([BOTH], bitstream)


def test_without_a_tool_it_says_how_to_get_each(path: Path, bitstream: Path) -> None:
    tools = [Programmer("openFPGALoader", ("{bitstream}",)), VOLATILE]
    with pytest.raises(ProgramError) as missing:
        program_fpga(tools, bitstream)
    assert str(missing.value) == (
        "no tool that programs this board was found on PATH, get openFPGALoader: apt-get install "
        "openfpgaloader; or quick: put quick on PATH"
    )
    with pytest.raises(ProgramError, match="no tool is known that writes the flash"):
        program_fpga(tools, bitstream, flash=True)
    with pytest.raises(ProgramError, match="no tool is known that programs this board"):
        program_fpga([], bitstream)
    with pytest.raises(ProgramError, match="no bitstream .*: `ohmloom bitstream` builds it"):
        program_fpga(tools, bitstream.with_name("no.bit"))


def test_every_tool_of_the_catalogue_can_be_got() -> None:
    for board in boards().values():
        for each in board.programmers:
            assert each.tool in HOW_TO_GET, board.name
            for arguments in filter(None, (each.volatile, each.flash)):
                assert arguments.count("{bitstream}") == 1


def test_the_page_says_the_same() -> None:
    page = (Path(__file__).parents[2] / "docs" / "boards.md").read_text()
    listed = dict(re.findall(r"^\| (\w[\w-]*) \| (.*) \|$", page.split("## Programming")[1], re.M))
    assert {tool for tool in listed if tool != "tool"} == set(HOW_TO_GET)
    for tool, how in HOW_TO_GET.items():
        assert how.startswith(listed[tool].strip("`"))
