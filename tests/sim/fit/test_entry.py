from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ohmloom.sim.devices import build, catalogue, load
from ohmloom.sim.fit.entry import name_of, to_toml


@pytest.mark.parametrize("name", catalogue())
def test_every_device_comes_back_from_its_text(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(to_toml(load(name)), encoding="utf-8")
    assert load(path).document() == load(name).document()


def test_strings_of_any_kind_come_back() -> None:
    document = load("bion").document()
    document["title"] = 'quotes " and \\ and \n and \x7f and µ and 😀'
    document["references"] = {'a key, with ] and . and "': "x", "seed 000": "y"}
    text = to_toml(build(document, "x"))
    assert tomllib.loads(text)["title"] == document["title"]
    assert tomllib.loads(text)["references"] == document["references"]


@pytest.mark.parametrize(
    ("stem", "name"),
    [("My Device-2", "my_device_2"), ("7nm", "device_7nm"), ("ü", "device"), ("x" * 99, "x" * 64)],
)
def test_names(stem: str, name: str) -> None:
    assert name_of(stem) == name
