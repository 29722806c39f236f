"""A bitstream onto a board, by the tool that is there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OhmloomError
from .board import Programmer

SECONDS = 600
"""Time after which a tool hangs; writing a large flash takes minutes."""
BITSTREAM = "{bitstream}"
"""What stands for the file in a tool's arguments."""
HOW_TO_GET = {
    "openFPGALoader": "apt-get install openfpgaloader",
    "iceprog": "apt-get install fpga-icestorm",
    "dfu-util": "apt-get install dfu-util",
    "fujprog": "a program from github.com/kost/fujprog/releases, put on PATH",
    "ecpdap": "cargo install ecpdap, or a program from github.com/adamgreig/ecpdap/releases",
}
"""Where tools come from, on Debian; any other is asked for by its name."""

Find = Callable[[str], str | None]
"""The path of a program on PATH."""
Run = Callable[[Sequence[str], Path], int]
"""Runs a command, all that it says into a file, and gives its exit code."""


class ProgramError(OhmloomError):
    """A board that could not be programmed."""


@dataclass(frozen=True)
class Programmed:
    """What programming has done.

    Attributes
    ----------
    tool, command:
        The tool, and the command that it was.
    flash:
        The bitstream is in the flash, and outlives the power.
    """

    tool: str
    command: tuple[str, ...]
    flash: bool


def how_to_get(tool: str) -> str:
    """How a programming tool is got."""
    return HOW_TO_GET.get(tool, f"put {tool} on PATH")


def find_programmer(
    programmers: Sequence[Programmer], flash: bool = False, find: Find = shutil.which
) -> tuple[Programmer, str] | None:
    """The first tool that is there, and writes the flash if it has to; with its path."""
    for programmer in programmers:
        if flash and programmer.flash is None:
            continue
        path = find(programmer.tool)
        if path is not None:
            return programmer, path
    return None


def program_fpga(
    programmers: Sequence[Programmer],
    bitstream: Path,
    flash: bool = False,
    *,
    log: Path | None = None,
    run: Run | None = None,
    find: Find = shutil.which,
) -> Programmed:
    """Bring a bitstream onto the board that is connected.

    Parameters
    ----------
    programmers :
        The tools that can, the best one first.
    bitstream :
        The file.
    flash :
        Into the flash, in place of only until power is lost.
    log :
        Where what the tool says is kept if it fails; by default beside the bitstream.
    run, find :
        What runs it and finds it; by default the system's.

    Raises
    ------
    ProgramError
        If there is no such file or tool, or the tool fails.
    """
    if not bitstream.is_file():
        raise ProgramError(f"there is no bitstream {bitstream}: `ohmloom bitstream` builds it")
    found = find_programmer(programmers, flash, find)
    if found is None:
        raise ProgramError(_none(programmers, flash))
    programmer, path = found
    # A tool that can only write the flash has the same arguments twice.
    into_flash = flash or programmer.volatile == programmer.flash
    arguments = programmer.flash if flash and programmer.flash else programmer.volatile
    command = [path, *(word.replace(BITSTREAM, str(bitstream)) for word in arguments)]
    said = log or bitstream.with_name(f"{bitstream.name}.{programmer.tool}.log")
    said.parent.mkdir(parents=True, exist_ok=True)
    code = (run or run_logged)(command, said)
    if code:
        raise ProgramError(
            f"{programmer.tool} failed with exit code {code}: {_reason(said)} (see {said})"
        )
    said.unlink(missing_ok=True)
    return Programmed(programmer.tool, tuple(command), into_flash)


def run_logged(command: Sequence[str], log: Path) -> int:
    """Run a command, all that it says into ``log``; returns its exit code.

    Raises
    ------
    ProgramError
        If it cannot be started, or does not end.
    """
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=SECONDS,
            )
        except OSError as error:
            raise ProgramError(f"{command[0]} cannot be started: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise ProgramError(
                f"{command[0]} did not end in {SECONDS} s and was stopped (see {log})"
            ) from error
    return done.returncode


def _none(programmers: Sequence[Programmer], flash: bool) -> str:
    """Why there is no tool, and how to get one."""
    able = [each.tool for each in programmers if each.flash is not None or not flash]
    does = "writes the flash of this board" if flash else "programs this board"
    if not able:
        return f"no tool is known that {does}"
    ways = "; or ".join(f"{tool}: {how_to_get(tool)}" for tool in able)
    return f"no tool that {does} was found on PATH, get {ways}"


def _reason(said: Path) -> str:
    """The line that says what went wrong: the last one with an error, or the last one."""
    text = said.read_text(errors="replace") if said.is_file() else ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    failed = ("error", "fail", "unable", "cannot", "can't", "not found", "denied")
    errors = [line for line in lines if any(word in line.lower() for word in failed)]
    return next(reversed(errors or lines), "it said nothing")
