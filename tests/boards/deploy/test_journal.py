from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.deploy.journal import Journal, JournalError
from ohmloom.boards.deploy.records import (
    RECORD,
    Began,
    Checking,
    Finished,
    Found,
    Intent,
    Loaded,
    Lost,
    Missed,
    Record,
    Void,
)

BEGAN = Began(bundle="0" * 64, board="b", tiles=1, rows=8, columns=8)

numbers = st.integers(0, 1 << 20)
cells = st.lists(st.integers(0, 63), min_size=1, max_size=8).map(tuple)
records: st.SearchStrategy[Record] = st.one_of(
    st.just(BEGAN),
    st.builds(
        Loaded,
        nonce=st.integers(0, (1 << 64) - 1),
        calibration=st.none() | st.just("5" * 64),
    ),
    st.builds(Intent, number=numbers, tile=numbers, cells=cells, writes=st.booleans()),
    st.builds(
        Found, number=numbers, codes=st.lists(st.integers(-32768, 32767)).map(tuple), worn=cells
    ),
    numbers.map(lambda number: Void(number=number)),
    numbers.map(lambda number: Lost(number=number)),
    st.builds(Missed, tile=numbers, cells=cells),
    st.just(Checking()),
    st.just(Finished()),
)


@given(records)
def test_record_survives_its_text(record: Record) -> None:
    assert RECORD.validate_json(record.model_dump_json()) == record


@given(said=st.lists(records, max_size=6), cut=st.integers(0, 400))
def test_journal_cut_anywhere_has_the_whole_lines_before(
    said: list[Record], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    ends = [0]
    with Journal(path) as journal:
        for record in said:
            journal.append(record)
            ends.append(path.stat().st_size)
    cut = min(cut, ends[-1])
    with path.open("r+b") as file:
        file.truncate(cut)
    whole = sum(end <= cut for end in ends[1:])
    with Journal(path) as journal:
        assert journal.records == said[:whole]
        journal.append(Finished())
    with Journal(path) as journal:
        assert journal.records == [*said[:whole], Finished()]


def test_altered_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append(BEGAN)
        journal.append(Void(number=3))
    path.write_bytes(path.read_bytes().replace(b'"number":3', b'"number":4'))
    with pytest.raises(JournalError, match="line 2: it has been altered"):
        Journal(path)


def test_line_that_says_nothing_known_is_refused(tmp_path: Path) -> None:
    from zlib import crc32

    text = b'{"kind":"explode"}'
    (tmp_path / "j").write_bytes(b"%08x %s\n" % (crc32(text), text))
    with pytest.raises(JournalError, match="line 1"):
        Journal(tmp_path / "j")


def test_two_deployments_do_not_share_a_journal(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j"),
        pytest.raises(JournalError, match="another deployment has it open"),
    ):
        Journal(tmp_path / "j")
    Journal(tmp_path / "j").close()


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        Journal(tmp_path / "nowhere" / "j")
