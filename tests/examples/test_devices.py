"""The measured device: what is checked in is what the script makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ohmloom.sim.fit import fit

FOLDER = Path(__file__).parents[2] / "examples" / "devices"


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    copy = tmp_path / "measure.py"
    copy.write_text((FOLDER / "measure.py").read_text(encoding="utf-8"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("devices_measure", copy)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_what_the_script_writes(script: ModuleType, tmp_path: Path) -> None:
    script.main()
    assert (tmp_path / "measured.csv").read_bytes() == (FOLDER / "measured.csv").read_bytes()


def test_the_page_says_what_the_fit_finds(script: ModuleType) -> None:
    told = {e.name: e for e in fit(FOLDER / "measured.csv", "icc_line").found.estimates}
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, truth in script.TRUTH.items():
        e = told.get(name.removeprefix("modes.nonvolatile."))
        if e is not None:
            assert (
                f"| `{e.name}` | {truth:g} | {e.value:.4g}, {e.low:.4g} to {e.high:.4g} |" in page
            )
