from __future__ import annotations

import pytest

from ohmloom.boards.artix7 import find_dividers
from ohmloom.boards.board import BoardError


@pytest.mark.parametrize("out_hz", [48_000_000, 50_000_000, 12_500_000])
def test_dividers_are_exact_and_the_vco_is_in_its_range(out_hz: int) -> None:
    multiplier, divider = find_dividers(100_000_000, out_hz)
    assert 100_000_000 * multiplier == out_hz * divider
    assert 800_000_000 <= 100_000_000 * multiplier <= 1_600_000_000
    assert divider <= 128


def test_what_no_divider_makes_is_refused() -> None:
    with pytest.raises(BoardError, match="cannot make 48000001 Hz exactly"):
        find_dividers(100_000_000, 48_000_001)
