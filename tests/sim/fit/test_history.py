from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ohmloom.sim.fit import FitError, History, Kind, read_csv

HEADER = "cell,kind,volts,seconds,i_cc,amps,temperature_k\n"


def history(folder: Path, text: str) -> History:
    path = folder / "x.csv"
    path.write_text(text, encoding="utf-8")
    return read_csv(path)


def test_rows_of_a_cell_come_together_and_stay_in_order(tmp_path: Path) -> None:
    found = history(
        tmp_path,
        "# a comment\n\n"
        + HEADER
        + "b,pulse,1.0,1e-3,1e-4,,\n"
        + "a,read,0.1,,,2e-6,310\n"
        + "# another\n"
        + "b,read,0.1,0.5,,-1e-6,\n"
        + "b,wait,,10,,,\n",
    )
    assert found.cells == ("b", "a")
    assert found.cell.tolist() == [0, 0, 0, 1]
    assert found.kind.tolist() == [Kind.PULSE, Kind.READ, Kind.WAIT, Kind.READ]
    assert found.i_cc.tolist() == [1e-4, np.inf, np.inf, np.inf]
    assert found.seconds.tolist() == [1e-3, 0.5, 10.0, 0.0]
    assert found.kelvin.tolist() == [298.15, 298.15, 298.15, 310.0]
    assert found.measured.tolist() == [False, True, False, True]


def test_times_become_waits(tmp_path: Path) -> None:
    found = history(
        tmp_path,
        "cell,kind,volts,seconds,amps,time_s\n"
        "a,pulse,1,0.5,,10\n"
        "b,pulse,1,0.5,,11\n"
        "a,read,0.1,0,1e-6,12.5\n"
        "b,read,0.1,0,1e-6,11.5\n",
    )
    assert found.idle.tolist() == [0.0, 2.0, 0.0, 0.0]


def test_a_current_at_its_limit_says_nothing_about_the_cell(tmp_path: Path) -> None:
    found = history(tmp_path, HEADER + "a,pulse,1,1e-3,1e-4,9e-5,\na,pulse,1,1e-3,1e-4,8e-5,\n")
    assert found.limited.tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("# only this\n", "is empty"),
        (HEADER, "has no row"),
        ("cell,kind,volts,amps\n", "line 1: the column seconds is missing; accepted are cell"),
        ("cell,kind,volts,seconds,amps,ohms\n", "line 1: 'ohms' is not a column"),
        ("cell,kind,volts,seconds,amps,amps\n", "line 1: the column amps is there twice"),
        (HEADER + "a,read,0.1\n", "line 2 has 3 fields, the header 7"),
        (HEADER + "a,poke,1,1,,,\n", "line 2, column kind: 'poke' is none of pulse, read, sweep"),
        (HEADER + "\n" + ",read,0.1,,,1,\n", "line 3, column cell is empty"),
        (HEADER + "a,read,0.1,,,nan,\n", "line 2, column amps: 'nan' is not a finite number"),
        (HEADER + "a,read,0.1,,,inf,\n", "column amps: 'inf' is not a finite number"),
        (HEADER + "a,read,0.1,,,1_0,\n", "column amps: '1_0' is not a finite number"),
        (HEADER + "a,read,0.1,,,2 uA,\n", "column amps: '2 uA' is not a finite number"),
        (HEADER + "a,read,0.1,,,,\n", "column amps is empty: a read needs it"),
        (HEADER + "a,read,0,,,1e-6,\n", "column volts: a read at 0 V says nothing"),
        (HEADER + "a,pulse,1,,,,\n", "column seconds is empty: a pulse needs it"),
        (HEADER + "a,wait,,-1,,,\n", "column seconds: -1 is below 0"),
        (HEADER + "a,pulse,1,1,-1,,\n", "column i_cc: -1 is below 0"),
        (HEADER + 'a,read,"0.1,,,1,\n', "line 2 is not a line of a CSV file"),
        (
            "cell,kind,volts,seconds,amps,time_s\na,pulse,1,0.5,,10\na,pulse,1,0.5,,10.2\n",
            "line 3, column time_s: the row begins at 10.2 s, before the end of the one above "
            "it at 10.5 s",
        ),
        (
            "cell,kind,volts,seconds,amps,time_s\na,pulse,1,0.5,,\n",
            "line 2, column time_s is empty",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(FitError, match=r"x\.csv") as error:
        history(tmp_path, text)
    assert sentence in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"cell,kind\xff\n")
    with pytest.raises(FitError, match="is not UTF-8 text"):
        read_csv(path)
    with path.open("wb") as file:
        file.truncate((32 << 20) + 1)
    with pytest.raises(FitError, match="is larger than"):
        read_csv(path)
    with pytest.raises(OSError):
        read_csv(tmp_path / "none.csv")
