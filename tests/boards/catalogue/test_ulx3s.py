from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from ohmloom.boards.board import BoardError
from ohmloom.boards.build import prepare
from ohmloom.boards.catalogue import board, boards
from ohmloom.hw.geometry import Geometry

ULX3S = board("ulx3s-85f")


def constraints(top: Any) -> dict[str, str]:
    """Site of each port in the placement constraints."""
    text = str(prepare(top, ULX3S).files["top.lpf"])
    return dict(re.findall(r'LOCATE COMP "([^"]+)" SITE "([^"]+)"', text))


def test_every_pin_has_a_site_of_its_own(small_top: Any) -> None:
    sites = constraints(small_top())
    assert len(set(sites.values())) == len(sites)
    card = {name: site for name, site in sites.items() if name.startswith("card")}
    assert len(card) == 30
    assert sites["clk25_0__io"] == "G2"
    assert (sites["uart_0__rx__io"], sites["uart_0__tx__io"]) == ("M1", "L4")
    assert sites["esp32_0__en__io"] == "F1"
    assert card["card_0__sclk__io"] == "B11"


def test_the_clock_is_constrained_to_what_the_pll_makes(small_top: Any) -> None:
    text = str(prepare(small_top(), ULX3S).files["top.lpf"])
    assert re.search(r'FREQUENCY NET "\S+" 48000000.0 HZ', text)


def test_a_geometry_that_does_not_fit_is_refused() -> None:
    ULX3S.check(Geometry())
    ULX3S.check(replace(Geometry(), single=True))
    with pytest.raises(BoardError, match="holds rows up to 40, the bundle needs 72"):
        ULX3S.check(replace(Geometry(), rows=72))


def test_unknown_board_lists_the_known_ones() -> None:
    with pytest.raises(BoardError, match="unknown board 'ulx4s', known are: .*ulx3s-85f"):
        board("ulx4s")
    assert all(name == entry.name for name, entry in boards().items())
