from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from ohmloom.cli.steps import tables
from ohmloom.cli.steps.tables import Curves, TableError, curves, plain, table, writer

COLUMNS = {
    "row": [0, 0, 1],
    "column": [2, 2, 2],
    "voltage_v": [0.0, 0.1, 0.1],
    "current_a": [0.0, -1e-6, float("inf")],
    "passed": [True, False, True],
}


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "new" / "found.csv"
    writer(path)(COLUMNS)
    with path.open(newline="") as file:
        names, *rows = list(csv.reader(file))
    assert names == list(COLUMNS)
    assert [float(row[3]) for row in rows] == COLUMNS["current_a"]
    assert [item.name for item in path.parent.iterdir()] == ["found.csv"]


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "found.h5"
    writer(path)(COLUMNS)
    with h5py.File(path) as file:
        assert set(file) == set(COLUMNS)
        assert file["current_a"][...].tolist() == COLUMNS["current_a"]
        assert file["row"].dtype.kind == "i"


@pytest.mark.parametrize("suffix", ["csv", "h5"])
def test_a_file_is_whole_or_not_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"found.{suffix}"
    path.write_text("as it was")
    with pytest.raises((ValueError, TypeError)):
        writer(path)({"row": [0, 1], "ragged": [0, object()] if suffix == "h5" else [0]})
    assert path.read_text() == "as it was"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_what_is_not_written() -> None:
    with pytest.raises(TableError, match="accepted are files that end in .csv or .h5"):
        writer(Path("found.xlsx"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(TableError, match=r"--out a.h5 needs h5py: install it with `pip install"):
        writer(Path("a.h5"))
    with pytest.raises(TableError, match="--plot needs plotext"):
        Curves("voltage_v", "current_a", live=True)


def test_json_and_table() -> None:
    assert plain(COLUMNS)["current_a"] == [0.0, -1e-6, None]
    shown = table("Found", COLUMNS)
    assert shown.row_count == 3 and shown.caption is None
    many = table("Found", {"row": list(range(100))})
    assert many.row_count == tables.SHOWN and "40 of 100 rows" in str(many.caption)


def test_curves_are_of_cells_and_what_an_axis_takes() -> None:
    assert curves(COLUMNS, "voltage_v", "current_a", "") == [
        ("row 0, column 2", [0.0, 0.1], [0.0, -1e-6])
    ]
    assert curves(COLUMNS, "voltage_v", "current_a", "xy") == [("row 0, column 2", [0.1], [1e-6])]


def test_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("plotext")
    mine = Curves("voltage_v", "current_a", live=True)
    with mine:
        mine.show(COLUMNS)  # no terminal: drawn at the end alone
        assert capsys.readouterr().err == ""
        mine.show(COLUMNS, last=True)
    assert "voltage_v" in capsys.readouterr().err
    mine.save(tmp_path / "a.png", COLUMNS, "Found")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]
