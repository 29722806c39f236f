"""The record of a device's line: its words, its arithmetic, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.hw.isa import LINE_WORDS, SEGMENTS, WORD_BITS, IsaError
from ohmloom.hw.line import CODE_MAX, CODE_MIN, Line, Piece, pack_line, unpack_line

TOP = 0xFFFF00
"""The largest gate code, in 1/256."""


@st.composite
def pieces(draw):
    gate = draw(st.integers(0, TOP))
    return Piece(gate, draw(st.integers(0, TOP - gate)))


@st.composite
def lines(draw):
    low, high = sorted(draw(st.tuples(st.integers(0, 65535), st.integers(0, 65535))))
    return Line(
        offset=draw(st.integers(-(2**16), 2**16 - 1)),
        mantissa=draw(st.integers(0, 2**24 - 1)),
        half=draw(st.integers(0, 65535)),
        low=low,
        high=high,
        pieces=tuple(draw(st.lists(pieces(), min_size=SEGMENTS, max_size=SEGMENTS))),
    )


@given(lines())
def test_every_line_comes_back(line):
    words = pack_line(line)
    assert len(words) == LINE_WORDS and all(0 <= word < 1 << WORD_BITS for word in words)
    assert unpack_line(words) == line


@given(lines(), st.integers(CODE_MIN, CODE_MAX))
def test_each_step_is_rounded_once_half_up(line, target):
    x = min(max(target + line.offset, 0), 65535)
    exact = Fraction(x * line.mantissa, 1 << 16)
    rounded = (exact + Fraction(1, 2)).__floor__()
    i_cc = min(max(rounded, line.low), line.high)
    assert line.i_cc_code(target) == i_cc
    piece = line.pieces[i_cc // 4096]
    gate = piece.gate + Fraction(piece.rise * (i_cc % 4096), 4096)
    fine = (gate + Fraction(1, 2)).__floor__()
    assert line.gate_code(target) == (Fraction(fine, 256) + Fraction(1, 2)).__floor__()
    assert abs(line.gate_code(target) - gate / 256) <= Fraction(1, 2) + Fraction(1, 512)
    assert 0 <= line.gate_code(target) <= 65535


@given(lines(), st.integers(CODE_MIN, CODE_MAX))
def test_the_window_is_around_the_target_and_of_codes(line, target):
    low, high = line.window(target)
    assert CODE_MIN <= low <= target <= high <= CODE_MAX
    assert low == max(target - line.half, CODE_MIN) and high == min(target + line.half, CODE_MAX)


def line(**changes) -> Line:
    plain = Line(0, 1 << 16, 4, 0, 65535, (Piece(0x800000, 0x1000),) * SEGMENTS)
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": 1 << 16}, r"line\.offset = 65536 is outside -65536\.\.65535"),
        ({"mantissa": 1 << 24}, r"line\.mantissa = 16777216 is outside"),
        ({"half": -1}, r"line\.half = -1 is outside"),
        ({"low": 2, "high": 1}, "low = 2 is above high = 1"),
        ({"pieces": (Piece(0, 0),) * 15}, "a line with 15 pieces, it has 16"),
        ({"pieces": (Piece(TOP, 1),) * 16}, "piece 0 ends at gate code 65535.0, above 65535"),
    ],
)
def test_what_no_controller_takes_is_refused(changes, message):
    with pytest.raises(IsaError, match=message):
        pack_line(line(**changes))


def test_words_that_are_no_line_are_refused():
    words = pack_line(line())
    with pytest.raises(IsaError, match="a line of 17 words, it has 18"):
        unpack_line(words[:-1])
    words[1] = 5 | 4 << 16
    with pytest.raises(IsaError, match="low = 5 is above high = 4"):
        unpack_line(words)
