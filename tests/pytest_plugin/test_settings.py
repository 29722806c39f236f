from __future__ import annotations

import re
from pathlib import Path

import pytest

from ohmloom.pytest_plugin.settings import Limits, Settings, SettingsError, nearest, read_settings

HEAD = '[networks.n]\nmodel = "m.onnx"\ndevice = "my.toml"\ncalibration = "c.npy"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("m.onnx", "c.npy", "x.npy", "y.npy"):
        (tmp_path / name).touch()
    return tmp_path


def test_paths_are_from_the_folder_of_the_file(folder: Path) -> None:
    path = folder / "ohmloom.toml"
    path.write_text(HEAD + 'inputs = "x.npy"\n[networks.n.options]\nwire_ohms = 1.5\n')
    (settings,) = read_settings(path).values()
    assert settings.model == folder / "m.onnx" and settings.inputs == folder / "x.npy"
    assert settings.device == str(folder / "my.toml")
    assert settings.options == {"wire_ohms": 1.5} and settings.labels is None
    path.write_text(HEAD.replace("my.toml", "cspbbr3_ogb"))
    assert read_settings(path)["n"].device == "cspbbr3_ogb"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "networks: Field required"),
        ("[networks]", "networks: Dictionary should have at least 1 item"),
        ('[networks."../n"]', "networks.../n"),
        ("x = ", "is not TOML"),
        (HEAD + "limit = 3", "networks.n.limit: Extra inputs are not permitted"),
        (HEAD + "cosim = true", "networks.n.cosim: Input should be a valid integer"),
        (HEAD + 'rows = "8"', "networks.n.rows: Input should be a valid integer"),
        (HEAD + 'simulator = "modelsim"', "networks.n.simulator: Input should be 'icarus'"),
        (HEAD + 'inputs = "no.npy"', "networks.n.inputs: no file"),
        (HEAD + 'inputs = "x.npy"\nlabels = "y.npy"', "labels and limits.accuracy need each"),
        (HEAD + "limits.accuracy = 0.9", "labels and limits.accuracy need each other"),
        (HEAD + 'labels = "y.npy"\nlimits.accuracy = 0.9', "labels need inputs"),
        (HEAD + "limits.accuracy = 90", "networks.n.limits.accuracy: Input should be less"),
        (HEAD + "limits.fmax_mhz = 50", "limits.fmax_mhz needs bitstream = true"),
        (HEAD + "options.clk_hz = 1", "options.clk_hz is the target's"),
        (HEAD + "options.act_bits = 3", "act_bits"),
        (HEAD + "options.bits = 3", "bits"),
    ],
)
def test_a_file_that_cannot_be_used(folder: Path, text: str, sentence: str) -> None:
    path = folder / "ohmloom.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_settings(path)
    said = str(refused.value)
    assert said.startswith(str(path)) and sentence in said and "\n" not in said


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read .*No such file"):
        read_settings(tmp_path / "ohmloom.toml")
    (tmp_path / "ohmloom.toml").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not TOML"):
        read_settings(tmp_path / "ohmloom.toml")


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    test = inner / "test_x.py"
    with pytest.raises(
        SettingsError, match=f"no ohmloom.toml between {inner} and {tmp_path / 'a'}"
    ):
        nearest(test, tmp_path / "a")
    (tmp_path / "ohmloom.toml").touch()
    with pytest.raises(SettingsError):  # above the root folder
        nearest(test, tmp_path / "a")
    assert nearest(test, tmp_path) == tmp_path / "ohmloom.toml"
    (tmp_path / "a" / "ohmloom.toml").touch()
    assert nearest(test, tmp_path) == tmp_path / "a" / "ohmloom.toml"


def test_the_page_has_every_field_and_its_example_is_right(folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()
    fields = {*Settings.model_fields, *(f"limits.{name}" for name in Limits.model_fields)}
    assert not [name for name in fields - {"limits"} if f"`{name}`" not in page]
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (folder / "model").mkdir()
    for name in re.findall(r'"(model/.*?)"', example):
        (folder / name).touch()
    path = folder / "ohmloom.toml"
    path.write_text(example)
    assert read_settings(path)["digits"].limits.accuracy == 0.85
