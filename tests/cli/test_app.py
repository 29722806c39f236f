from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import ohmloom
from ohmloom.cli import app as app_module
from ohmloom.errors import OhmloomError


def test_alone_it_says_what_it_can(command: Any) -> None:
    for arguments in ((), ("--help",)):
        result = command(*arguments)
        assert result.code == 0
        for name in ("doctor", "devices", "compile", "run", "cosim", "bitstream", "demo"):
            assert name in result.out


def test_version(command: Any) -> None:
    result = command("--version")
    assert (result.code, result.out) == (0, f"{ohmloom.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nope",), "No such command 'nope'"),
        (("devices", "nope"), "No such command 'nope'"),
        (("run",), "Missing argument"),
        (("doctor", "--nope"), "--nope"),
        (("cosim", "x.ohm", "--samples", "0"), "--samples"),
        (("cosim", "x.ohm", "--plant-fault", "fire"), "--plant-fault"),
        (("run", "x.ohm", "--input", "x.npy", "--engine", "abacus"), "--engine"),
    ],
)
def test_wrong_use_is_one_sentence(command: Any, arguments: tuple[str, ...], words: str) -> None:
    result = command(*arguments)
    assert result.code == 2 and result.out == ""
    assert words in result.sentence


def test_a_fault_of_the_program_keeps_its_traceback(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(app_module, "app", broken)
    with pytest.raises(ValueError, match="broadcast"):
        command("doctor")


def test_a_typed_error_has_its_exit_code(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Differs(OhmloomError):
        exit_code = 1

    def broken(*_: object, **__: object) -> None:
        raise Differs("one\n  sentence")

    monkeypatch.setattr(app_module, "app", broken)
    result = command("doctor")
    assert (result.code, result.sentence) == (1, "one sentence")


def test_installed_command_runs_anywhere(tmp_path: Any) -> None:
    code = "import sys; from ohmloom.cli import main; sys.exit(main(['devices', 'show', 'nope']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("ohmloom: 'nope' is not a device")
    assert done.stderr.count("\n") == 1
