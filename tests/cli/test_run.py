from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ohmloom.sim.engine.workers import Workers


def test_accuracy_and_outputs(command: Any, bundle: Path, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.npy"
    data = command(
        *("run", bundle, "--input", digits / "test_x.npy", "--json"),
        *("--labels", digits / "test_y.npy", "--output", out),
    ).data
    scores, labels = np.load(out), np.load(digits / "test_y.npy")
    assert data["samples"] == len(labels) and data["engine"] == "numpy"
    assert data["accuracy"] == np.mean(scores.argmax(axis=1) == labels) > 0.9


def test_writing_and_energy_are_simulated(
    command: Any, bundle: Path, digits: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    data = command(
        *("run", bundle, "--input", digits / "test_x.npy", "--json", "--figures", figures)
    ).data
    report = json.loads((bundle / "report.json").read_text())
    guess, writing = report["programming"]["total"], data["simulated_writing"]
    assert writing["cells"] == 8192 and writing["not_converged"] == 0
    assert writing["pulses"] == 2 * round(writing["tries_per_cell"] * 8192) > 2 * 8192
    assert abs(writing["seconds"] / guess["seconds"] - 1) < 0.03
    assert data["predicted_cycles_later"] == report["cycles"]["later"]
    assert data["predicted_ms_later"] == 1e3 * report["cycles"]["seconds"]
    # Other samples and real cells, the same network.
    assert abs(data["estimated_inference_mj"] / (1e3 * report["energy"]["joules"]) - 1) < 0.01
    stored = json.loads(figures.read_text())
    assert stored["samples"] == 450 and stored["programming"]["tag"] == "simulated"
    assert [layer["name"] for layer in stored["programming"]["layers"]] == ["hidden", "readout"]
    assert stored["energy"]["parts"][0]["tag"] == "simulated"


def test_stuck_cells_are_told(command: Any, bundle: Path, digits: Path, tmp_path: Path) -> None:
    faults = np.full((8, 32, 32), np.nan)
    faults[0, :5, 0], faults[7, 3, 3] = 3e-6, 9e-4
    np.save(tmp_path / "faults.npy", faults)
    data = command(
        *("run", bundle, "--input", digits / "test_x.npy", "--json"),
        *("--faults", tmp_path / "faults.npy"),
    ).data
    assert data["simulated_writing"]["not_converged"] == 6
    assert data["simulated_writing"]["tries_per_cell"] > 1.3


def test_measured_conductances_are_run_as_they_are(
    command: Any, bundle: Path, digits: Path, tmp_path: Path
) -> None:
    from ohmloom.compiler.bundle import load_bundle

    compiled = load_bundle(bundle)
    siemens = compiled.device.levels[compiled.levels]
    swapped = siemens[..., np.arange(32) ^ 1]  # G+ and G- the other way round
    known = ("run", bundle, "--input", digits / "test_x.npy", "--json")
    found = []
    for name, cells in (("good", siemens), ("swapped", swapped)):
        np.save(tmp_path / f"{name}.npy", cells)
        labels = ("--labels", digits / "test_y.npy")
        data = command(*known, *labels, "--measured", tmp_path / f"{name}.npy").data
        assert "simulated_writing" not in data and data["simulated_cells_uj"] > 0
        found.append(data["accuracy"])
    assert found[0] > 0.95 and found[1] < 0.8
    np.save(tmp_path / "few.npy", siemens[:3])
    siemens[2, 2, 2] = np.nan
    np.save(tmp_path / "missing.npy", siemens)
    for words, extra in {
        "measured conductances: shape (3, 32, 32)": ("--measured", tmp_path / "few.npy"),
        "not those of all cells": ("--measured", tmp_path / "missing.npy"),
        "stuck cells in them already": (
            *("--measured", tmp_path / "good.npy", "--faults", tmp_path / "missing.npy"),
        ),
        "not for cxxrtl": ("--measured", tmp_path / "good.npy", "--engine", "cxxrtl"),
    }.items():
        result = command(*known, *extra)
        assert result.code == 2 and result.out == "" and words in result.sentence


def test_blocks_change_nothing(
    command: Any, bundle: Path, digits: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from ohmloom.cli.steps import inference

    outputs = []
    for block in (1024, 100):
        monkeypatch.setattr(inference, "BLOCK", block)
        out = tmp_path / f"{block}.npy"
        assert command("run", bundle, "--input", digits / "test_x.npy", "--output", out).code == 0
        outputs.append(np.load(out))
    np.testing.assert_array_equal(*outputs)


def test_an_accelerator_gives_the_same(
    command: Any, bundle: Path, digits: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    known = ("run", bundle, "--input", digits / "test_x.npy", "--json", "--output")
    found = []
    for name, extra in {"none": (), "numpy": ("--accelerator", "numpy")}.items():
        data = command(*known, tmp_path / f"{name}.npy", *extra).data
        del data["output"]
        found.append((data, np.load(tmp_path / f"{name}.npy").tolist()))
    assert found[0] == found[1]
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", None)
    for words, extra in {
        "accelerator 'abacus' is not known": ("--accelerator", "abacus"),
        "accelerator 'cupy' cannot be imported": ("--accelerator", "cupy"),
        "for the numpy engine, not for cxxrtl": ("--accelerator", "numpy", "--engine", "cxxrtl"),
    }.items():
        result = command(*known, tmp_path / "y.npy", *extra)
        assert result.code == 2 and result.out == "" and words in result.sentence


def test_threads_change_nothing_but_the_time(
    command: Any, bundle: Path, digits: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    counts: list[int] = []
    begin = Workers.__init__

    def counted(self: Workers, count: int | None = None) -> None:
        counts.append(count or 0)
        begin(self, count)

    monkeypatch.setattr(Workers, "__init__", counted)
    known, found = ("run", bundle, "--input", digits / "test_x.npy"), []
    for name, extra in {"one": (), "three": ("--threads", 3)}.items():
        out = tmp_path / f"{name}.npy"
        data = command(*known, *extra, "--output", out, "--json").data
        assert data.pop("output") == str(out)
        found.append((np.load(out).tolist(), data))
    assert found[0] == found[1] and counts == [1, 3]
    for words, extra in {
        "not for cxxrtl": ("--threads", 2, "--engine", "cxxrtl"),
        "--threads": ("--threads", 0),
    }.items():
        result = command(*known, *extra)
        assert result.code == 2 and result.out == "" and words in result.sentence


def test_bad_input_is_one_sentence(
    command: Any, bundle: Path, digits: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.npy"
    np.save(wrong, np.zeros((3, 8, 9), np.float32))
    good = digits / "test_x.npy"
    cases = {
        "nowhere.ohm": command("run", tmp_path / "nowhere.ohm", "--input", good),
        "nowhere.npy": command("run", bundle, "--input", tmp_path / "nowhere.npy"),
        "(3, 8, 9)": command("run", bundle, "--input", wrong),
        "labels": command("run", bundle, "--input", good, "--labels", wrong),
        "nowhere/": command("run", bundle, "--input", good, "--output", tmp_path / "nowhere/y"),
    }
    (bundle / "program.bin").write_bytes((bundle / "program.bin").read_bytes()[:-8])
    cases["program.bin"] = command("run", bundle, "--input", good)
    for words, result in cases.items():
        assert result.code == 2 and result.out == ""
        assert words in result.sentence
