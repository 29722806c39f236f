"""The repository that examples/ci shows works, and its workflow names what there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from ohmloom.cli.app import app
from ohmloom.pytest_plugin import ARTIFACTS
from ohmloom.pytest_plugin.settings import read_settings
from ohmloom.sim.cosim.runner import PROGRAMS
from ohmloom.sim.cosim.simulator import Simulator

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ci"
WORKFLOW = EXAMPLE / ".github" / "workflows" / "ohmloom.yml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    document = yaml.safe_load(WORKFLOW.read_text())
    assert set(document[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true
    (job,) = document["jobs"].values()
    return job["steps"]


def used(steps: list[dict[str, Any]], action: str) -> dict[str, Any]:
    """What is given to the one use of an action."""
    (step,) = [step for step in steps if step.get("uses", "").startswith(f"{action}@")]
    assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
    return step.get("with", {})


def commands(steps: list[dict[str, Any]]) -> list[list[str]]:
    """Every command of the steps, as words."""
    return [shlex.split(line) for step in steps for line in step.get("run", "").splitlines()]


def test_every_step_uses_an_action_or_runs_commands(steps: list[dict[str, Any]]) -> None:
    assert steps and all(("uses" in step) != ("run" in step) for step in steps)
    used(steps, "actions/checkout")
    oldest = PROJECT["requires-python"].removeprefix(">=")
    version = used(steps, "actions/setup-python")["python-version"]
    assert tuple(map(int, version.split("."))) >= tuple(map(int, oldest.split(".")))


def test_the_commands_exist(steps: list[dict[str, Any]]) -> None:
    found = commands(steps)
    known = {command.name for command in app.registered_commands}
    assert ["ohmloom", "doctor"] in found
    for words in found:
        program = words[1] if words[0] == "sudo" else words[0]
        assert program in {"apt-get", "python", "ohmloom"}, words
        if program == "ohmloom":
            assert words[1] in known
    (install,) = [words for words in found if words[:3] == ["sudo", "apt-get", "install"]]
    packages = {word for word in install[3:] if not word.startswith("-")}
    settings = read_settings(EXAMPLE / "ohmloom.toml").values()
    # g++ compiles what cxxrtl runs, and Icarus Verilog keeps waveforms.
    assert {each.simulator for each in settings} == {Simulator.CXXRTL}
    assert packages == {"g++", PROGRAMS[Simulator.ICARUS]}


def test_the_files_exist(steps: list[dict[str, Any]]) -> None:
    (pip,) = [words for words in commands(steps) if words[:4] == ["python", "-m", "pip", "install"]]
    assert pip[4] == "-r"
    lines = (EXAMPLE / pip[5]).read_text().split()
    (ohmloom,) = [line for line in lines if line.startswith("ohmloom")]
    extras = re.fullmatch(r"ohmloom\[([a-z,]+)\]", ohmloom)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    assert "pytest" in lines
    cache = used(steps, "actions/cache")
    assert cache["path"] == "~/.cache/ohmloom"
    (hashed,) = re.findall(r"hashFiles\((.*?)\)", cache["key"])
    for pattern in re.findall(r"'(.*?)'", hashed):
        assert list(EXAMPLE.glob(pattern)), pattern


def test_what_a_failure_leaves_is_kept(steps: list[dict[str, Any]]) -> None:
    kept = used(steps, "actions/upload-artifact")["path"]
    assert Path(ARTIFACTS).is_relative_to(kept)
    (pytest_run,) = [w for w in commands(steps) if w[:3] == ["python", "-m", "pytest"]]
    (results,) = [w.partition("=")[2] for w in pytest_run if w.startswith("--junitxml")]
    assert Path(results).is_relative_to(kept)


@pytest.mark.slow
def test_the_repository_passes(tmp_path: Path) -> None:
    # Below the user's folder: the synthesis tools see no others.
    folder = ROOT / "build" / "tests" / tmp_path.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("build"))
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "ohmloom.pytest_plugin"),
                "--junitxml=build/junit.xml",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        cases = list(ElementTree.parse(folder / "build" / "junit.xml").iter("testcase"))
        names = {case.get("name") for case in cases}
        assert {"compile", "accuracy", "cosim", "bitstream"} < names and len(names) == 6
        figures = {
            each.get("name"): each.get("value") for case in cases for each in case.iter("property")
        }
        assert float(figures["fmax_mhz"] or 0) >= float(figures["required_mhz"] or 0) > 0
        assert Path(figures["bitstream"] or "").stat().st_size > 100_000
        assert not list(folder.rglob("*.fst"))
    finally:
        shutil.rmtree(folder)
