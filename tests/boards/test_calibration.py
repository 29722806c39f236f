from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.calibration import (
    Calibration,
    CalibrationFileError,
    load_calibration,
)
from ohmloom.hw.tables import pack_entry, table_columns


@given(columns=st.integers(1, 256), data=st.data())
def test_what_is_saved_is_loaded(tmp_path_factory, columns, data) -> None:
    words = [pack_entry(32768, -3)] * (8 * table_columns(columns))
    place = data.draw(st.tuples(st.integers(0, 7), st.integers(0, columns - 1)))
    entry = data.draw(st.tuples(st.integers(0, 65535), st.integers(-32768, 32767)))
    words[place[0] * table_columns(columns) + place[1]] = pack_entry(*entry)
    path = tmp_path_factory.getbasetemp() / "table.json"
    Calibration(columns=columns, words=words).save(path)
    found = load_calibration(path, columns)
    assert found.words == words and found.entry(*place) == entry


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "format: Input should be"),
        ({"columns": 0}, "columns = 0 is outside 1..256"),
        ({"columns": 9}, "64 words, 9 columns have 128"),
        ({"words": [1 << 32] * 64}, "a word is outside"),
        ({"words": [0.5] * 64}, "words.0"),
        ({"more": 1}, "more: Extra inputs"),
        ({"columns": None}, "columns: "),
    ],
)
def test_files_that_are_none(tmp_path: Path, change: dict, said: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"columns": 8, "words": [32768] * 64} | change))
    with pytest.raises(CalibrationFileError, match="is no calibration") as error:
        load_calibration(path, 8)
    assert said in str(error.value)


def test_for_another_card(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    Calibration(columns=8, words=[32768] * 64).save(path)
    with pytest.raises(CalibrationFileError, match="for 8 columns, the card has 7"):
        load_calibration(path, 7)
