from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Outcome:
    """What a run of pytest has left: what it said, and of each test its verdict and figures."""

    code: int
    said: str
    verdicts: dict[str, str]
    figures: dict[str, dict[str, str]]


def _read(path: Path, code: int, said: str) -> Outcome:
    verdicts: dict[str, str] = {}
    figures: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(path).iter("testcase") if path.is_file() else ():
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        failed = [each for each in case if each.tag in ("failure", "error", "skipped")]
        verdicts[name] = failed[0].text or "" if failed else "passed"
        figures[name] = {
            each.get("name", ""): each.get("value", "") for each in case.iter("property")
        }
    return Outcome(code, said, verdicts, figures)


@pytest.fixture
def run_pytest(tmp_path: Path) -> Callable[..., Outcome]:
    """``run_pytest(folder, *arguments)``: a pytest of its own, with the plugin."""

    def run(folder: Path, *arguments: object) -> Outcome:
        results = tmp_path / "junit.xml"
        results.unlink(missing_ok=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
                *("-p", "ohmloom.pytest_plugin", f"--junitxml={results}"),
                *map(str, arguments),
            ],
            cwd=folder,
            # It is no worker of the run that it is inside of.
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")},
            capture_output=True,
            text=True,
            check=False,
        )
        return _read(results, done.returncode, done.stdout + done.stderr)

    return run


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a tiny network: 6 inputs, 3 outputs; each class has inputs of its own."""
    folder = tmp_path / "repository"
    folder.mkdir()
    rng = np.random.default_rng(5)
    weights = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    labels = np.arange(30) % 3
    inputs = rng.uniform(0, 0.4, (30, 6)) + 0.6 * weights[:, labels].T
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "only")],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, folder / "tiny.onnx")
    np.save(folder / "x.npy", inputs.astype(np.float32))
    np.save(folder / "y.npy", labels)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


TINY = """
[networks.{name}]
model = "tiny.onnx"
device = "cspbbr3_ogb"
calibration = "x.npy"
rows = 8
columns = 8
inputs = "x.npy"
cosim = {cosim}
simulator = "icarus"
options.verify = false
"""


@pytest.fixture
def tiny(repository: Path) -> Callable[..., None]:
    """``tiny(name, more, cosim=0)``: one more network in the repository's ohmloom.toml."""

    def add(name: str, more: str = "", cosim: int = 0) -> None:
        with (repository / "ohmloom.toml").open("a") as file:
            file.write(TINY.format(name=name, cosim=cosim) + more + "\n")

    return add
