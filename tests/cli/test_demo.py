from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_demo(command: Any, tmp_path: Path) -> None:
    result = command("demo", "-o", tmp_path / "digits.ohm", "--json")
    assert result.code == 0, result.err
    data = result.data
    assert data["float_accuracy"] >= 0.96
    assert abs(data["device_accuracy"] - data["float_accuracy"]) <= 0.02
    assert data["cosim_samples"] == 8
    assert data["cosim_values_compared"] >= 8 * (48 + 10)
    assert data["cosim_mismatches"] == 0
    assert data["cycles_per_inference"] == data["predicted_cycles"] > 0
    assert data["afe_utilisation"] >= 1 / 1.3
    assert data["fmax_mhz"] >= 48
    assert data["samples_on_the_board"] == 100 and data["board_outputs_different"] == 0
    assert Path(data["bitstream"]).is_file() and Path(data["report"]).is_file()
