from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "devices" / "measured.csv"
TRUTH = {
    "line.slope": 2.6,
    "line.offset": 8e-6,
    "line.sigma_offset": 2.5e-6,
    "hrs.conductance": 2e-6,
    "hrs.spread": 0.25,
    "pulses.v_set_threshold": 0.72,
    "pulses.v_reset_threshold": -1.08,
}


def test_from_a_measurement_to_a_bundle(
    command: Any, digits: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    device = tmp_path / "my-device.toml"
    fit = ("devices", "fit", EXAMPLE, "--family", "icc_line", "-o", device)
    data = command(*fit, "--json").data
    assert (data["name"], data["family"], data["base"]) == ("my_device", "icc_line", "cspbbr3_ogb")
    assert [Path(file).name for file in data["files"]] == [
        "my-device.toml", "my-device.png", "my-device.svg"
    ]  # fmt: skip
    found = data["parameters"]
    for name, truth in TRUTH.items():
        low, high = found[name]["interval"]
        assert low <= truth <= high and found[name]["origin"] == "fitted"
    origins = {number["origin"] for number in found.values()}
    assert origins == {"fitted", "applied", "derived", "base"}
    assert found["pulses.v_set"]["origin"] == "applied"
    assert found["pulses.v_set"]["interval"] is None
    monkeypatch.setenv("COLUMNS", "80")
    shown = command(*fit, "--force")
    assert shown.code == 0 and max(map(len, shown.out.splitlines())) <= 80
    assert "95 % interval" in shown.out and "the data do not tell them" in shown.out
    bundle = tmp_path / "digits.ohm"
    compiled = command(
        *("compile", digits / "digits.onnx", "--device", device),
        *("--calib", digits / "calib_x.npy", "-o", bundle),
    )
    assert compiled.code == 0, compiled.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--family", "magnetic"), "'magnetic' cannot be fitted; accepted are icc_line"),
        (("--family", "icc_line", "--base", "none"), "'none' is not a device"),
        (("--family", "icc_line", "--base", "ohm"), "the base ohm has no mode of the family"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    command: Any, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    result = command("devices", "fit", EXAMPLE, *options, "-o", tmp_path / "x.toml", "--json")
    assert (result.code, result.out) == (2, "") and sentence in result.sentence
    assert not list(tmp_path.iterdir())


def test_bad_files_write_nothing(command: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("cell,kind,volts,seconds,amps\na,read,0.1,,nan\n")
    out = tmp_path / "out" / "x.toml"
    for measured, sentence in (
        (bad, f"{bad}, line 2, column amps: 'nan' is not a finite number"),
        (tmp_path / "none.csv", "No such file"),
    ):
        result = command("devices", "fit", measured, "--family", "filament", "-o", out)
        assert result.code == 2 and sentence in result.sentence
    assert list(tmp_path.iterdir()) == [bad]
