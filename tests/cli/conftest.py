from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ohmloom.cli import main

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def sentence(self) -> str:
        """The one sentence of a failure: the last line, and nothing like a traceback."""
        assert self.code != 0 and "Traceback" not in self.err
        last = self.err.splitlines()[-1]
        assert last.startswith("ohmloom: ")
        return last.removeprefix("ohmloom: ")


Command = Callable[..., Result]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command; capturing file descriptors, so that nothing escapes."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def digits() -> Path:
    return DIGITS


@pytest.fixture
def bundle(command: Command, tmp_path: Path) -> Path:
    """The digits example, compiled for a noisy device."""
    path = tmp_path / "digits.ohm"
    result = command(
        *("compile", DIGITS / "digits.onnx", "--device", "cspbbr3_ogb"),
        *("--calib", DIGITS / "calib_x.npy", "-o", path),
    )
    assert result.code == 0, result.err
    return path


@pytest.fixture
def softmax(digits: Path, tmp_path: Path) -> Path:
    """The digits network with a Softmax in place of its Relu, and another one at its end."""
    import onnx

    proto = onnx.load(digits / "digits.onnx")
    relu = next(node for node in proto.graph.node if node.op_type == "Relu")
    relu.op_type = "Softmax"
    output = proto.graph.output[0]
    proto.graph.node.append(onnx.helper.make_node("Softmax", [output.name], ["p"], name="last"))
    output.name = "p"
    path = tmp_path / "softmax.onnx"
    onnx.save(proto, path)
    return path
