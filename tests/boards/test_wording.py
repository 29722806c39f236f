from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.wording import describe, difference
from ohmloom.hw.link.codec import Frame
from ohmloom.hw.link.protocol import READ_HEAD, RUN_HEAD, WRITE_HEAD, Kind, Limit, Space


def write(address: int, *words: int) -> Frame:
    data = b"".join(word.to_bytes(2, "little") for word in words)
    return Frame(1, Kind.WRITE, WRITE_HEAD.pack(Space.ACT, address) + data)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (Frame(1, Kind.PING, b""), "PING"),
        (write(7, 1, 2), "WRITE of 2 words to ACT from 7 on"),
        (Frame(1, Kind.WRITE, WRITE_HEAD.pack(99, 7) + b"abc"), "WRITE of 3 words to space 99"),
        (Frame(1, Kind.WRITE, b"a"), "WRITE with 61"),
        (
            Frame(1, Kind.READ, READ_HEAD.pack(Space.CELL, 3, 4)),
            "READ of 4 words of CELL from 3 on",
        ),
        (Frame(1, Kind.RUN, RUN_HEAD.pack(12, 34)), "RUN from 12 with epoch 34"),
        (
            Frame(1, Kind.LIMIT, bytes([Limit.WIDTH]) + (99).to_bytes(5, "little")),
            "LIMIT of WIDTH to 99",
        ),
        (Frame(1, 0x77, b"\1"), "kind 0x77 with 01"),
    ],
)
def test_a_request_in_words(frame: Frame, words: str) -> None:
    assert describe(frame).startswith(words)


@pytest.mark.parametrize(
    ("said", "recorded", "words"),
    [
        (write(7, 1, 2), write(7, 1, 2), None),
        (write(7, 1, 2), write(7, 1, 3), "word 8 is 0x0002, recorded was 0x0003"),
        (write(7, 1, 2), write(8, 1, 2), "from 7 on, recorded was WRITE of 2 words to ACT from 8"),
        (Frame(1, Kind.PING, b""), write(8, 1), "it is PING, recorded was WRITE of 1 words"),
        (Frame(1, Kind.PING, b""), Frame(2, Kind.PING, b""), "number 1, recorded was number 2"),
        (
            Frame(1, Kind.WRITE, write(0, 1).payload + b"a"),
            Frame(1, Kind.WRITE, write(0, 1).payload + b"b"),
            "word 1 is 0x0061, recorded was 0x0062",
        ),
    ],
)
def test_the_first_difference(said: Frame, recorded: Frame, words: str | None) -> None:
    found = difference(said, recorded)
    assert found == words if words is None else words in str(found)


frames = st.builds(Frame, st.integers(0, 3), st.sampled_from([*Kind, 0x77]), st.binary(max_size=12))


@given(frames, frames)
def test_any_two_frames_have_a_difference_unless_they_are_equal(one: Frame, other: Frame) -> None:
    assert describe(one)
    assert (difference(one, other) is None) == (one == other)
