from __future__ import annotations

import subprocess
import sys

import pytest

import ohmloom


@pytest.mark.parametrize("name", ohmloom.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ohmloom, name).__module__.startswith("ohmloom.")
    assert name in dir(ohmloom)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = ohmloom.nope


def test_import_is_light() -> None:
    code = "import sys, ohmloom; sys.exit(bool({'numpy', 'onnx', 'amaranth'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
