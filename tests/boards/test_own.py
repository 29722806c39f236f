from __future__ import annotations

from pathlib import Path

import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.catalogue import board

GOOD = """\
from dataclasses import replace
from ohmloom.boards.catalogue import board
ULX3S = board("ulx3s-85f")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my_board.py"


def test_one_board_of_a_file(file: Path) -> None:
    file.write_text(GOOD + 'BOARDS = (replace(ULX3S, name="mine"),)\n')
    found = board(str(file))
    assert found.name == "mine" and found.file == file
    assert board(f"{file}:mine").name == "mine"
    assert "mine" not in str(board("ulx3s-85f"))


def test_one_of_several_has_to_be_named(file: Path) -> None:
    file.write_text(GOOD + 'BOARDS = [replace(ULX3S, name=n) for n in ("a", "b-1")]\n')
    assert board(f"{file}:b_1").name == "b-1"
    with pytest.raises(BoardError, match=r"has the boards a, b-1: name one as .*my_board.py:a"):
        board(str(file))
    with pytest.raises(BoardError, match="has no board 'c', it has: a, b-1"):
        board(f"{file}:c")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has no BOARDS"),
        ("BOARDS = ()", "BOARDS is empty"),
        ("BOARDS = 3", "has no BOARDS"),
        ("BOARDS = (3,)", "BOARDS holds 3, which is no Board"),
        ("\nimport nowhere", "line 2: ModuleNotFoundError: No module named 'nowhere'"),
        ("\n\nBOARDS = (", "line 3: SyntaxError"),
        (GOOD + 'BOARDS = (replace(ULX3S, name="a/b"),)', "'a/b' is no name of a board"),
        (GOOD + "BOARDS = (replace(ULX3S, afes={}),)", "has no front end in afes"),
    ],
)
def test_what_is_no_board_is_refused(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(BoardError, match=complaint) as refused:
        board(str(file))
    assert str(file) in str(refused.value)


def test_missing_file(file: Path) -> None:
    with pytest.raises(BoardError, match="my_board.py: no such file"):
        board(str(file))
