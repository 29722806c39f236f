"""What a run of pytest finds in a repository that has an ohmloom.toml."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
LABELS = 'labels = "y.npy"'
BY_HAND = """
import pytest

def test_network(ohmloom_network, ohmloom_bundle, request):
    import numpy as np
    network = ohmloom_network("tiny")
    assert network is ohmloom_network("tiny")
    assert ohmloom_bundle("tiny") == network.bundle
    x = np.load(request.path.with_name("x.npy"))
    assert network.scores(x[:4]).shape == (4, 3)

def test_unknown(ohmloom_network):
    with pytest.raises(Exception, match="no network 'huge', it has: tiny"):
        ohmloom_network("huge")
"""


def test_every_check_is_an_item_with_its_figures(
    repository: Path, tiny: Callable[..., None], run_pytest: Callable[..., Any]
) -> None:
    limits = "[networks.tiny.limits]\naccuracy = 0.9\ntiles = 1\ncycles = 100000"
    tiny("tiny", f"{LABELS}\n{limits}", cosim=2)
    (repository / "test_by_hand.py").write_text(BY_HAND)
    outcome = run_pytest(repository)
    assert outcome.code == 0, outcome.said
    assert outcome.verdicts == {
        "tiny.compile": "passed",
        "tiny.accuracy": "passed",
        "tiny.cosim": "passed",
        "test_by_hand.test_network": "passed",
        "test_by_hand.test_unknown": "passed",
    }
    figures = outcome.figures
    assert figures["tiny.compile"]["tiles"] == "1"
    assert figures["tiny.cosim"]["cycles"] == figures["tiny.compile"]["predicted_cycles"]
    assert figures["tiny.cosim"]["values_compared"] == str(8 * 8 + 2 * 3)
    assert 0.9 <= float(figures["tiny.accuracy"]["accuracy"]) <= 1
    assert figures["tiny.accuracy"]["samples"] == "30"
    folder = repository / "build" / "ohmloom" / "tiny"
    assert Path(figures["tiny.compile"]["bundle"]) == folder / "tiny.ohm"
    assert [path.name for path in folder.iterdir()] == ["tiny.ohm"]  # nothing of a success


def test_a_limit_that_is_not_kept_fails_in_one_sentence(
    repository: Path, tiny: Callable[..., None], run_pytest: Callable[..., Any]
) -> None:
    tiny("slow", "[networks.slow.limits]\ncycles = 100")
    tiny("wrong", f"{LABELS}\n[networks.wrong.limits]\naccuracy = 0.9")
    np.save(repository / "y.npy", np.roll(np.load(repository / "y.npy"), 1))
    tiny("large", "options.slices = 2\n[networks.large.limits]\ntiles = 1")
    outcome = run_pytest(repository, "--ohmloom-artifacts", "kept")
    assert outcome.code == 1
    assert "slow: cycles " in outcome.verdicts["slow.compile"]
    assert "is above the limit of 100" in outcome.verdicts["slow.compile"]
    assert "large: tiles 2 is above the limit of 1" in outcome.verdicts["large.compile"]
    assert outcome.verdicts["wrong.compile"] == "passed"
    assert "is below the limit of 0.9" in outcome.verdicts["wrong.accuracy"]
    assert float(outcome.figures["wrong.accuracy"]["accuracy"]) < 0.5
    assert "Traceback" not in outcome.said and ".py:" not in outcome.said
    assert (repository / "kept" / "slow" / "slow.ohm").is_dir()
    assert not (repository / "build").exists()


def test_a_planted_fault_fails_and_its_waveform_is_kept(
    repository: Path, tiny: Callable[..., None], run_pytest: Callable[..., Any]
) -> None:
    tiny("tiny", cosim=1)
    waves = repository / "build" / "ohmloom" / "tiny" / "cosim.fst"
    outcome = run_pytest(repository, "-k", "cosim", "--ohmloom-plant-fault", "adc")
    assert outcome.code == 1
    verdict = outcome.verdicts["tiny.cosim"]
    assert "RTL and numpy engine differ: sample 0, layer only" in verdict
    assert f"the waveform is kept in {waves}" in verdict
    assert waves.stat().st_size > 1000


def test_what_does_not_compile_fails_every_check(
    repository: Path, tiny: Callable[..., None], run_pytest: Callable[..., Any]
) -> None:
    tiny("tiny", f"{LABELS}\n[networks.tiny.limits]\naccuracy = 0.9", cosim=1)
    (repository / "tiny.onnx").write_bytes(b"no network")
    outcome = run_pytest(repository)
    assert outcome.code == 1 and len(outcome.verdicts) == 3
    for verdict in outcome.verdicts.values():
        assert "tiny.onnx" in verdict
    assert "Traceback" not in outcome.said


def test_a_file_that_cannot_be_used_is_an_error_of_collection(
    repository: Path, run_pytest: Callable[..., Any]
) -> None:
    (repository / "ohmloom.toml").write_text("[networks.tiny]\nmodel = 3\n")
    outcome = run_pytest(repository)
    assert outcome.code == 2
    assert "networks.tiny.model" in outcome.said and "Traceback" not in outcome.said


def test_a_run_without_an_ohmloom_toml_pays_nothing() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import ohmloom.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ohmloom", "ohmloom.pytest_plugin"]


def test_pytest_finds_it_by_its_own_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name = "ohmloom.pytest_plugin"
    assert project["entry-points"]["pytest11"] == {name: name}


def test_the_faults_are_those_of_the_cosimulation() -> None:
    from ohmloom.pytest_plugin import FAULTS
    from ohmloom.sim.cosim.fault import Fault

    assert tuple(Fault) == FAULTS
