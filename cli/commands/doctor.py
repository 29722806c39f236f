"""`ohmloom doctor`: what is there, what is missing, and how to get it.

It imports nothing but the standard library and the command line before it
looks, so that it works where the rest does not.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Annotated

import typer

from ...boards.tools import TOOLS, ToolError
from ..output import Json, emit, plain_table, working

OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for; ``found`` is its version, None if it is missing."""

    name: str
    needed_for: str
    required: bool
    found: str | None
    how_to_get: str


def doctor(
    board: Annotated[
        str | None, typer.Option(help="Say what this board needs: build tools, port, permission.")
    ] = None,
    udev: Annotated[
        bool, typer.Option("--udev", help="Print nothing but the board's udev rule.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is installed; exit code 1 if something needed is missing.

    With a board: what it needs on this machine; exit code 2 if its bitstreams cannot be built.
    """
    if board is not None:
        _examine_board(board, udev, as_json)
        return
    if udev:
        raise typer.BadParameter("--udev needs --board")
    with working():
        findings = list(examine())
        table = plain_table("Ohmloom on this machine", "what", "found", "needed for", "how to get")
        for finding in findings:
            missing = "missing" if finding.required else "missing (optional)"
            table.add_row(
                finding.name,
                finding.found or missing,
                finding.needed_for,
                "" if finding.found else finding.how_to_get,
            )
        ok = all(finding.found or not finding.required for finding in findings)
    emit(as_json, {"ok": ok, "findings": [asdict(finding) for finding in findings]}, table)
    if not ok:
        raise typer.Exit(1)


def _examine_board(name: str, udev: bool, as_json: bool) -> None:
    """What a board needs; with ``udev`` its rule alone."""
    with working():
        from ...boards.board import BoardError
        from ...boards.catalogue import board as find_board
        from ...boards.readiness import UDEV_RULE, needs, rule_file, udev_rule

        board = find_board(name)
        rule = None if board.usb is None else udev_rule(board, board.usb)
        if udev and rule is None:
            raise BoardError(f"board {board.name} has no USB of its own, so there is no udev rule")
        found = [] if udev else list(needs(board))
        table = plain_table(f"{board.title} on this machine", "what", "needed for", "is", "found")
        for need in found:
            state = "ok" if need.found else "missing"
            table.add_row(need.name, need.needed_for, state, need.found or "")
        ok = all(need.found or not need.required for need in found)
        data: dict[str, object] = {"ok": ok, "board": board.name, "udev": None}
        if rule is not None:
            data["udev"] = {"path": str(rule_file(board)), "rule": rule}
        data["findings"] = [asdict(need) for need in found]
    if not udev:
        emit(as_json, data, table)
        # Not in the table: a line that is wrapped is no command and no rule.
        for need in () if as_json else (need for need in found if not need.found):
            typer.echo(f"{need.name}: {need.how_to_get}")
            if need.name == UDEV_RULE:
                typer.echo(rule, nl=False)
    elif rule is not None:
        typer.echo(rule, nl=False)
    if not ok:
        raise typer.Exit(2)


def examine() -> Iterator[Finding]:
    """Look for everything."""
    oldest = ".".join(map(str, OLDEST_PYTHON))
    version = platform.python_version() if sys.version_info >= OLDEST_PYTHON else None
    yield Finding("Python", "everything", True, version, f"install Python {oldest} or newer")
    yield from packages()
    yield Finding(
        "iverilog", "co-simulation", True, first_line("iverilog", "-V"), "apt-get install iverilog"
    )
    yield Finding(
        "g++", "engine cxxrtl", False, first_line("g++", "--version"), "apt-get install g++"
    )
    for tool in TOOLS.values():
        try:
            found = tool.version()
        except ToolError:
            found = None
        yield Finding(tool.name, "bitstreams", False, found, tool.remedy.strip("`"))


def packages() -> Iterator[Finding]:
    """The packages that the installed project declares, except those of the tools."""
    try:
        requirements = metadata.requires("ohmloom") or []
    except metadata.PackageNotFoundError:
        yield Finding("ohmloom", "everything", False, None, "make setup, or pip install -e .")
        return
    tools = {tool.package for tool in TOOLS.values()}
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if name in tools:
            continue
        extra = re.search(r"""extra\s*==\s*["']([^"']+)""", requirement)
        how = f"pip install 'ohmloom[{extra[1]}]'" if extra else f"pip install {name}"
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = None
        yield Finding(name, extra[1] if extra else "everything", extra is None, found, how)


def first_line(program: str, option: str) -> str | None:
    """The first line that a program says of itself, or None if it is missing."""
    path = shutil.which(program)
    if path is None:
        return None
    said = subprocess.run([path, option], capture_output=True, text=True, check=False).stdout
    return said.partition("\n")[0].strip() or path
