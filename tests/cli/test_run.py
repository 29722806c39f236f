from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def test_accuracy_and_outputs(command: Any, bundle: Path, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.npy"
    data = command(
        *("run", bundle, "--input", digits / "test_x.npy", "--json"),
        *("--labels", digits / "test_y.npy", "--output", out),
    ).data
    scores, labels = np.load(out), np.load(digits / "test_y.npy")
    assert data["samples"] == len(labels) and data["engine"] == "numpy"
    assert data["accuracy"] == np.mean(scores.argmax(axis=1) == labels) > 0.9


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
