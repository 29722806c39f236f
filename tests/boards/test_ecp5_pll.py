from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmloom.boards.board import BoardError
from ohmloom.boards.ecp5_pll import IN_HZ, OUT_HZ, PFD_HZ, VCO_HZ, find_settings


@given(
    st.sampled_from([12_000_000, 16_000_000, 25_000_000, 48_000_000, 100_000_000]),
    st.integers(7, 200),
)
def test_settings_are_exact_and_in_range_or_refused(in_hz: int, out_mhz: int) -> None:
    try:
        settings = find_settings(in_hz, out_mhz * 1_000_000)
    except BoardError:
        return
    clk = in_hz
    for setting in settings:
        assert setting.in_hz == clk and IN_HZ[0] <= clk <= IN_HZ[1]
        assert clk % setting.clki == 0 and setting.vco_hz % setting.clkop == 0
        assert clk * setting.clkfb * setting.clkop == setting.vco_hz * setting.clki
        assert setting.vco_hz == setting.out_hz * setting.clkos
        assert PFD_HZ[0] <= clk / setting.clki <= PFD_HZ[1]
        assert VCO_HZ[0] <= setting.vco_hz <= VCO_HZ[1]
        assert OUT_HZ[0] <= setting.vco_hz / setting.clkop <= OUT_HZ[1]
        assert max(setting.clki, setting.clkop, setting.clkos) <= 128
        assert min(setting.clki, setting.clkfb, setting.clkop, setting.clkos) >= 1
        assert setting.clkfb <= 80
        clk = setting.out_hz
    assert clk == out_mhz * 1_000_000


@pytest.mark.parametrize(
    ("in_hz", "out_hz", "plls"),
    [
        (25_000_000, 50_000_000, 1),
        (25_000_000, 48_000_000, 2),
        (48_000_000, 48_000_000, 1),
        (12_000_000, 48_000_000, 1),
    ],
)
def test_as_few_as_the_ranges_allow(in_hz: int, out_hz: int, plls: int) -> None:
    assert len(find_settings(in_hz, out_hz)) == plls


def test_a_frequency_that_would_be_off_is_refused() -> None:
    with pytest.raises(BoardError, match="48000001 Hz exactly from 25000000 Hz"):
        find_settings(25_000_000, 48_000_001)
